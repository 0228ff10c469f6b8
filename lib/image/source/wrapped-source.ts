import type { Grade } from '../../base/grade.ts';
import type { Grant } from '../../store/records/grants.ts';
import type { ImageLayer } from './image-layer.ts';
import type { BlobOfPlace, ImageSource, LayerBytes, ResolvedImage } from './source.ts';

/** A source that another one stands before: what the other one does not change is asked of this one. */
export abstract class WrappedSource implements ImageSource {
  protected readonly inner: ImageSource;

  constructor(inner: ImageSource) {
    this.inner = inner;
  }

  get place(): string | undefined {
    return this.inner.place;
  }

  abstract resolve(signal: AbortSignal): Promise<ResolvedImage>;

  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    return this.inner.open(layer, signal);
  }

  async mayRead(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined> {
    return this.inner.mayRead?.(blob, signal);
  }

  delivered(layer: ImageLayer): Grant {
    return this.inner.delivered(layer);
  }

  hosts(layer: ImageLayer): readonly string[] | undefined {
    return this.inner.hosts?.(layer);
  }

  async verifyUnchanged(layer: ImageLayer): Promise<void> {
    await this.inner.verifyUnchanged?.(layer);
  }

  reject(layer: ImageLayer): boolean {
    return this.inner.reject?.(layer) === true;
  }

  close(): Promise<void> {
    return this.inner.close();
  }
}
