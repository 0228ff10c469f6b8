/**
 * Layers of an image that lie in a repository, for an export. A layer whose repository is in doubt, or whose publication
 * lost something that the configuration does not accept, comes from the image's own source where that has it.
 */

import type { Logger } from '../base/log.ts';
import type { FoundLayer, RepositoryDoubt } from '../cvmfs/found-layer.ts';
import { answeredBy } from '../cvmfs/guesses.ts';
import { ArchiveBroken, readArchive } from '../cvmfs/layer-archive.ts';
import { type CvmfsDeps, locateLayers } from '../cvmfs/locate.ts';
import { type PreparedPlan, planLayers } from '../cvmfs/plan-layers.ts';
import { missing, shownDoubt, unhealthy } from '../image/cvmfs/doubts.ts';
import type { DirectoryLayer, ImageLayer } from '../image/source/image-layer.ts';

export interface LayersOnCvmfsDeps {
  readonly cvmfs: CvmfsDeps;
  /** The command of the child that reads a layer. */
  readonly archiveCommand: readonly string[];
  readonly log: Logger;
}

interface Use {
  readonly found: FoundLayer;
  /** Paths without an entry of their own. */
  readonly omit: readonly string[];
}

export class LayersOnCvmfs {
  readonly #deps: LayersOnCvmfsDeps;
  readonly #uses = new Map<ImageLayer, Use>();

  constructor(deps: LayersOnCvmfsDeps) {
    this.#deps = deps;
  }

  /**
   * Looks for the layers that an image says are published.
   * @throws CVMFS_UNHEALTHY, CVMFS_NOT_PUBLISHED, CVMFS_THIN_LAYER_MISSING where no other source has a layer
   */
  async find(layers: readonly ImageLayer[]): Promise<void> {
    const named = layers.flatMap((layer) => (layer.kind === 'directory' ? [layer] : []));
    const findings = await locateLayers(
      this.#deps.cvmfs,
      named.map(({ blob, onCvmfs }) => ({
        digest: blob?.digest,
        diffId: blob?.diffId,
        at: { address: onCvmfs.address },
      })),
    );
    const found: { layer: DirectoryLayer; at: FoundLayer }[] = [];
    for (const [index, layer] of named.entries()) {
      const finding = findings[index];
      if (finding?.result === 'found') found.push({ layer, at: finding.layer });
      else this.#elsewhere(layer, finding?.doubts ?? [], finding?.reasons.join('; ') ?? 'not asked for');
    }
    const plans = await planLayers(
      this.#deps.cvmfs,
      found.map(({ at }) => at),
      false,
    );
    for (const [index, { layer, at }] of found.entries()) this.#plan(layer, at, plans[index]);
  }

  /** The layer as an archive; undefined where it comes from the image's own source. */
  open(layer: ImageLayer): AsyncIterable<Uint8Array> | undefined {
    const use = this.#uses.get(layer);
    return use && this.#read(layer, use);
  }

  #plan(layer: DirectoryLayer, found: FoundLayer, plan: PreparedPlan | undefined): void {
    const { repository } = found;
    if (plan === undefined || !plan.ok) {
      const doubt = plan ?? { repository, doubt: 'hang' as const, reason: 'no answer' };
      this.#elsewhere(layer, [doubt], shownDoubt(doubt));
      return;
    }
    const isRepairable = layer.onCvmfs.elsewhere;
    const refused = [
      ...answeredBy(repository, 'fall_back', plan.guesses),
      // An export does not repair: the source has all that publishing lost.
      ...(isRepairable ? answeredBy(repository, 'repair', plan.guesses) : []),
    ];
    if (refused.length > 0) {
      const doubt = { repository, doubt: 'lost_metadata' as const, reason: refused.join(', and ') };
      this.#elsewhere(layer, [doubt], shownDoubt(doubt));
      return;
    }
    const { facts, madeUp } = plan.plan;
    this.#uses.set(layer, { found, omit: [...madeUp, ...(facts.explicitRoot ? [] : [''])] });
    this.#deps.log.info('layer-on-cvmfs', { digest: layer.blob?.digest, path: found.path });
  }

  /** @throws where the configuration does not fall back on a doubt, or no other source has the layer */
  #elsewhere(layer: DirectoryLayer, doubts: readonly RepositoryDoubt[], reason: string): void {
    const fatal = doubts.find(({ repository, doubt }) => !repository.fallBackOn.has(doubt));
    if (fatal !== undefined) throw unhealthy(layer, fatal);
    if (!layer.onCvmfs.elsewhere) {
      const [first] = doubts;
      throw first === undefined ? missing(layer, reason) : unhealthy(layer, first);
    }
    this.#deps.log.info('layer-not-on-cvmfs', { digest: layer.blob?.digest, reason });
  }

  async *#read(layer: ImageLayer, { found, omit }: Use): AsyncGenerator<Uint8Array> {
    const { repository } = found;
    const tree = [found.directory, found.tree].filter((part) => part !== '').join('/');
    const request = { repository: repository.path, tree, xattrs: repository.type === 'directory', omit };
    try {
      yield* readArchive(this.#deps.archiveCommand, request, repository.walkDeadlineMs);
    } catch (error) {
      if (!(error instanceof ArchiveBroken)) throw error;
      const doubt =
        error.how === 'hang'
          ? ({ doubt: 'hang', reason: `no byte within ${repository.walkDeadlineMs} ms` } as const)
          : ({ doubt: 'io_error', reason: 'the process that read the layer ended early' } as const);
      throw unhealthy(layer, { repository, ...doubt });
    }
  }
}
