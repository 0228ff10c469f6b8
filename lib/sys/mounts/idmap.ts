/**
 * Idmapped mounts (mount_setattr(2), Linux 5.12): a clone of a mount that shows other owners. Overlayfs accepts such a
 * mount for its lower directories since Linux 5.19. XFS, ext4 and squashfs allow idmapped mounts. FUSE allows them only
 * where its server asks for it, which the CernVM-FS client does not.
 */
import { readlinkSync, writeFileSync } from 'node:fs';
import type { IdMappings, IdRange } from '../../base/id-mapping.ts';
import { SysError } from '../kernel/errno.ts';
import { close, openAt } from '../kernel/files.ts';
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
/** How long the child process may take to get its own user namespace. */
const NAMESPACE_DEADLINE_MS = 5000;

/**
 * Makes a user namespace with these mappings and returns its descriptor. Only a process can make a user namespace, and
 * a process with threads cannot (unshare(2), EINVAL). So util-linux's unshare(1) makes it, and is killed as soon as the
 * namespace is open.
 * @throws SysError
 */
export async function openUserNamespace(mappings: IdMappings): Promise<number> {
  try {
    return await namespaceOfChild(mappings);
  } catch (error) {
    if (error instanceof SysError) throw error;
    throw new SysError(EINVAL, 'unshare', UNSHARE, error instanceof Error ? error.message : '');
  }
}

const EINVAL = 22;
const ETIMEDOUT = 110;
const UNSHARE = '/usr/bin/unshare';

async function namespaceOfChild(mappings: IdMappings): Promise<number> {
  const own = readlinkSync('/proc/self/ns/user');
  const child = Bun.spawn([UNSHARE, '--user', '--', '/bin/sleep', '60'], {
    cwd: '/',
    env: {},
    stdin: 'ignore',
    stdout: 'ignore',
    stderr: 'ignore',
    detached: true,
  });
  child.unref();
  try {
    const path = `/proc/${child.pid}/ns/user`;
    const deadline = performance.now() + NAMESPACE_DEADLINE_MS;
    while (readlinkSync(path) === own) {
      if (performance.now() > deadline) throw new SysError(ETIMEDOUT, 'unshare', path);
      await Bun.sleep(0);
    }
    writeFileSync(`/proc/${child.pid}/uid_map`, lines(mappings.uids));
    writeFileSync(`/proc/${child.pid}/gid_map`, lines(mappings.gids));
    return openAt(AT_FDCWD, path, O.RDONLY);
  } finally {
    child.kill('SIGKILL');
  }
}

/** The mappings as lines. The kernel takes up to 340 lines, in one write (user_namespaces(7)). */
function lines(ranges: readonly IdRange[]): string {
  return ranges.map(({ container, host, size }) => `${container} ${host} ${size}\n`).join('');
}

/**
 * Attaches a clone of the mount at `source` to `target`, read-only and with mapped ids: a file that belongs to a
 * container's id on the filesystem is shown with the host's id. Unmount `target` before removing it. If code forgets
 * this, the removal cannot delete the files, since the mount is read-only.
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
