/**
 * Uses layers where they lie on CVMFS instead of fetching them. A probe finds them, they get the shim and the mask that
 * overlayfs needs, and they become lower directories of the stack. The result of a layer's walk is remembered, so that
 * the next create only probes and stacks.
 */

import type { Logger } from '../../base/log.ts';
import type { FoundLayer, RepositoryDoubt } from '../../cvmfs/found-layer.ts';
import { answeredBy, type Guesses } from '../../cvmfs/guesses.ts';
import { type CvmfsDeps, type Finding, locateLayers } from '../../cvmfs/locate.ts';
import type { PreparedPlan } from '../../cvmfs/plan-layers.ts';
import type { RepositoryState } from '../../cvmfs/repository.ts';
import type { Repository } from '../../cvmfs/settings.ts';
import type { Lease } from '../../store/records/leases.ts';
import type { Store } from '../../store/store.ts';
import { blobOfLayer, digestOfLayer, type ImageLayer, namedOnCvmfs } from '../source/image-layer.ts';
import type { ResolvedImage } from '../source/source.ts';
import type { CvmfsStackLayer } from '../stack/stack-view.ts';
import { missing, PlanRefused, repairFailure, shownDoubt, Unrepairable, unhealthy } from './doubts.ts';
import { BASE_IS_COPIED, isBase, isEligible, recordName } from './eligible.ts';
import type { CvmfsUse, Repair, RepairSource } from './layer-volumes.ts';
import { overlayTrial } from './overlay-trial.ts';

export interface CvmfsLayersDeps {
  readonly store: Store;
  readonly cvmfs: CvmfsDeps;
  readonly log: Logger;
  /** False: no lower directory may need an idmapped mount. */
  readonly mapsIds: boolean;
  /** The layers count against a limit, so their sizes are found out even where no record has them. */
  readonly countsBytes: boolean;
  /** The image's own source of a layer, for repairs. */
  readonly repairs: RepairSource | undefined;
}

/** The source of a layer and the reason, for the log, `inspect` and the container's record. */
export interface LayerChoice {
  readonly reason: string;
  readonly cvmfs: { readonly state: RepositoryState; readonly path: string } | undefined;
}

export class CvmfsLayers {
  /** The layers on CVMFS. All others come from the image's own source. */
  readonly uses = new Map<ImageLayer, CvmfsUse>();
  readonly choices = new Map<ImageLayer, LayerChoice>();
  readonly #deps: CvmfsLayersDeps;
  #idmapped: Repository | undefined;

  constructor(deps: CvmfsLayersDeps) {
    this.#deps = deps;
  }

  /**
   * Looks for these layers of an image.
   * @throws CVMFS_UNHEALTHY for a doubt on which the configuration does not fall back, or where nothing else has the
   *   layer; CVMFS_THIN_LAYER_MISSING, CVMFS_NOT_PUBLISHED
   */
  async find(image: ResolvedImage, layers: readonly ImageLayer[]): Promise<void> {
    const possible = layers.filter((layer) => isEligible(image, layer));
    const sought = possible.filter((layer) => !isBase(image, layer));
    for (const layer of possible) if (isBase(image, layer)) this.#doubt(layer, [BASE_IS_COPIED], []);
    if (sought.length === 0) return;
    const findings = await locateLayers(
      this.#deps.cvmfs,
      sought.map((layer) => ({
        digest: digestOfLayer(layer),
        diffId: blobOfLayer(layer)?.diffId,
        at:
          layer.kind === 'directory' ? { address: layer.onCvmfs.address } : { origin: image.origin ?? 'oci' },
      })),
    );
    for (const [index, layer] of sought.entries()) this.#take(layer, findings[index]);
    this.#tryOverlays();
  }

