/** The compressed bytes of a layer, from its source. */
import type { ChunkSource } from '../../layer/unpack/blob.ts';
import { FileSource } from '../../layer/unpack/file-source.ts';
import type { LayerBytes } from '../source/source.ts';

/** The bytes as a source of chunks. The caller closes a `FileSource`. */
export function chunksOf(bytes: LayerBytes): ChunkSource {
  if (bytes.kind === 'file') return new FileSource(bytes.path);
  const iterator = bytes.chunks[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { done, value } = await iterator.next();
      return done === true ? undefined : value;
    },
  };
}
