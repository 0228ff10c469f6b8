/**
 * Remembers the layers of an image whose reference fixes them: by a manifest digest, or by the very bytes of a layout's
 * index. A warm create then neither parses nor checks a manifest, nor loads the code for it.
 * When many processes want such an image at the same time, one takes a claim on its name and keeps it until `close`.
 * The other processes wait for that and then find a warm image. (64 processes that each resolve for themselves use
 * three times the CPU, measured.) The wait has an end: the process with the claim may itself be waiting for layers from
 * a slow registry.
 */

import { sha256Hex } from '../../base/digest.ts';
import type { Grade } from '../../base/grade.ts';
import type { Grant } from '../../store/records/grants.ts';
import type { Resolved } from '../../store/records/sources.ts';
import type { Store } from '../../store/store.ts';
import type { Claim } from '../../sys/exclusive/claim.ts';
import { cpuVariant } from '../../sys/kernel/cpu.ts';
import { exists } from '../../sys/kernel/look.ts';
import type { ImageGuard } from './guarded-source.ts';
import type { ImageLayer } from './image-layer.ts';
import type { BlobOfPlace, ImageSource, LayerBytes, ResolvedImage } from './source.ts';

export class RememberingSource implements ImageSource {
  readonly #store: Store;
  readonly #key: string | undefined;
  readonly #make: () => Promise<ImageSource>;
  readonly #guard: Pick<ImageGuard, 'accepted'> | undefined;
  #source: ImageSource | undefined;
  #resolved = false;
  #claim: Claim | undefined;

  /**
   * @param key all facts that decide on the source's answer; undefined: the source is asked each time
   * @param make makes the source, when it is first needed
   * @param guard the source is asked again for a remembered image without a verdict, since it has the signatures
   */
  constructor(
    store: Store,
    key: string | undefined,
    make: () => Promise<ImageSource>,
    guard?: Pick<ImageGuard, 'accepted'>,
  ) {
    this.#guard = guard;
    this.#store = store;
    this.#key = key;
    this.#make = make;
  }

  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    signal.throwIfAborted();
    const key = this.#key;
    if (key === undefined) return this.#ask(signal);
    const { layout } = this.#store;
    const path = `${layout.locks}/image-${sha256Hex(key)}.claim`;
    const known = exists(path) ? undefined : this.#known(key);
    if (known !== undefined) return known;
    const [{ claimOrWait }, { patienceOf, waitEnd }] = await Promise.all([
      import('../../sys/exclusive/claim.ts'),
      import('./layer-turns.ts'),
    ]);
    // The size of the image is not known before it is resolved.
    const until = waitEnd(patienceOf({}), 0);
    this.#claim = await claimOrWait(path, signal, { until });
    const meanwhile = this.#known(key);
    if (meanwhile !== undefined) return meanwhile;
    const image = await this.#ask(signal);
    if (mayBeRemembered(image) && isFixed(image)) this.#store.sources.rememberResolved(key, image);
    return image;
  }

  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    // A source opens only layers that it resolved itself, since it needs their connections and checks.
    if (!this.#resolved) await this.#ask(signal);
    return (await this.#get()).open(layer, signal);
  }

  async verifyUnchanged(layer: ImageLayer): Promise<void> {
    await this.#source?.verifyUnchanged?.(layer);
  }

  async mayRead(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined> {
    return (await this.#get()).mayRead?.(blob, signal);
  }

  delivered(layer: ImageLayer): Grant {
    if (this.#source === undefined) throw new Error('nothing has been opened');
    return this.#source.delivered(layer);
  }

  hosts(layer: ImageLayer): readonly string[] | undefined {
    return this.#source?.hosts?.(layer);
  }

  reject(layer: ImageLayer): boolean {
    return this.#source?.reject?.(layer) === true;
  }

  async close(): Promise<void> {
    this.#claim?.release();
    await this.#source?.close();
  }

  /**
   * The remembered image. Undefined where another processor level chose it, since a store may move to another machine.
   */
  #known(key: string): ResolvedImage | undefined {
    const image = this.#store.sources.resolved(key) as ResolvedImage | undefined;
    if (image === undefined) return undefined;
    if (this.#guard !== undefined && this.#guard.accepted(image.manifestDigest) === undefined)
      return undefined;
    if (image.forLevel === undefined || image.forLevel === (cpuVariant() ?? '')) return image;
    return undefined;
  }

  async #ask(signal: AbortSignal): Promise<ResolvedImage> {
    const image = await (await this.#get()).resolve(signal);
    this.#resolved = true;
    return image;
  }

  async #get(): Promise<ImageSource> {
    this.#source ??= await this.#make();
    return this.#source;
  }
}

/** A caller whose own credentials were needed is asked each time. */
function mayBeRemembered({ unverified, grade }: ResolvedImage): boolean {
  return !unverified && grade !== undefined && grade !== 'asked';
}

/**
 * True when every layer has a digest and a diffID. A layer on CVMFS may be gone tomorrow, so such an image is resolved
 * each time.
 */
export function isFixed(image: ResolvedImage): image is ResolvedImage & Resolved {
  return image.layers.every(
    (layer) => (layer.kind === 'blob' || layer.kind === 'unvalidated') && layer.diffId !== undefined,
  );
}
