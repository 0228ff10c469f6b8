/** Reads the bytes of a layer in this thread. */
import { type Digest, parseDigest } from '../../base/digest.ts';
import { FileSource, partOf } from '../../layer/unpack/file-source.ts';
import type { LayerBytes } from './source.ts';

/** The digest of a blob that is read to its end. @throws SysError, the errors of a stream, and the signal's reason */
export async function digestOfBytes(bytes: LayerBytes, signal: AbortSignal): Promise<Digest> {
  const hasher = new Bun.CryptoHasher('sha256');
  for await (const chunk of chunksOf(bytes)) {
    signal.throwIfAborted();
    hasher.update(chunk);
  }
  return parseDigest(`sha256:${hasher.digest('hex')}`);
}

/** @throws SysError, and the errors of a stream */
export async function* chunksOf(bytes: LayerBytes): AsyncGenerator<Uint8Array> {
  if (bytes.kind === 'stream') {
    yield* bytes.chunks;
    return;
  }
  const file = new FileSource(bytes.path, partOf(bytes));
  try {
    for (let chunk = await file.next(); chunk !== undefined; chunk = await file.next()) yield chunk;
  } finally {
    file.close();
  }
}