  /**
   * Makes the shims and masks of the layers that were found. A layer that turns out unusable leaves `uses`. The code
   * for it is loaded here: a create whose plan is remembered needs none of it.
   * @throws as `find`
   */
  async prepare(lease: Lease): Promise<Map<ImageLayer, CvmfsStackLayer>> {
    const { store } = this.#deps;
    const [{ planLayers }, { cvmfsStackLayer }] = await Promise.all([
      import('../../cvmfs/plan-layers.ts'),
      import('./stack-layer.ts'),
    ]);
    lease.add([...this.uses.values()].map(({ name }) => name));
    const unknown = [...this.uses].filter(
      ([, { name }]) => store.cvmfsRecords.get(name, store.layers) === undefined,
    );
    const plans = await planLayers(
      this.#deps.cvmfs,
      unknown.map(([, use]) => use.found),
      this.#deps.countsBytes,
    );
    for (const [index, [layer, use]] of unknown.entries()) await this.#keep(layer, use, plans[index]);
    const stacked = new Map<ImageLayer, CvmfsStackLayer>();
    for (const [layer, { name, found }] of this.uses) {
      const record = store.cvmfsRecords.get(name, store.layers);
      if (record !== undefined) stacked.set(layer, cvmfsStackLayer(store, name, found, record));
    }
    return stacked;
  }

  /** Gives a found layer up: it comes from the image's own source. */
  reject(layer: ImageLayer, doubt: RepositoryDoubt): void {
    this.uses.delete(layer);
    this.#doubt(layer, [shownDoubt(doubt)], [doubt]);
  }

