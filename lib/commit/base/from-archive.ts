import { type Digest, digestOf } from '../../base/digest.ts';
import { digestOfLayer } from '../../image/source/image-layer.ts';
import { chunksOf } from '../../image/source/layer-chunks.ts';
import { unreadable } from '../../image/source/local-file.ts';
import type { ImageSource, ResolvedImage } from '../../image/source/source.ts';
import type { BaseReader, BlobToRead } from './base-reader.ts';

/** The base image in an archive (`docker-archive:`, `oci-archive:`), which is read as a create reads it. */
export class ArchiveBase implements BaseReader {
  readonly #path: string;
  readonly #source: Promise<ImageSource>;
  readonly #documents = new Map<Digest, Uint8Array>();
  readonly #stop = new AbortController();
  #image: Promise<ResolvedImage> | undefined;

  /** @param open makes the source, which hands manifest and configuration over */
  constructor(path: string, open: (onDocument: (bytes: Uint8Array) => void) => Promise<ImageSource>) {
    this.#path = path;
    this.#source = open((bytes) => this.#documents.set(digestOf(bytes), bytes));
  }

  manifest(digest: Digest): Promise<Uint8Array> {
    return this.#document(digest);
  }

  config({ digest }: BlobToRead): Promise<Uint8Array> {
    return this.#document(digest);
  }

  async *layer({ digest }: BlobToRead): AsyncGenerator<Uint8Array> {
    const { layers } = await this.#resolve();
    const layer = layers.find((one) => digestOfLayer(one) === digest);
    if (layer === undefined) throw unreadable(this.#path, 'it has not the layers of the container any more');
    yield* chunksOf(await (await this.#source).open(layer, this.#stop.signal));
  }

  /** The file has these bytes and no others. */
  reject(): boolean {
    return false;
  }

  close(): void {
    this.#stop.abort();
    this.#source.then((source) => source.close()).catch(() => undefined);
  }

  async #document(digest: Digest): Promise<Uint8Array> {
    await this.#resolve();
    const bytes = this.#documents.get(digest);
    if (bytes === undefined) throw unreadable(this.#path, 'it has not the image of the container any more');
    return bytes;
  }

  #resolve(): Promise<ResolvedImage> {
    this.#image ??= this.#source.then((source) => source.resolve(this.#stop.signal));
    return this.#image;
  }
}
