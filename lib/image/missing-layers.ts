import { sha256Hex } from '../base/digest.ts';
import { isPluginError, PluginError } from '../base/errors/error.ts';
import { settleLimited } from '../base/pool.ts';
import type { LayerKey } from '../store/layer-key.ts';
import type { Lease } from '../store/leases.ts';
import { type Claim, tryClaim, waitForRelease } from '../sys/claim.ts';
import { SysError } from '../sys/errno.ts';
import { filesystemOf } from '../sys/statfs.ts';
import { type FetchedLayer, fetchLayer } from './fetch-layer.ts';
import type { PullDeps } from './pull.ts';
import { keyOf, type WantedLayer } from './wanted.ts';

/** One pull's work on the layers that the store lacks. */
export class MissingLayers {
  readonly fetched: FetchedLayer[] = [];
  readonly #deps: PullDeps;
  readonly #wanted: readonly WantedLayer[];
  readonly #lease: Lease;
  /** Names that were found out by reading: local tars. */
  readonly #named = new Map<WantedLayer, LayerKey>();

  constructor(deps: PullDeps, wanted: readonly WantedLayer[], lease: Lease) {
    this.#deps = deps;
    this.#wanted = wanted;
    this.#lease = lease;
  }

  /**
   * Fetches in rounds: what can be claimed now; then whatever others had claimed, once they let go, and layers
   * with a base directory, which copy attributes from the layer below them, once that one is there.
   */
  async run(): Promise<void> {
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
        await this.#fetchAndPublish(
          mine.map(({ wanted }) => wanted).filter((wanted) => !this.#isThere(wanted)),
        );
      } finally {
        for (const { claim } of mine) claim.release();
      }
      const [first] = others;
      if (first !== undefined) {
        this.#deps.log.info('waiting-for-layer', { layer: first.wanted.key, others: others.length });
        await waitForRelease(first.path, this.#deps.signal);
        this.#hear();
      }
    }
  }

  /** What somebody else has found out meanwhile by reading a local tar: without it everybody would read it, in turn. */
  #hear(): void {
    for (const wanted of this.#wanted) {
      if (this.keyOf(wanted) !== undefined) continue;
      const key = keyOf(this.#deps.store, wanted.layer, wanted.parent);
      if (key === undefined) continue;
      this.#lease.add([key]);
      this.#named.set(wanted, key);
    }
  }

  /** A layer's name in the store, which reading it may have told. */
  keyOf(wanted: WantedLayer): LayerKey | undefined {
    return wanted.key ?? this.#named.get(wanted);
  }

  #isThere(wanted: WantedLayer): boolean {
    const key = this.keyOf(wanted);
    return (
      key !== undefined && (this.#deps.store.layers.has(key) || this.#deps.store.sources.needsLower(key))
    );
  }

  #missing(): WantedLayer[] {
    const seen = new Set<string>();
    return this.#wanted.filter((wanted) => {
      const name = nameOf(wanted);
      if (seen.has(name) || this.#isThere(wanted)) return false;
      seen.add(name);
      return true;
    });
  }

  /** Compressed sizes are a lower bound of what the layers will take. */
  #checkSpace(): void {
    const { layout } = this.#deps.store;
    const need = this.#missing().reduce((sum, { layer }) => sum + (layer.size ?? 0), 0);
    const free = filesystemOf(layout.root).availableBytes;
    if (need > free) throw new PluginError('STORE_FULL', { store: layout.root, need, free });
  }

  #claim(layers: readonly WantedLayer[]) {
    const mine: { wanted: WantedLayer; claim: Claim }[] = [];
    const others: { wanted: WantedLayer; path: string }[] = [];
    try {
      for (const wanted of layers) {
        const path = `${this.#deps.store.layout.locks}/${nameOf(wanted)}.claim`;
        const claim = tryClaim(path);
        if ('heldBy' in claim) others.push({ wanted, path });
        else mine.push({ wanted, claim });
      }
    } catch (error) {
      for (const { claim } of mine) claim.release();
      throw error;
    }
    return { mine, others };
  }

  /**
   * One syncfs(2) and one publication for all that came through; the first failure is thrown after it. When a layer's
   * own sync failed, nothing is published.
   */
  async #fetchAndPublish(layers: readonly WantedLayer[]): Promise<void> {
    const { store, concurrency } = this.#deps;
    const results = await settleLimited(layers, concurrency, (wanted) =>
      fetchLayer(this.#deps, wanted, undefined),
    );
    const good = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
    const lost = syncFailureIn(results);
    if (lost !== undefined) {
      // What could not be written may be any layer's, and the kernel tells of it once.
      for (const { staged } of good) store.layers.discard(staged);
      throw lost;
    }
    this.#publish(good);
    for (const { wanted, record } of good) this.#learn(wanted, record.key, record.diffId);
    this.fetched.push(...good);
    for (const [i, result] of results.entries()) {
      if (result.status === 'fulfilled') continue;
      const key = layers[i]?.key;
      if (key === undefined || !isPluginError(result.reason, 'LAYER_NEEDS_LOWER')) throw result.reason;
      store.sources.rememberNeedsLower(key);
    }
  }

  #publish(layers: readonly FetchedLayer[]): void {
    const { store } = this.#deps;
    try {
      this.#lease.add(layers.map(({ record }) => record.key));
    } catch (error) {
      for (const { staged } of layers) store.layers.discard(staged);
      throw error;
    }
    if (layers.length > 0) store.layers.publish(layers);
  }

  #learn(wanted: WantedLayer, key: LayerKey, diffId: FetchedLayer['record']['diffId']): void {
    this.#named.set(wanted, key);
    if (wanted.layer.identity !== undefined) this.#deps.store.sources.remember(wanted.layer.identity, diffId);
  }
}

/** Of a layer's own sync, before all of them are published. */
function syncFailureIn(results: readonly PromiseSettledResult<unknown>[]): SysError | undefined {
  const reasons = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []));
  return reasons.find((reason) => reason instanceof SysError && reason.syscall === 'syncfs');
}

function nameOf(wanted: WantedLayer): string {
  return wanted.key ?? `source-${sha256Hex(wanted.layer.identity ?? '')}`;
}
