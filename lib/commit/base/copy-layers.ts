/** Copies the base layers of an image into a layout, verified. */
import type { Digest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { asPluginError } from '../../http/failure.ts';
import type { BaseDocuments, WrittenDescriptor } from '../image/document.ts';
import type { LayoutWriter } from '../target/layout-writer.ts';
import { asGone } from './base-image.ts';
import type { BaseReader } from './base-reader.ts';

/** @throws COMMIT_BASE where a layer is gone or is another one; REGISTRY_*, COMMIT_TARGET_FULL */
export async function copyLayers(
  reader: BaseReader,
  { shown: image, layers }: Pick<BaseDocuments, 'shown' | 'layers'>,
  writer: LayoutWriter,
  signal: AbortSignal,
): Promise<void> {
  for (const layer of layers) {
    // An image may have the same layer twice.
    while (!writer.has(layer.digest, layer.size)) {
      try {
        await copy(reader, layer, writer, signal);
      } catch (error) {
        // A mirror gave other bytes. Each rejection takes one place away, and the registry itself is never rejected.
        if (!(error instanceof WrongBytes) || !reader.reject(layer.digest))
          throw asGone({ image }, told(error));
      }
    }
  }
}

class WrongBytes extends Error {}

function told(error: unknown): unknown {
  return error instanceof WrongBytes ? error.cause : asPluginError(error);
}

async function copy(
  reader: BaseReader,
  { digest, size, mediaType }: WrittenDescriptor,
  writer: LayoutWriter,
  signal: AbortSignal,
): Promise<void> {
  using blob = writer.stage();
  const hash = new Bun.CryptoHasher('sha256');
  let bytes = 0;
  for await (const chunk of reader.layer({ digest, size, mediaType }, signal)) {
    signal.throwIfAborted();
    bytes += chunk.length;
    if (bytes > size) break;
    hash.update(chunk);
    blob.write(chunk);
  }
  if (bytes !== size)
    throw wrong(new PluginError('LAYER_SIZE_MISMATCH', { expected: size, actual: bytes, when: 'actual' }));
  const actual = `sha256:${hash.digest('hex')}` as Digest;
  if (actual !== digest) throw wrong(new PluginError('LAYER_DIGEST_MISMATCH', { expected: digest, actual }));
  blob.publish(digest);
}

function wrong(cause: PluginError): WrongBytes {
  return new WrongBytes(cause.code, { cause });
}
