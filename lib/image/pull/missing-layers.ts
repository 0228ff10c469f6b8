import { sha256Hex } from '../../base/digest.ts';
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { settleLimited } from '../../base/pool.ts';
import type { LayerKey } from '../../store/layout/layer-key.ts';
import type { Claim } from '../../sys/exclusive/claim.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import { filesystemOf } from '../../sys/kernel/statfs.ts';
import { blobOfLayer, declaredSize, sourceIdentity } from '../source/image-layer.ts';
import { type Held, isHeld, type LayerTurns } from '../source/layer-turns.ts';
import type { Pull } from './context.ts';
import { type FetchedLayer, fetchLayer } from './fetch-layer.ts';
import { keyOf, type NamedLayer } from './layer-names.ts';
import { LockingTimes } from './locking-times.ts';
import { ReadyLayers } from './ready-layers.ts';

interface Claimed {
  readonly named: NamedLayer;
  readonly claim: Claim;
}

/** Fetches the layers of one pull that the store lacks. */
export class MissingLayers {
  readonly fetched: FetchedLayer[] = [];
  readonly #pull: Pull;
  readonly #layers: readonly NamedLayer[];
  readonly #turns: LayerTurns;
  readonly #times: LockingTimes;
  /** Names that became known by reading: those of local tars. */
  readonly #learned = new Map<NamedLayer, LayerKey>();

  constructor(pull: Pull, layers: readonly NamedLayer[], turns: LayerTurns) {
    this.#pull = pull;
    this.#layers = layers;
    this.#turns = turns;
    this.#times = new LockingTimes(pull.context.metrics);
  }

  /**
   * Fetches in rounds. First come all layers that can be claimed now. Then come layers that other processes had
   * claimed, once they release the claim or have had their time. A layer with a base directory waits for the layer
   * below it, since it copies attributes from there.
   */
  async run(): Promise<void> {
    await this.#ask();
    this.#checkSpace();
    this.#tellExpected();
    for (let left = this.#missing(); left.length > 0; left = this.#missing()) {
      const missing = new Set(left.map(({ key }) => key));
      const ready = left.filter(
        ({ layer, parent }) =>
          blobOfLayer(layer)?.baseDirectory === undefined || parent === undefined || !missing.has(parent),
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
        this.#pull.context.log.info('waiting-for-layer', { layer: first.named.key, others: others.length });
        this.#pull.context.progress.waiting?.(others.length);
        const names = others.map(({ named }) => nameOf(named));
        await this.#times.ofWaiting(names, () => this.#turns.wait(first.held, this.#hasCome(first.named)));
        this.#hear();
        for (const { named } of others) if (this.#isThere(named)) this.#times.tell(nameOf(named));
        await this.#ask();
      }
    }
  }

  /**
   * Takes over the names of local tars that other processes have read meanwhile. Without it every waiting create would
   * read the tar, one after the other.
   */
  #hear(): void {
    for (const named of this.#layers) {
      if (this.keyOf(named) !== undefined) continue;
      const key = keyOf(this.#pull.context.store, named.layer, named.parent);
      if (key === undefined) continue;
      this.#pull.request.lease.add([key]);
      this.#learned.set(named, key);
    }
  }

  /** A layer's name in the store, which may be known only after a read. */
  keyOf(named: NamedLayer): LayerKey | undefined {
    return named.key ?? this.#learned.get(named);
  }

  /** Asks the place about layers that other processes have brought meanwhile. */
  async #ask(): Promise<void> {
    await this.#pull.admission.ask(this.#layers.flatMap((named) => this.keyOf(named) ?? []));
  }

  /**
   * Returns a check whether the layer has come since. A layer that was there before and that the caller may not have is
   * no reason to stop waiting.
   */
  #hasCome(named: NamedLayer): () => boolean {
    const isHere = () => {
      const key = this.keyOf(named);
      return key !== undefined && this.#pull.context.store.layers.has(key);
    };
    const before = isHere();
    return () => this.#isThere(named) || (!before && isHere());
  }

  #isThere(named: NamedLayer): boolean {
    const key = this.keyOf(named);
    return (
      key !== undefined && (this.#pull.admission.has(key) || this.#pull.context.store.sources.needsLower(key))
    );
  }

  #missing(): NamedLayer[] {
    const seen = new Set<string>();
    return this.#layers.filter((named) => {
      const name = nameOf(named);
      if (seen.has(name) || this.#isThere(named)) return false;
      seen.add(name);
      return true;
    });
  }

  #tellExpected(): void {
    const sizes = this.#missing().map(({ layer }) => declaredSize(layer));
    const isKnown = sizes.every((size) => size !== undefined);
    const bytes = isKnown ? sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0) : undefined;
    if (sizes.length > 0) this.#pull.context.progress.expect?.(sizes.length, bytes);
  }

  /** Refuses early when the disk is too small. Compressed sizes are a lower bound of the layers' sizes. */
  #checkSpace(): void {
    const { layout } = this.#pull.context.store;
    const need = this.#missing().reduce((sum, { layer }) => sum + (declaredSize(layer) ?? 0), 0);
    const free = filesystemOf(layout.root).availableBytes;
    if (need > free) throw new PluginError('STORE_FULL', { store: layout.root, need, free });
  }

  #claim(layers: readonly NamedLayer[]) {
    const mine: Claimed[] = [];
    const others: { named: NamedLayer; held: Held }[] = [];
    try {
      for (const named of layers) {
        const name = nameOf(named);
        const turn = this.#times.ofTaking(name, () => this.#turns.take(name, named.layer));
        if (isHeld(turn)) others.push({ named, held: turn });
        else {
          mine.push({ named, claim: turn });
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
    const { concurrency } = this.#pull.context;
    const ready = new ReadyLayers(this.#pull, (layers) => this.#arrived(layers));
    const results = await settleLimited(claimed, concurrency, async (one) => {
      try {
        if (!this.#isThere(one.named))
          ready.add(await fetchLayer(this.#pull, one.named, undefined), one.claim);
        else one.claim.release();
      } catch (error) {
        this.#failed(one, error, ready);
      }
    });
    ready.finish();
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }

  /** @throws the error, unless it means only that the layer cannot stand alone */
  #failed({ named: { key }, claim }: Claimed, error: unknown, ready: ReadyLayers): void {
    try {
      // The kernel reports a failed write once, and it may belong to any of the layers.
      if (error instanceof SysError && error.syscall === 'syncfs') ready.fail(error);
      if (key === undefined || !isPluginError(error, 'LAYER_NEEDS_LOWER')) throw error;
      this.#pull.context.store.sources.rememberNeedsLower(key);
    } finally {
      claim.release();
    }
  }

  #arrived(layers: readonly FetchedLayer[]): void {
    for (const { named, record } of layers) this.#learn(named, record.key, record.diffId);
    this.fetched.push(...layers);
  }

  #learn(named: NamedLayer, key: LayerKey, diffId: FetchedLayer['record']['diffId']): void {
    this.#learned.set(named, key);
    const identity = sourceIdentity(named.layer);
    if (identity !== undefined) this.#pull.context.store.sources.remember(identity, diffId);
  }
}

function nameOf(named: NamedLayer): string {
  return named.key ?? `source-${sha256Hex(sourceIdentity(named.layer) ?? '')}`;
}
