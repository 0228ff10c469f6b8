/**
 * Idmapped mounts (mount_setattr(2), Linux 5.12): a clone of a mount that shows other owners. Overlayfs accepts such a
 * mount for its lower directories since Linux 5.19. XFS, ext4 and squashfs allow idmapped mounts. FUSE allows them only
 * where its server asks for it, which the CernVM-FS client does not.
 */
import { close } from '../kernel/files.ts';
import {
  AT_EMPTY_PATH,
  AT_FDCWD,
  check,
  cpath,
  mutate,
  nr,
  O,
  type PathBytes,
  syscall,
} from '../kernel/libc.ts';

const OPEN_TREE_CLONE = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;
const MOUNT_ATTR_RDONLY = 0x1n;
const MOUNT_ATTR_IDMAP = 0x100000n;

/**
 * Attaches a clone of the mount at `source` to `target`, read-only and with mapped ids: a file that belongs to a
 * container's id on the filesystem is shown with the host's id. Unmount `target` before removing it. If code forgets
 * this, the removal cannot delete the files, since the mount is read-only.
 * @param namespace descriptor of a user namespace with the mapping (user-namespace.ts)
 * @throws SysError EINVAL where the filesystem does not allow idmapped mounts
 */
export function attachIdmapped(source: PathBytes, target: PathBytes, namespace: number): void {
  const tree = check(
    syscall(nr.open_tree, AT_FDCWD, cpath(source), OPEN_TREE_CLONE | O.CLOEXEC),
    'open_tree',
    source,
  );
  try {
    // struct mount_attr: attr_set, attr_clr, propagation, userns_fd.
    const words = new BigUint64Array([MOUNT_ATTR_IDMAP | MOUNT_ATTR_RDONLY, 0n, 0n, BigInt(namespace)]);
    const bytes = new Uint8Array(words.buffer);
    const set = () => syscall(nr.mount_setattr, tree, cpath(''), AT_EMPTY_PATH, bytes, bytes.length);
    mutate('mount_setattr', source, set);
    const move = () =>
      syscall(nr.move_mount, tree, cpath(''), AT_FDCWD, cpath(target), MOVE_MOUNT_F_EMPTY_PATH);
    mutate('move_mount', target, move);
  } finally {
    close(tree);
  }
}
