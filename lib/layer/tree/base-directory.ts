/**
 * The annotation `org.cloudfoundry.experimental.image.base-directory`: a layer of `preloaded+layer` images whose
 * entries go below a directory of the image. The components of that directory get the attributes that they have in the
 * layer below, so that this layer does not change the directories that it covers.
 */
import { PluginError } from '../../base/errors/error.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openat2, openDir, RESOLVE } from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { type Stat, statFd } from '../../sys/kernel/stat.ts';
import type { TreeManifestWriter } from '../manifest/writer.ts';
import { shown } from '../tar/header.ts';
import type { LayerTree } from './layer-tree.ts';
import { observed } from './metadata.ts';

/** @param base clean path @throws PluginError LAYER_BASE_DIRECTORY where the layer below has no such directory */
export function makeBaseDirectory(
  tree: LayerTree,
  manifest: TreeManifestWriter,
  base: string,
  parentTree: string | undefined,
): void {
  if (base === '') return;
  if (parentTree === undefined) throw refused(base, 'there is no layer below');
  const parentRoot = openDir(parentTree);
  try {
    let directory: Directory = tree.root;
    for (let end = base.indexOf('/'); ; end = base.indexOf('/', end + 1)) {
      const path = end < 0 ? base : base.slice(0, end);
      const stat = statBelow(parentRoot, path, base);
      const name = path.slice(path.lastIndexOf('/') + 1);
      directory = tree.makeDirectory(directory, name, 0o700).directory;
      directory.setOwner(stat.uid, stat.gid);
      directory.setMode(stat.mode & 0o7777);
      directory.setTime(stat.mtime);
      manifest.directory(path, observed(stat, ''));
      if (end < 0) return;
    }
  } finally {
    close(parentRoot);
  }
}

/** The stat of a path in the layer below. Symbolic links are followed inside that layer. */
function statBelow(root: number, path: string, base: string): Stat {
  let fd: number;
  try {
    const flags = O.RDONLY | O.DIRECTORY | O.NONBLOCK;
    fd = openat2(root, Buffer.from(path, 'latin1'), flags, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
  } catch (error) {
    if (!hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) throw error;
    throw refused(base, `the layer below has no directory ${shown(path)}`);
  }
  try {
    return statFd(fd);
  } finally {
    close(fd);
  }
}

function refused(base: string, reason: string): PluginError {
  return new PluginError('LAYER_BASE_DIRECTORY', { directory: shown(base), reason });
}
