import { packTree } from '../layer/pack/pack-tree.ts';
import { close, openAt, writeAll } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import type { Exported } from './export-directory.ts';
import { withoutRoom } from './full.ts';
import { type MergeDeps, mergeImage } from './merge-image.ts';
import { Stage } from './stage.ts';

/**
 * Writes the root filesystem of an image as one tar archive: the same image gives the same bytes each time. The file
 * appears complete; after a failure nothing is left. The tree is on the disk beside the file meanwhile.
 * @param file must not exist
 * @throws EXPORT_*, what the source throws, LAYER_*
 */
export async function exportTar(deps: MergeDeps, file: string): Promise<Exported> {
  using stage = new Stage(file, 'file', deps.log);
  return await withoutRoom(stage.final, async () => {
    const image = await deps.source.resolve(deps.signal);
    const { totals, tree } = await mergeImage(deps, image, stage);
    // Closed directories stay open to their owner, who has to read them, and are closed in the archive.
    tree.finish();
    const archive = `${stage.work}/archive`;
    const fd = openAt(AT_FDCWD, archive, O.WRONLY | O.CREAT | O.EXCL, 0o644);
    try {
      await packTree(stage.tree, {
        write: (bytes) => writeAll(fd, bytes, archive),
        signal: deps.signal,
        xattrs: true,
        omit: new Set(),
        modes: tree.closedDirs,
        ignored: undefined,
      });
    } finally {
      close(fd);
    }
    stage.publishFile(archive);
    return { image: image.name, digest: image.manifestDigest, path: stage.final, ...totals };
  });
}