  #take(layer: ImageLayer, finding: Finding | undefined): void {
    if (finding === undefined) return;
    if (finding.result === 'absent') {
      this.#doubt(layer, finding.reasons, finding.doubts);
      return;
    }
    const { layer: found } = finding;
    const cannotMap = found.needsIdmap ? this.#cannotMap(found) : undefined;
    if (cannotMap !== undefined) {
      this.#doubt(layer, [shownDoubt(cannotMap)], [cannotMap]);
      return;
    }
    const name = recordName(layer, found, this.#counted(found));
    const known = this.#deps.store.cvmfsRecords.get(name, this.#deps.store.layers);
    if (known?.unusable !== undefined) {
      const { doubt: kind = 'unusable_layer', unusable: reason } = known;
      const doubt = { repository: found.repository, doubt: kind, reason };
      this.#doubt(layer, [shownDoubt(doubt)], [doubt]);
      return;
    }
    this.uses.set(layer, { name, found });
    this.#choose(layer, found, known?.accepted ?? []);
    this.#deps.log.info('layer-on-cvmfs', {
      digest: digestOfLayer(layer),
      path: found.path,
      repository: found.state.name,
      revision: found.state.revision,
      rootHash: found.state.rootHash,
    });
  }

  #choose(layer: ImageLayer, found: FoundLayer, accepted: readonly string[]): void {
    const reason = [`published in ${found.repository.name}`, ...accepted].join('; ');
    this.choices.set(layer, { reason, cvmfs: { state: found.state, path: found.path } });
    if (accepted.length > 0) this.#deps.log.info('layer-doubt-accepted', { path: found.path, accepted });
  }

  /** Tries the first overlay of a boot over each repository's filesystem. */
  #tryOverlays(): void {
    const uses = [...this.uses];
    for (const repository of new Set(uses.map(([, { found }]) => found.repository))) {
      const own = uses.filter(([, { found }]) => found.repository === repository);
      const [first] = own;
      const reason = first && overlayTrial(this.#deps.store, repository.path, first[1].found.path);
      if (reason === undefined) continue;
      for (const [layer] of own) this.reject(layer, { repository, doubt: 'unusable_layer', reason });
    }
  }

  /**
   * The doubt about a layer that needs an idmapped mount and cannot get one. A container has one cloned mount, of one
   * repository.
   */
  #cannotMap({ repository }: FoundLayer): RepositoryDoubt | undefined {
    this.#idmapped ??= repository;
    if (this.#deps.mapsIds && this.#idmapped === repository) return undefined;
    const reason = this.#deps.mapsIds
      ? `its owners must be mapped, and those of ${this.#idmapped.name} are already`
      : 'its owners must be mapped, and whoever mounts the container cannot do that';
    return { repository, doubt: 'wrong_owner', reason };
  }

  /** True when the size of the layer's files is known, or will be. */
  #counted(found: FoundLayer): boolean {
    return this.#deps.countsBytes || found.tarBytes !== undefined || found.companion;
  }

  #doubt(layer: ImageLayer, reasons: readonly string[], doubts: readonly RepositoryDoubt[]): void {
    const named = namedOnCvmfs(layer);
    if (reasons.length === 0 && named === undefined) return;
    const reason = reasons.join('; ');
    const fatal = doubts.find(({ repository, doubt }) => !repository.fallBackOn.has(doubt));
    if (fatal !== undefined) throw unhealthy(layer, fatal);
    if (named?.elsewhere === false) {
      const [first] = doubts;
      throw first === undefined ? missing(layer, reason) : unhealthy(layer, first);
    }
    this.choices.set(layer, { reason, cvmfs: undefined });
    this.#deps.log.info('layer-not-on-cvmfs', { digest: digestOfLayer(layer), reason });
  }

  async #keep(layer: ImageLayer, use: CvmfsUse, plan: PreparedPlan | undefined): Promise<void> {
    const { store } = this.#deps;
    const { repository } = use.found;
    const { keepUnusable } = await import('./layer-volumes.ts');
    if (plan === undefined || !plan.ok) {
      if (plan?.doubt === 'unusable_layer') keepUnusable(store, use, plan.doubt, plan.reason);
      this.reject(layer, plan ?? { repository, doubt: 'hang', reason: 'no answer' });
      return;
    }
    const refused = answeredBy(repository, 'fall_back', plan.guesses);
    if (refused.length > 0) {
      const reason = refused.join(', and ');
      keepUnusable(store, use, 'lost_metadata', reason);
      this.reject(layer, { repository, doubt: 'lost_metadata', reason });
      return;
    }
    try {
      await this.#keepPlan(layer, use, plan);
    } catch (error) {
      if (error instanceof PlanRefused) {
        this.reject(layer, error.doubt);
        return;
      }
      const reason = repairFailure(error);
      if (error instanceof Unrepairable) keepUnusable(store, use, 'lost_metadata', reason);
      this.reject(layer, { repository, doubt: 'lost_metadata', reason });
    }
  }

  async #keepPlan(layer: ImageLayer, use: CvmfsUse, prepared: PreparedPlan & { ok: true }): Promise<void> {
    const { store, log } = this.#deps;
    const { found } = use;
    const { plan, guesses } = prepared;
    const repair = this.#repairOf(layer, found, guesses);
    const { repository } = found;
    const accepted = [
      ...answeredBy(repository, 'accept', guesses),
      ...(repair === undefined ? answeredBy(repository, 'repair', guesses) : []),
    ];
    const { keepPlan } = await import('./layer-volumes.ts');
    const repaired = await keepPlan(store, layer, use, { plan, accepted }, repair);
    const { entries } = plan.facts;
    log.info('layer-walked', { path: found.path, entries, milliseconds: Math.round(prepared.milliseconds) });
    this.#choose(layer, found, accepted);
    if (repaired) {
      const { repaired: entriesRepaired, copiedBytes } = repaired;
      log.info('layer-repaired', { path: found.path, entries: entriesRepaired, copiedBytes });
    }
  }

  /**
   * The repair of a layer; undefined where the policy wants none. A layer without another source is used as it is,
   * unless its owners are lost.
   */
  #repairOf(layer: ImageLayer, found: FoundLayer, guesses: Guesses): Repair | undefined {
    const { repairs: source, cvmfs, countsBytes } = this.#deps;
    const { repository } = found;
    const isWanted =
      repository.lostMetadata.capabilities === 'repair' ||
      answeredBy(repository, 'repair', guesses).length > 0;
    const isPossible = digestOfLayer(layer) !== undefined && namedOnCvmfs(layer)?.elsewhere !== false;
    if (!isWanted || !isPossible || source === undefined) return undefined;
    return {
      source,
      guesses,
      planWith: async (explicit) => {
        const { planLayers } = await import('../../cvmfs/plan-layers.ts');
        const [plan] = await planLayers(cvmfs, [found], countsBytes, explicit);
        if (plan?.ok === true) return plan.plan;
        throw new PlanRefused(plan ?? { repository, doubt: 'hang', reason: 'no answer' });
      },
    };
  }
}
