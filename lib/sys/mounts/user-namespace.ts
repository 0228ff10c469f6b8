/**
 * User namespaces for idmapped mounts. Only a process can make a user namespace, and a process with threads cannot
 * (unshare(2), EINVAL). So a child process makes it. The namespace outlives the child as a bind mount of its nsfs file
 * (a pin), so that later creates with the same mapping start no child. A reboot removes the pins, because /run is a
 * tmpfs; the next create makes them again.
 */
import { readlinkSync, writeFileSync } from 'node:fs';
import { sha256Hex } from '../../base/digest.ts';
import type { IdMappings, IdRange } from '../../base/id-mapping.ts';
import { hasCode, SysError } from '../kernel/errno.ts';
import { close, mkdirAt, openAt } from '../kernel/files.ts';
import { AT_FDCWD, libc, mutate, nr, O, syscall } from '../kernel/libc.ts';
import { statAt } from '../kernel/stat.ts';
import { filesystemOf } from '../kernel/statfs.ts';
import { MS, mount } from './mount.ts';

/** The directory of the pins, and its parent. Both belong to root, and nobody else may enter them. */
const PINS = ['/run/graft', '/run/graft/namespaces'] as const;
/** How long the child process may take to get its own user namespace. */
const NAMESPACE_DEADLINE_MS = 5000;
const UNSHARE = '/usr/bin/unshare';
const EINVAL = 22;
const ETIMEDOUT = 110;
/** LOCK_EX and LOCK_NB of flock(2). */
const LOCK_ALONE_NOW = 2 | 4;
const NSFS_MAGIC = 0x6e736673;
/** ioctl_ns(2): the type of a namespace, as the flag of clone(2). */
const NS_GET_NSTYPE = 0xb703n;
const CLONE_NEWUSER = 0x10000000;

/**
 * Opens a user namespace with these mappings: the pinned one, or a new one, which is pinned. A machine where /run
 * cannot be used gets a new namespace each time. The caller closes the descriptor.
 * @param directories where pins are, parents first
 * @throws SysError
 */
export async function openUserNamespace(
  mappings: IdMappings,
  directories: readonly string[] = PINS,
): Promise<number> {
  const [uids, gids] = [lines(mappings.uids), lines(mappings.gids)];
  const name = sha256Hex(`${uids}\n${gids}`);
  const pinned = unlessUnusable(() => openPinned(directories, name));
  if (pinned !== undefined) return pinned;
  const namespace = await newNamespace(uids, gids);
  try {
    unlessUnusable(() => pin(namespace, directories, name));
    return namespace;
  } catch (error) {
    close(namespace);
    throw error;
  }
}

/** Pins only save work, so a failure of the kernel is no failure of the caller. */
function unlessUnusable<T>(use: () => T): T | undefined {
  try {
    return use();
  } catch (error) {
    if (error instanceof SysError) return undefined;
    throw error;
  }
}

function openPinned(directories: readonly string[], name: string): number | undefined {
  const directory = openOwn(directories);
  if (directory === undefined) return undefined;
  try {
    return openUserNamespaceAt(directory, name);
  } finally {
    close(directory);
  }
}

/** The directory of the pins; undefined where it is not there, or where others than root could put something in it. */
function openOwn(directories: readonly string[]): number | undefined {
  const fd = openIfThere(AT_FDCWD, directories.at(-1) ?? '', O.DIRECTORY);
  if (fd === undefined) return undefined;
  const { uid, mode } = statAt(fd, '.');
  if (uid === 0 && (mode & 0o077) === 0) return fd;
  close(fd);
  return undefined;
}

/** The namespace that is mounted on this file. A file without a mount is left over from another mount namespace. */
function openUserNamespaceAt(directory: number, name: string): number | undefined {
  const fd = openIfThere(directory, name, O.NONBLOCK);
  if (fd === undefined) return undefined;
  if (filesystemOf(fd).magic === NSFS_MAGIC && libc.ioctl(fd, NS_GET_NSTYPE, null) === CLONE_NEWUSER)
    return fd;
  close(fd);
  return undefined;
}

function openIfThere(at: number, path: string, flags: number): number | undefined {
  try {
    return openAt(at, path, O.RDONLY | O.NOFOLLOW | flags);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
}

/** Mounts the namespace on a file of the directory. Of several processes at once one does it, so that no mounts pile up. */
function pin(namespace: number, directories: readonly string[], name: string): void {
  for (const path of directories) makeDirectory(path);
  const directory = openOwn(directories);
  if (directory === undefined) return;
  try {
    // Closing the descriptor releases the lock.
    mutate('flock', directories.at(-1) ?? '', () => syscall(nr.flock, directory, LOCK_ALONE_NOW));
    pinAlone(namespace, directory, name);
  } finally {
    close(directory);
  }
}

function pinAlone(namespace: number, directory: number, name: string): void {
  const present = openUserNamespaceAt(directory, name);
  if (present !== undefined) {
    close(present);
    return;
  }
  close(openAt(directory, name, O.WRONLY | O.CREAT | O.NOFOLLOW, 0o600));
  mount(`/proc/self/fd/${namespace}`, `/proc/self/fd/${directory}/${name}`, '', MS.BIND);
}

function makeDirectory(path: string): void {
  try {
    mkdirAt(AT_FDCWD, path, 0o700);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

async function newNamespace(uids: string, gids: string): Promise<number> {
  try {
    return await namespaceOfChild(uids, gids);
  } catch (error) {
    if (error instanceof SysError) throw error;
    throw new SysError(EINVAL, 'unshare', UNSHARE, error instanceof Error ? error.message : '');
  }
}

/** util-linux's unshare(1) makes the namespace, and is killed as soon as the namespace is open. */
async function namespaceOfChild(uids: string, gids: string): Promise<number> {
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
    writeFileSync(`/proc/${child.pid}/uid_map`, uids);
    writeFileSync(`/proc/${child.pid}/gid_map`, gids);
    return openAt(AT_FDCWD, path, O.RDONLY);
  } finally {
    child.kill('SIGKILL');
  }
}

/** A map of all ids, each to itself. A namespace without a map has no ids at all, and the kernel refuses it for a mount. */
const IDENTITY: IdRange = { container: 0, host: 0, size: 4294967295 };

/** The mappings as lines. The kernel takes up to 340 lines, in one write (user_namespaces(7)). */
function lines(ranges: readonly IdRange[]): string {
  return (ranges.length === 0 ? [IDENTITY] : ranges)
    .map(({ container, host, size }) => `${container} ${host} ${size}\n`)
    .join('');
}
