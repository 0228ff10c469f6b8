import { type Digest, digestOf } from '../base/digest.ts';
import { isPluginError } from '../base/errors/error.ts';
import type { Progress } from '../base/progress.ts';
import { asGone, gone } from '../commit/base/base-image.ts';
import type { BaseReader, BlobToRead } from '../commit/base/base-reader.ts';
import type { BaseDocuments } from '../commit/image/document.ts';
import { asPluginError } from '../http/failure.ts';
import { OCI_MANIFEST } from '../oci/media-types.ts';
import { formatReference, type RegistryReference } from '../oci/reference.ts';
import type { BlobToPush } from '../registry/push/blob-to-push.ts';
import type { PushClient } from '../registry/push/push-client.ts';
import { openUnnamedFile } from '../sys/files/clone-range.ts';
import { readPiecesOf } from '../sys/files/regular-file.ts';
import { close, writeAll } from '../sys/kernel/files.ts';
import { bytesOfText } from '../sys/kernel/utf8.ts';
import type { CommitTarget } from './commit-target.ts';
import { pushImage } from './push.ts';

export interface RegistryTargetDeps {
  readonly reference: RegistryReference;
  readonly client: PushClient;
  /** Where the new layer is kept until it is sent: outside of any container. */
  readonly directory: string;
  /** The number of blobs at a time. */
  readonly parallel: number;
  readonly progress: Progress;
}

/** A layer of the base image, read from where the base image is when the registry wants its bytes. */
interface Below {
  readonly image: string;
  readonly reader: BaseReader;
  readonly blobs: readonly BlobToRead[];
}

/** An image in a registry. Layers of the base image that the registry has, or can mount, are not read. */
export function toRegistry(deps: RegistryTargetDeps): CommitTarget {
  const file = new LayerFile(deps.directory);
  let below: Below | undefined;
  return {
    layersBelow: async (reader, documents) => {
      below = belowOf(reader, documents);
    },
    stage: () => file.stage(),
    publish: async (layer, text, manifestOf, signal) => {
      const config = inMemory(text);
      const manifest = inMemory(manifestOf(config));
      const own: BlobToPush = { digest: layer.digest, size: layer.size, open: (from) => file.read(from) };
      const image = {
        name: formatReference(deps.reference),
        manifests: [{ bytes: manifest.bytes, mediaType: OCI_MANIFEST, digest: manifest.digest }],
        blobs: unique([...blobsOf(below, signal), own, config]),
        foreign: 0,
      };
      const { client, parallel, progress, reference: target } = deps;
      const push = () => pushImage({ image, target, client, parallel, progress, signal });
      await withOtherMirrors(below, push);
      return manifest.digest;
    },
    [Symbol.dispose]: () => {
      file.close();
      deps.client.close();
    },
  };
}

function belowOf(reader: BaseReader, { shown: image, layers }: BaseDocuments): Below {
  return { image, reader, blobs: layers.map(({ digest, size, mediaType }) => ({ digest, size, mediaType })) };
}

function blobsOf(below: Below | undefined, signal: AbortSignal): BlobToPush[] {
  if (below === undefined) return [];
  const { image, reader, blobs } = below;
  return blobs.map((blob) => {
    const { digest, size } = blob;
    return { digest, size, open: (from) => bytesFrom(from, reader.layer(blob, signal), image) };
  });
}

/** An image may have the same layer twice. */
function unique(blobs: readonly BlobToPush[]): BlobToPush[] {
  return [...new Map(blobs.map((blob) => [blob.digest, blob])).values()];
}

/**
 * The bytes from an offset on. The base image is read from its start again, since an upload that broke off is rare.
 * Errors are those of the base image, and never look like an answer to the upload.
 */
async function* bytesFrom(
  from: number,
  bytes: AsyncIterable<Uint8Array>,
  image: string,
): AsyncGenerator<Uint8Array, void, undefined> {
  let left = from;
  try {
    for await (const chunk of bytes) {
      const skipped = Math.min(left, chunk.length);
      left -= skipped;
      if (skipped < chunk.length) yield chunk.subarray(skipped);
    }
  } catch (error) {
    throw asGone({ image }, asPluginError(error));
  }
}

/**
 * Pushes again without a mirror that gave other bytes of a base layer; the registry then has what was sent before. Each
 * rejection takes one place away, and the registry of the base image itself is never rejected.
 */
async function withOtherMirrors(below: Below | undefined, push: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await push();
      return;
    } catch (error) {
      if (below === undefined || !isPluginError(error, 'PUSH_BLOB_DAMAGED')) throw error;
      const { digest } = error.subject;
      const bad = below.blobs.find((blob) => blob.digest === digest);
      if (bad === undefined) throw error;
      if (!below.reader.reject(bad.digest)) throw gone(below, 'a layer has other bytes than before', error);
    }
  }
}

function inMemory(text: string): BlobToPush & { readonly bytes: Uint8Array } {
  const bytes = bytesOfText(text);
  async function* open(from: number): AsyncGenerator<Uint8Array, void, undefined> {
    yield bytes.subarray(from);
  }
  return { digest: digestOf(bytes), size: bytes.length, bytes, open };
}

/** The new layer in a file without a name, which ends with the process. */
class LayerFile {
  readonly #directory: string;
  #fd: number | undefined;

  constructor(directory: string) {
    this.#directory = directory;
  }

  stage() {
    const fd = openUnnamedFile(this.#directory);
    this.#fd = fd;
    return {
      write: (bytes: Uint8Array) => writeAll(fd, bytes, this.#directory),
      publish: (_digest: Digest) => {},
      [Symbol.dispose]: () => {},
    };
  }

  read(from: number): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#fd === undefined) throw new Error('should never happen: a layer is sent before it was written');
    return readPiecesOf(this.#fd, this.#directory, from);
  }

  close(): void {
    if (this.#fd !== undefined) close(this.#fd);
    this.#fd = undefined;
  }
}
