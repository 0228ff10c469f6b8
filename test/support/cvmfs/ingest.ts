/** A layer's tar into a directory, as a publishing tool would publish it: CernVM-FS's ingest command, or an unpacker. */
import { GiB } from '../../../lib/base/limits.ts';
import { TarReader } from '../../../lib/layer/tar/reader.ts';
import { IngestedTree } from './ingest-tree.ts';
import type { Ingested, IngestOptions } from './ingested.ts';
import { UnpackedTree } from './unpack-published.ts';

const MAX_FILE = 64 * GiB;

/** Fills the existing empty directory `target` from an uncompressed tar. @throws IngestAborted, PluginError LAYER_* */
export async function ingestTar(
  target: string,
  tar: AsyncIterable<Uint8Array>,
  options: IngestOptions,
): Promise<Ingested> {
  const made =
    options.tool === 'unpack' ? new UnpackedTree(target, options) : new IngestedTree(target, options);
  try {
    const reader = new TarReader(made, MAX_FILE);
    for await (const chunk of tar) reader.push(chunk);
    reader.end();
    return made.finish();
  } catch (error) {
    made.abandon();
    throw error;
  }
}
