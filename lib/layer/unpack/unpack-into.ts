/**
 * Unpacks a layer from its blob to its tree, in the calling thread. Bytes are verified as they pass: the blob's size
 * and digest at arrival, the tar's digest (the diffID) after decompression. After an error, the rest of the blob is
 * read and verified first, as far as it can be read, since a broken transfer explains every other error.
 */
import { parseDiffId } from '../../base/digest.ts';
import { inBlocks } from '../../base/disk-blocks.ts';
import { type ErrorCode, PluginError } from '../../base/errors/error.ts';
import type { IdMappings } from '../../base/id-mapping.ts';
import { LayerWriter } from '../erofs/layer-writer.ts';
import { compactTreeManifest } from '../manifest/compact.ts';
import { TreeManifestWriter } from '../manifest/writer.ts';
import { TarReader, type TarSink } from '../tar/reader.ts';
import { Budget } from '../tree/budget.ts';
import { measureTree } from '../tree/disk-size.ts';
import { TreeWriter } from '../tree/tree-writer.ts';
import type { RequestedImage, Unpacked, UnpackRequest, UnpackResult } from '../tree/types.ts';
import { Blob, type ChunkSource } from './blob.ts';
import { empty, type LargeWindowGate, openTar } from './decompress.ts';

export interface UnpackControl {
  /** Called between chunks, entries and other steps, a few microseconds apart. Throws to stop the work. */
  checkpoint(compressedBytes: number, entries: number): void;
  readonly largeWindow: LargeWindowGate;
}

type WrittenLayer = Omit<
  Unpacked,
  'digest' | 'diffId' | 'compressedBytes' | 'tarBytes' | 'entries' | 'looks'
>;

/** Errors that a damaged blob may cause. If the blob is damaged, the error for the damage is thrown instead. */
const EXPLAINED_BY_DAMAGE: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'LAYER_BAD_COMPRESSION',
  'LAYER_BAD_HEADER',
  'LAYER_NOT_A_TAR',
  'LAYER_TRUNCATED',
  'LAYER_UNSUPPORTED_ENTRY',
]);

/**
 * @param source the blob's bytes from its beginning
 * @returns facts about the tree in `request.target`; nothing is synced
 * @throws PluginError one of the LAYER_ codes; SysError from the filesystem (ENOSPC). After an error the caller removes
 * the content of the target; no descriptor stays open.
 */
export async function unpackInto(
  request: UnpackRequest,
  source: ChunkSource,
  control: UnpackControl,
): Promise<Unpacked> {
  const budget: Budget = new Budget(request.budget, request.quotaBytes, {
    copyBytes: request.copyBytes,
    looks: request.looks,
    checkpoint: () => control.checkpoint(budget.compressedBytes, budget.entries),
  });
  const blob = new Blob(source, request.expected, (bytes) => {
    budget.compressed(bytes);
    control.checkpoint(budget.compressedBytes, budget.entries);
  });
  const writer =
    request.image === undefined
      ? new LayerTreeWriter(request, budget)
      : new LayerImageWriter(request.image, request.mappings, budget);
  try {
    const { digest, diffId } = await readLayer(request, blob, budget, writer.sink, control);
    return {
      ...writer.finish(),
      digest,
      diffId,
      compressedBytes: blob.bytes,
      tarBytes: budget.tarBytes,
      entries: budget.entries,
      looks: budget.looks,
    };
  } catch (error) {
    writer.abandon();
    throw error;
  }
}

/** A layer's tree and its manifest. */
class LayerTreeWriter {
  readonly sink: TreeWriter;
  readonly #request: UnpackRequest;
  readonly #budget: Budget;
  readonly #manifest: TreeManifestWriter;

  constructor(request: UnpackRequest, budget: Budget) {
    this.#request = request;
    this.#budget = budget;
    this.#manifest = new TreeManifestWriter(request.manifestPath, (bytes) => budget.manifest(bytes));
    try {
      this.sink = new TreeWriter(request, budget, this.#manifest);
    } catch (error) {
      this.#manifest.abandon();
      throw error;
    }
  }

  finish(): WrittenLayer {
    const { treeBytes, ...tree } = this.sink.finish();
    const manifest = this.#manifest;
    manifest.finish();
    const { target, manifestPath } = this.#request;
    const { checkpoint } = this.#budget;
    const manifestBytes = manifest.gone > 0 ? compactTreeManifest(manifestPath, checkpoint) : manifest.bytes;
    const diskBytes = (treeBytes ?? measureTree(target, manifestPath, checkpoint)) + inBlocks(manifestBytes);
    return { ...tree, diskBytes };
  }

  abandon(): void {
    this.sink.abandon();
    this.#manifest.abandon();
  }
}

class LayerImageWriter {
  readonly sink: LayerWriter;

  constructor({ path, isWhole }: RequestedImage, mappings: IdMappings, budget: Budget) {
    this.sink = new LayerWriter(path, mappings, budget, isWhole);
  }

  finish(): WrittenLayer {
    const { image, ...facts } = this.sink.finish();
    const { bytes, hash, diskBytes } = image;
    return { ...facts, image: { bytes, hash }, diskBytes };
  }

  abandon(): void {
    this.sink.abandon();
  }
}

function mayBeDamage(error: unknown): boolean {
  return error instanceof PluginError && EXPLAINED_BY_DAMAGE.has(error.code);
}

async function readLayer(
  request: UnpackRequest,
  blob: Blob,
  budget: Budget,
  sink: TarSink,
  control: UnpackControl,
): Promise<Pick<UnpackResult, 'digest' | 'diffId'>> {
  const reader = new TarReader(sink, budget.maxFileSize);
  let hasher: Bun.CryptoHasher | undefined;
  try {
    const { plain, chunks } = await openTar(request.compression, blob, control.largeWindow);
    if (!plain) hasher = new Bun.CryptoHasher('sha256');
    for await (const chunk of chunks) {
      hasher?.update(chunk);
      budget.uncompressed(chunk.length);
      reader.push(chunk);
      control.checkpoint(budget.compressedBytes, budget.entries);
    }
    reader.end();
    if (request.compression === 'auto' && budget.tarBytes === 0) throw empty();
  } catch (error) {
    if (mayBeDamage(error) && request.expected.size !== undefined) await blob.verify();
    throw error;
  }
  const digest = await blob.verify();
  const diffId = parseDiffId(hasher === undefined ? digest : `sha256:${hasher.digest('hex')}`);
  const expected = request.expected.diffId;
  if (expected !== undefined && diffId !== expected) {
    throw new PluginError('LAYER_DIFFID_MISMATCH', { expected, actual: diffId });
  }
  return { digest, diffId };
}
