import { sha256Hex } from '../../base/digest.ts';
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { settleLimited } from '../../base/pool.ts';
import type { LayerKey } from '../../store/layout/layer-key.ts';
import type { Lease } from '../../store/records/leases.ts';
import type { Claim } from '../../sys/exclusive/claim.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import { filesystemOf } from '../../sys/kernel/statfs.ts';
import { type Held, isHeld, type LayerTurns } from '../source/layer-turns.ts';
import type { AdmittedDeps } from './context.ts';
import { type FetchedLayer, fetchLayer } from './fetch-layer.ts';
import { keyOf, type NamedLayer } from './layer-names.ts';
import { LockingTimes } from './locking-times.ts';
import { ReadyLayers } from './ready-layers.ts';

interface Claimed {
  readonly wanted: NamedLayer;
  readonly claim: Claim;
}

/** Fetches the layers of one pull that the store lacks. */
export class MissingLayers {
  readonly fetched: FetchedLayer[] = [];
  readonly #deps: AdmittedDeps;
  readonly #wanted: readonly NamedLayer[];
  readonly #lease: Lease;
  readonly #turns: LayerTurns;
  readonly #times: LockingTimes;
  /** Names that became known by reading: those of local tars. */
  readonly #named = new Map<NamedLayer, LayerKey>();

  constructor(deps: AdmittedDeps, wanted: readonly NamedLayer[], lease: Lease, turns: LayerTurns) {
    this.#deps = deps;
    this.#wanted = wanted;
    this.#lease = lease;
    this.#turns = turns;
    this.#times = new LockingTimes(deps.metrics);
  }

  /**
   * Fetches in rounds. First come all layers that can be claimed now. Then come layers that other processes had
   * claimed, once they release the claim or have had their time. A layer with a base directory waits for the layer
   * below it, since it copies attributes from there.
   */
  async run(): Promise<void> {
    await this.#ask();
    this.#checkSpace();
    for (let left = this.#missing(); left.length > 0; left = this.#missing()) {
      const missing = new Set(left.map(({ key }) => key));
      const ready = left.filter(
        ({ layer, parent }) =>
          layer.baseDirectory === undefined || parent === undefined || !missing.has(parent),
      );
      const { mine, others } = this.#claim(ready);
      try {
        this.#hear();
        await this.#ask();
        await this.#fetchAndPublish(mine);
      } finally {
        for (const { claim } of mine) claim.release();
      }
      const [first] = others.sort((one, other) => one.held.until - other.held.until);
      if (first !== undefined) {
        this.#deps.log.info('waiting-for-layer', { layer: first.wanted.key, others: others.length });
        const names = others.map(({ wanted }) => nameOf(wanted));
        await this.#times.ofWaiting(names, () => this.#turns.wait(first.held, this.#hasCome(first.wanted)));
        this.#hear();
        for (const { wanted } of others) if (this.#isThere(wanted)) this.#times.tell(nameOf(wanted));
        await this.#ask();
      }
    }
  }

  /**
   * Takes over the names of local tars that other processes have read meanwhile. Without it every waiting create would
   * read the tar, one after the other.
   */
  #hear(): void {
    for (const wanted of this.#wanted) {
      if (this.keyOf(wanted) !== undefined) continue;
      const key = keyOf(this.#deps.store, wanted.layer, wanted.parent);
      if (key === undefined) continue;
      this.#lease.add([key]);
      this.#named.set(wanted, key);
    }
  }

  /** A layer's name in the store, which may be known only after a read. */
  keyOf(wanted: NamedLayer): LayerKey | undefined {
    return wanted.key ?? this.#named.get(wanted);
  }

  /** Asks the place about layers that other processes have brought meanwhile. */
  async #ask(): Promise<void> {
    await this.#deps.admission.ask(this.#wanted.flatMap((wanted) => this.keyOf(wanted) ?? []));
  }

  /**
   * Returns a check whether the layer has come since. A layer that was there before and that the caller may not have is
   * no reason to stop waiting.
   */
  #hasCome(wanted: NamedLayer): () => boolean {
    const isHere = () => {
      const key = this.keyOf(wanted);
      return key !== undefined && this.#deps.store.layers.has(key);
    };
    const before = isHere();
    return () => this.#isThere(wanted) || (!before && isHere());
  }

  #isThere(wanted: NamedLayer): boolean {
    const key = this.keyOf(wanted);
    return key !== undefined && (this.#deps.admission.has(key) || this.#deps.store.sources.needsLower(key));
  }

  #missing(): NamedLayer[] {
    const seen = new Set<string>();
    return this.#wanted.filter((wanted) => {
      const name = nameOf(wanted);
      if (seen.has(name) || this.#isThere(wanted)) return false;
      seen.add(name);
      return true;
    });
  }

  /** Refuses early when the disk is too small. Compressed sizes are a lower bound of the layers' sizes. */
  #checkSpace(): void {
    const { layout } = this.#deps.store;
    const need = this.#missing().reduce((sum, { layer }) => sum + (layer.size ?? 0), 0);
    const free = filesystemOf(layout.root).availableBytes;
    if (need > free) throw new PluginError('STORE_FULL', { store: layout.root, need, free });
  }

  #claim(layers: readonly NamedLayer[]) {
    const mine: Claimed[] = [];
    const others: { wanted: NamedLayer; held: Held }[] = [];
    try {
      for (const wanted of layers) {
        const name = nameOf(wanted);
        const turn = this.#times.ofTaking(name, () => this.#turns.take(name, wanted.layer));
        if (isHeld(turn)) others.push({ wanted, held: turn });
        else {
          mine.push({ wanted, claim: turn });
          this.#times.tell(name);
        }
      }
    } catch (error) {
      for (const { claim } of mine) claim.release();
      throw error;
    }
    return { mine, others };
  }

  /** Fetches the claimed layers, and renames those that succeeded into place. Then throws the first failure. */
  async #fetchAndPublish(claimed: readonly Claimed[]): Promise<void> {
    const { concurrency } = this.#deps;
    const ready = new ReadyLayers(this.#deps, this.#lease, (layers) => this.#published(layers));
    const results = await settleLimited(claimed, concurrency, async (one) => {
      try {
        if (!this.#isThere(one.wanted))
          ready.add(await fetchLayer(this.#deps, one.wanted, undefined), one.claim);
        else one.claim.release();
      } catch (error) {
        this.#failed(one, error, ready);
      }
    });
    ready.finish();
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** @throws the error, unless it means only that the layer cannot stand alone */
  #failed({ wanted: { key }, claim }: Claimed, error: unknown, ready: ReadyLayers): void {
    try {
      // The kernel reports a failed write once, and it may belong to any of the layers.
      if (error instanceof SysError && error.syscall === 'syncfs') ready.fail(error);
      if (key === undefined || !isPluginError(error, 'LAYER_NEEDS_LOWER')) throw error;
      this.#deps.store.sources.rememberNeedsLower(key);
    } finally {
      claim.release();
    }
  }

  #published(layers: readonly FetchedLayer[]): void {
    for (const { wanted, record } of layers) this.#learn(wanted, record.key, record.diffId);
    this.fetched.push(...layers);
  }

  #learn(wanted: NamedLayer, key: LayerKey, diffId: FetchedLayer['record']['diffId']): void {
    this.#named.set(wanted, key);
    if (wanted.layer.identity !== undefined) this.#deps.store.sources.remember(wanted.layer.identity, diffId);
  }
}

function nameOf(wanted: NamedLayer): string {
  return wanted.key ?? `source-${sha256Hex(wanted.layer.identity ?? '')}`;
}
