import type { ByteName } from '../base/bytes.ts';
import type { ResolvedImage } from '../image/source/source.ts';
import { packImage } from '../layer/pack/pack-image.ts';
import { packTree } from '../layer/pack/pack-tree.ts';
import { close, openAt, writeAll } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import type { Exported } from './export-directory.ts';
import { withoutRoom } from './full.ts';
import { isOneLayer, type MergeDeps, mergeImage, writeLayer } from './merge-image.ts';
import { Stage } from './stage.ts';
import type { TreeTotals } from './totals.ts';

/** A tar archive, or an EROFS image: a filesystem that the kernel mounts. */
export type FileFormat = 'tar' | 'erofs';

/**
 * Writes the root filesystem of an image as one file: the same image gives the same bytes each time. The file appears
 * complete; after a failure nothing is left. The tree is on the disk beside the file meanwhile, unless the file is an EROFS
 * image of one layer.
 * @param file must not exist
 * @throws EXPORT_*, what the source throws, LAYER_*
 */
export async function exportFile(deps: MergeDeps, file: string, format: FileFormat): Promise<Exported> {
  using stage = new Stage(file, 'file', deps.log);
  return await withoutRoom(stage.final, async () => {
    const image = await deps.source.resolve(deps.signal);
    const packed = `${stage.work}/packed`;
    const [layer] = image.layers;
    const totals =
      format === 'erofs' && layer !== undefined && isOneLayer(deps, image)
        ? await writeLayer(deps, layer, stage, packed)
        : await packMerged(deps, image, stage, packed, format);
    stage.publishFile(packed);
    return { image: image.name, digest: image.manifestDigest, path: stage.final, ...totals };
  });
}

async function packMerged(
  deps: MergeDeps,
  image: ResolvedImage,
  stage: Stage,
  packed: string,
  format: FileFormat,
): Promise<TreeTotals> {
  const { totals, tree } = await mergeImage(deps, image, stage);
  // Closed directories stay open to their owner, who has to read them, and are closed in the file.
  tree.finish();
  const modes = tree.closedDirs;
  if (format === 'erofs') await packImage(stage.tree, packed, { signal: deps.signal, modes });
  else await packTar(stage.tree, packed, deps.signal, modes);
  return totals;
}

async function packTar(
  tree: string,
  file: string,
  signal: AbortSignal,
  modes: ReadonlyMap<ByteName, number>,
): Promise<void> {
  const fd = openAt(AT_FDCWD, file, O.WRONLY | O.CREAT | O.EXCL, 0o644);
  try {
    await packTree(tree, {
      write: (bytes) => writeAll(fd, bytes, file),
      signal,
      xattrs: true,
      omit: new Set(),
      modes,
      ignored: undefined,
    });
  } finally {
    close(fd);
  }
}
