/**
 * Lets one process fetch a layer while other processes wait for it. They do not wait for ever: the process that names a
 * layer first decides which registry it comes from, and a hostile registry may send one byte now and then. A process
 * that has waited as long as an honest transfer takes fetches the layer from its own source, beside the first. The
 * claim for that is named after the layer and the source. So all processes that want the layer from this source make
 * one more download, and a slow source slows only the processes that use it.
 */

import { sha256Hex } from '../../base/digest.ts';
import { MiB } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import type { Store } from '../../store/store.ts';
import { type Claim, tryClaim, waitForRelease } from '../../sys/exclusive/claim.ts';
import { blobOfLayer, declaredSize, type ImageLayer, sourceIdentity } from './image-layer.ts';
import type { ResolvedImage } from './source.ts';

/** Times in milliseconds of `performance.now()`. */
export interface Patience {
  /** The start of the waiting process. */
  readonly since: number;
  /** The shortest wait, for a layer of any size. */
  readonly floorMs: number;
  /** A layer of more bytes is waited for as long as its transfer takes at this rate. */
  readonly bytesPerSecond: number;
}

/** An honest registry is resolved, connected and sends its first bytes in this time. */
const FLOOR_MS = 10_000;
/** 8 Mbit/s. A registry that is slower than this is worth a second try. */
const BYTES_PER_SECOND = MiB;

export function patienceOf(deps: {
  readonly since?: number | undefined;
  readonly patience?: Patience | undefined;
}): Patience {
  if (deps.patience !== undefined) return deps.patience;
  const { since = performance.now() } = deps;
  return { since, floorMs: FLOOR_MS, bytesPerSecond: BYTES_PER_SECOND };
}

/**
 * The end of the wait for other processes. `bytes` comes from the waiter's own manifest, since the process with the
 * claim may have another.
 */
export function waitEnd({ since, floorMs, bytesPerSecond }: Patience, bytes: number): number {
  return since + Math.max(floorMs, (bytes / bytesPerSecond) * 1000);
}

/** The turn of another process, which fetches the layer now. */
export interface Held {
  /**
   * The claims on the layer: that of the first process, and that of the process which fetches from the same source as
   * this one.
   */
  readonly paths: readonly string[];
  /** The time to take a second claim; infinite where there are two claims already. */
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

  /**
   * Takes the layer's claim, or the second one after the wait. Never waits.
   * @param name the layer's name in the store, or another name that all processes give it
   * @throws SysError
   */
  take(name: string, layer: ImageLayer): Claim | Held {
    const { locks } = this.#deps.store.layout;
    const path = `${locks}/${name}.claim`;
    const first = tryClaim(path);
    if (!('heldBy' in first)) return first;
    const until = waitEnd(this.#patience, declaredSize(layer) ?? 0);
    if (performance.now() < until) return { paths: [path], until };
    const beside = `${locks}/${sha256Hex(JSON.stringify([name, this.#sourceOf(layer)]))}.second.claim`;
    const second = tryClaim(beside);
    if ('heldBy' in second) return { paths: [path, beside], until: Number.POSITIVE_INFINITY };
    this.#deps.log.info('layer-fetched-beside', { layer: name, holder: first.heldBy?.pid });
    return second;
  }

  /**
   * Waits until the layer is there, a process releases its claim, or it is time for a second claim. @throws the
   * signal's reason
   */
  async wait({ paths, until }: Held, isThere: () => boolean): Promise<void> {
    const { store, signal } = this.#deps;
    await waitForRelease(paths, signal, { until, isDone: isThere, arrivals: store.layout.volumes });
  }

  /** The facts that decide on the bytes and on their speed. Two tenants share them only by using the same place. */
  #sourceOf(layer: ImageLayer): unknown {
    const { name, origin } = this.#image;
    const place = typeof origin === 'object' ? [origin.registry, origin.repository] : name;
    const blob = blobOfLayer(layer);
    return [place, blob?.digest, sourceIdentity(layer), blob?.urls];
  }
}

export function isHeld(turn: Claim | Held): turn is Held {
  return 'paths' in turn;
}
