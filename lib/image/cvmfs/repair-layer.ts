import { parseDiffId } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { TarReader, type TarSink } from '../../layer/tar/reader.ts';
import { Budget } from '../../layer/tree/budget.ts';
import { Blob, type ChunkSource } from '../../layer/unpack/blob.ts';
import { openTar } from '../../layer/unpack/decompress.ts';
import { FileSource, partOf } from '../../layer/unpack/file-source.ts';
import { compressionOfLayer, expectedFacts } from '../source/image-layer.ts';
import type { LayerBytes } from '../source/source.ts';
import { type Repaired, type RepairRequest, RepairSink } from './repair-sink.ts';

/** @throws Unrepairable; LAYER_* for what is wrong with the blob */
export async function repairLayer(request: RepairRequest): Promise<Repaired> {
  const source = chunksOf(request.bytes);
  const repair = new RepairSink(request);
  try {
    await readLayer(request, source, repair);
    return repair.finish();
  } catch (error) {
    repair.abandon();
    throw error;
  } finally {
    if (source instanceof FileSource) source.close();
  }
}

async function readLayer(
  { layer, budget }: RepairRequest,
  source: ChunkSource,
  sink: TarSink,
): Promise<void> {
  const { digest, size, diffId } = expectedFacts(layer);
  const limits = new Budget(budget, undefined);
  const blob = new Blob(source, { digest, size }, (bytes) => limits.compressed(bytes));
  const reader = new TarReader(sink, limits.maxFileSize);
  const hasher = new Bun.CryptoHasher('sha256');
  const { chunks } = await openTar(compressionOfLayer(layer), blob, async () => undefined);
  for await (const chunk of chunks) {
    hasher.update(chunk);
    limits.uncompressed(chunk.length);
    reader.push(chunk);
  }
  reader.end();
  await blob.verify();
  const actual = parseDiffId(`sha256:${hasher.digest('hex')}`);
  if (diffId !== undefined && actual !== diffId) {
    throw new PluginError('LAYER_DIFFID_MISMATCH', { expected: diffId, actual });
  }
}

/** The bytes as a source of chunks. The caller closes a `FileSource`. */
function chunksOf(bytes: LayerBytes): ChunkSource {
  if (bytes.kind === 'file') return new FileSource(bytes.path, partOf(bytes));
  const iterator = bytes.chunks[Symbol.asyncIterator]();
  return {
    next: async () => {
      const { done, value } = await iterator.next();
      return done === true ? undefined : value;
    },
  };
}
