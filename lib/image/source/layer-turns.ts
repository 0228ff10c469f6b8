/**
 * Of many who want the same layer one fetches it, and the others wait for that one: but not for ever, since who names a
 * layer first decides which registry it comes from, and a hostile one sends a byte now and then. Who has waited for as
 * long as an honest transfer takes fetches the layer from its own source, beside the first. The claim on that is named
 * after the layer and the source: all who want the layer from there make one download more, and a source that is slow
 * is slow for those alone who use it.
 */
import { sha256Hex } from '../../base/digest.ts';
import { MiB } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import type { Store } from '../../store/store.ts';
import { type Claim, tryClaim, waitForRelease } from '../../sys/exclusive/claim.ts';
import type { ImageLayer, ResolvedImage } from './source.ts';

/** Times in milliseconds of `performance.now()`. */
export interface Patience {
  /** When the waiting process began. */
  readonly since: number;
  /** So long everybody waits. */
  readonly floorMs: number;
  /** What is declared larger is waited for as long as it takes at this rate. */
  readonly bytesPerSecond: number;
}

/** Resolving, connecting and the first bytes of an honest registry are over by then. */
const FLOOR_MS = 10_000;
/** 8 Mbit/s: a registry that is slower than this is worth a second try. */
const BYTES_PER_SECOND = MiB;

export function patienceOf(deps: {
  readonly since?: number | undefined;
  readonly patience?: Patience | undefined;
}): Patience {
  if (deps.patience !== undefined) return deps.patience;
  const { since = performance.now() } = deps;
  return { since, floorMs: FLOOR_MS, bytesPerSecond: BYTES_PER_SECOND };
}

/** When nobody else is waited for any more. `bytes` is the waiter's own manifest's word, not that of who has the claim. */
export function waitEnd({ since, floorMs, bytesPerSecond }: Patience, bytes: number): number {
  return since + Math.max(floorMs, (bytes / bytesPerSecond) * 1000);
}

/** Somebody else is at the layer. */
export interface Held {
  /** The claims of those that may bring the layer: the first one's, and from this process's own source. */
  readonly paths: readonly string[];
  /** Then it is time to take a second one. Never, where there are two. */
  readonly until: number;
}

export interface TurnDeps {
  readonly store: Store;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

export class LayerTurns {
  readonly #deps: TurnDeps;
  readonly #image: Pick<ResolvedImage, 'name' | 'origin'>;
  readonly #patience: Patience;

  constructor(deps: TurnDeps, image: Pick<ResolvedImage, 'name' | 'origin'>, patience: Patience) {
    this.#deps = deps;
    this.#image = image;
    this.#patience = patience;
  }

  /** @param name the layer's in the store, or any other that everybody who wants it gives it. Never waits. @throws SysError */
  take(name: string, layer: ImageLayer): Claim | Held {
    const { locks } = this.#deps.store.layout;
    const path = `${locks}/${name}.claim`;
    const first = tryClaim(path);
    if (!('heldBy' in first)) return first;
    const until = waitEnd(this.#patience, layer.size ?? 0);
    if (performance.now() < until) return { paths: [path], until };
    const beside = `${locks}/${sha256Hex(JSON.stringify([name, this.#sourceOf(layer)]))}.second.claim`;
    const second = tryClaim(beside);
    if ('heldBy' in second) return { paths: [path, beside], until: Number.POSITIVE_INFINITY };
    this.#deps.log.info('layer-fetched-beside', { layer: name, holder: first.heldBy?.pid });
    return second;
  }

  /** Until the layer is there, somebody lets go of it, or it is time for a second claim. @throws the signal's reason */
  async wait({ paths, until }: Held, isThere: () => boolean): Promise<void> {
    const { store, signal } = this.#deps;
    await waitForRelease(paths, signal, { until, isDone: isThere, arrivals: store.layout.volumes });
  }

  /** What decides which bytes come and how fast; two tenants share it only by using the same place. */
  #sourceOf({ digest, urls, identity }: ImageLayer): unknown {
    const { name, origin } = this.#image;
    const place = typeof origin === 'object' ? [origin.registry, origin.repository] : name;
    return [place, digest, identity, urls];
  }
}

export function isHeld(turn: Claim | Held): turn is Held {
  return 'paths' in turn;
}
