import type { Grade } from '../../base/grade.ts';
import type { Grant } from '../../store/records/grants.ts';
import { blobOfLayer, type ImageLayer } from './image-layer.ts';
import type { BlobOfPlace, ImageSource, LayerBytes, ResolvedImage } from './source.ts';
import type { ThinOrigin } from './thin-image.ts';
import { MAX_THIN_BLOB, type ThinOptions } from './thin-options.ts';

/**
 * Wraps a source, and resolves thin images to the layers that they name. The code for that is loaded only for an image
 * of one small layer.
 */
export class ThinAwareSource implements ImageSource {
  readonly #inner: ImageSource;
  readonly #options: ThinOptions;
  #origin: ThinOrigin | undefined;

  constructor(inner: ImageSource, options: ThinOptions) {
    this.#inner = inner;
    this.#options = options;
  }

  /** @throws as the source, CVMFS_NOT_ALLOWED, CVMFS_BAD_RECORD for a thin image that is none */
  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    const image = await this.#inner.resolve(signal);
    const [layer, ...more] = image.layers;
    if (layer === undefined || more.length > 0 || !mayBeThin(layer)) return image;
    const { resolveThin } = await import('./thin-image.ts');
    const thin = await resolveThin(image, layer, this.#inner, this.#options, signal);
    this.#origin = thin?.origin;
    return thin?.image ?? image;
  }

  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    if (layer.kind !== 'directory') return this.#inner.open(layer, signal);
    if (this.#origin !== undefined) return this.#origin.open(layer, signal);
    const { nowhereElse } = await import('./thin-image.ts');
    throw nowhereElse(layer.onCvmfs);
  }

  async mayRead(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined> {
    return (this.#origin ?? this.#inner).mayRead?.(blob, signal);
  }

  delivered(layer: ImageLayer): Grant {
    const source = layer.kind !== 'directory' ? this.#inner : this.#origin;
    if (source === undefined) throw new Error('nothing has been opened');
    return source.delivered(layer);
  }

  hosts(layer: ImageLayer): readonly string[] | undefined {
    return (layer.kind !== 'directory' ? this.#inner : this.#origin)?.hosts?.(layer);
  }

  async verifyUnchanged(layer: ImageLayer): Promise<void> {
    await this.#inner.verifyUnchanged?.(layer);
  }

  reject(layer: ImageLayer): boolean {
    return layer.kind !== 'directory' && this.#inner.reject?.(layer) === true;
  }

  async close(): Promise<void> {
    await Promise.all([this.#inner.close(), this.#origin?.close()]);
  }
}

function mayBeThin(layer: ImageLayer): boolean {
  const blob = blobOfLayer(layer);
  if (blob === undefined) return false;
  const { size, baseDirectory, urls } = blob;
  return size !== undefined && size <= MAX_THIN_BLOB && baseDirectory === undefined && urls.length === 0;
}
