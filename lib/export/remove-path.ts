import { lastName, parentOf } from '../sys/files/path.ts';
import { removeTree } from '../sys/files/remove-tree.ts';
import { close, openDir } from '../sys/kernel/files.ts';

/** Removes a name with everything below it; a missing name is no error. Mounts on the way to `path` are entered. */
export function removePath(path: string): void {
  const parent = openDir(parentOf(path));
  try {
    removeTree(parent, lastName(path));
  } finally {
    close(parent);
  }
}
