/**
 * What an image resolved to the last time, where its name fixes the answer: a manifest digest, or the very bytes
 * of a layout's index. A warm create then neither parses nor checks a manifest again, nor loads the code for it.
 *
 * Of many who want such an image at once one asks and fetches, from its claim on the name to its `close`; the
 * others wait for that and then are warm. (64 at once: each that asks for itself spends three times the CPU.) They do not
 * wait for ever: who has the claim may itself be waiting, for layers that somebody else fetches from a slow registry.
 */
import { sha256Hex } from '../../base/digest.ts';
import type { Grade } from '../../base/grade.ts';
import type { Grant } from '../../store/records/grants.ts';
import type { Store } from '../../store/store.ts';
import type { Claim } from '../../sys/exclusive/claim.ts';
import { cpuVariant } from '../../sys/kernel/cpu.ts';
import { exists } from '../../sys/kernel/look.ts';
import type { BlobOfPlace, ImageLayer, ImageSource, LayerBytes, ResolvedImage } from './source.ts';

export class RememberingSource implements ImageSource {
  readonly #store: Store;
  readonly #key: string | undefined;
  readonly #make: () => Promise<ImageSource>;
  #source: ImageSource | undefined;
  #resolved = false;
  #claim: Claim | undefined;

  /**
   * @param key everything that decides what the source would answer; undefined: ask it every time
   * @param make the source itself, made when it is first needed
   */
  constructor(store: Store, key: string | undefined, make: () => Promise<ImageSource>) {
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
    // How many bytes the image has is not known before it is resolved.
    const until = waitEnd(patienceOf({}), 0);
    this.#claim = await claimOrWait(path, signal, { until });
    const meanwhile = this.#known(key);
    if (meanwhile !== undefined) return meanwhile;
    const image = await this.#ask(signal);
    if (isFixed(image)) this.#store.sources.rememberResolved(key, image);
    return image;
  }

  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    // A source opens only what it resolved itself: connections and checks come with that.
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

  reject(layer: ImageLayer): boolean {
    return this.#source?.reject?.(layer) === true;
  }

  async close(): Promise<void> {
    this.#claim?.release();
    await this.#source?.close();
  }

  /** A store may move to a machine with another processor, which then gets another image. */
  #known(key: string): ResolvedImage | undefined {
    const image = this.#store.sources.resolved(key) as ResolvedImage | undefined;
    if (image?.forLevel === undefined || image.forLevel === (cpuVariant() ?? '')) return image;
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

/** Every layer has a name of its own in the store; what lies on CVMFS may be somewhere else tomorrow. */
function isFixed(image: ResolvedImage): boolean {
  if (image.unverified) return false;
  // Whose own credentials got it is asked each time.
  if (image.grade === undefined || image.grade === 'asked') return false;
  return image.layers.every(({ digest, diffId, published }) => digest && diffId && published === undefined);
}
