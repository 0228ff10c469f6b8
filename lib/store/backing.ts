import { existsSync, readSync, statSync } from 'node:fs';
import { PluginError } from '../base/errors/error.ts';
import { MiB } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { oneLine } from '../base/text.ts';
import { hasCode } from '../sys/errno.ts';
import { close, ftruncate, openAt, renameAt } from '../sys/files.ts';
import { AT_FDCWD, O } from '../sys/libc.ts';
import { lookIfThere } from '../sys/look.ts';
import { attachLoop } from '../sys/loop.ts';
import { MS, mount } from '../sys/mount.ts';
import { isMountRoot } from '../sys/mountinfo.ts';
import { isSymlink } from '../sys/stat.ts';
import type { Layout } from './layout.ts';

/** mkfs.xfs refuses smaller filesystems (300 MB since xfsprogs 5.19). */
export const MIN_STORE_BYTES = 300 * MiB;

/** Runs a program to its end; its complaints come back. mkfs.xfs and xfs_growfs are the only ones there are. */
export type RunProgram = (program: string, args: readonly string[]) => { ok: boolean; complaint: string };

export interface BackingDeps {
  readonly run: RunProgram;
  readonly log: Logger;
  readonly directIo: boolean;
}

/**
 * The loop file of a store, made if there is none, and mounted at the store's path.
 * @throws STORE_BAD_PATH, STORE_TOO_SMALL, STORE_FORMAT_FAILED, STORE_MOUNT_FAILED
 */
export function mountBacking(layout: Layout, sizeBytes: number, deps: BackingDeps): void {
  refuseLink(layout.root);
  if (isMountRoot(layout.root)) return;
  if (!existsSync(layout.backing) || !isFormatted(layout.backing)) format(layout, sizeBytes, deps);
  const grown = grow(layout, sizeBytes, deps.log);
  mountLoop(layout, deps);
  if (grown) growFilesystem(layout, deps);
}

/** mount(2) goes where a link leads, and umount2(2) and everybody who asks about the mount look at the link. */
function refuseLink(root: string): void {
  const stat = lookIfThere(root);
  if (stat === undefined || !isSymlink(stat)) return;
  const reason = 'it is a symbolic link, and a loop file is mounted at a directory; give the one it leads to';
  throw new PluginError('STORE_BAD_PATH', { store: root, reason });
}

/** Formats under another name and renames: a file with the right name is a whole filesystem. */
function format(layout: Layout, sizeBytes: number, deps: BackingDeps): void {
  if (sizeBytes < MIN_STORE_BYTES) {
    throw new PluginError('STORE_TOO_SMALL', { size: sizeBytes, minimum: MIN_STORE_BYTES });
  }
  const staged = `${layout.backing}.new`;
  const fd = openAt(AT_FDCWD, staged, O.WRONLY | O.CREAT | O.TRUNC | O.NOFOLLOW, 0o600);
  try {
    ftruncate(fd, sizeBytes, staged);
  } finally {
    close(fd);
  }
  const made = deps.run('mkfs.xfs', ['-q', '-f', staged]);
  if (!made.ok)
    throw new PluginError('STORE_FORMAT_FAILED', { file: staged, reason: oneLine(made.complaint) });
  renameAt(AT_FDCWD, staged, AT_FDCWD, layout.backing);
}

/** XFS's superblock begins with these four bytes. */
function isFormatted(file: string): boolean {
  const fd = openAt(AT_FDCWD, file, O.RDONLY);
  try {
    const magic = Buffer.alloc(4);
    return readSync(fd, magic, 0, 4, 0) === 4 && magic.toString('latin1') === 'XFSB';
  } finally {
    close(fd);
  }
}

/** A larger size than before makes the file larger; a smaller one would cut the filesystem, and is passed over. */
function grow(layout: Layout, sizeBytes: number, log: Logger): boolean {
  const present = statSync(layout.backing).size;
  if (sizeBytes === 0 || sizeBytes === present) return false;
  if (sizeBytes < present) {
    log.info('store-keeps-its-size', { present, wanted: sizeBytes });
    return false;
  }
  const fd = openAt(AT_FDCWD, layout.backing, O.WRONLY);
  try {
    ftruncate(fd, sizeBytes, layout.backing);
  } finally {
    close(fd);
  }
  return true;
}

function growFilesystem(layout: Layout, deps: BackingDeps): void {
  const grown = deps.run('xfs_growfs', [layout.root]);
  if (!grown.ok) deps.log.error('store-not-grown', oneLine(grown.complaint), { store: layout.root });
}

function mountLoop(layout: Layout, deps: BackingDeps): void {
  // The mount holds the device after this; with autoclear it goes when the store is unmounted.
  using loop = attachLoop(layout.backing, { directIo: deps.directIo });
  // The containers' overlays do not inherit these two (tried): setuid files in layers are out of reach here.
  mountXfs(loop.device, layout.root, MS.NOATIME | MS.NOSUID | MS.NODEV, deps.log);
}

function mountXfs(device: string, target: string, flags: number, log: Logger): void {
  try {
    mount(device, target, 'xfs', flags, 'prjquota');
    return;
  } catch (error) {
    if (!hasCode(error, 'EINVAL')) throw mountFailed(target, error);
  }
  // A kernel without CONFIG_XFS_QUOTA refuses the option as invalid. Everything but limits works without.
  try {
    mount(device, target, 'xfs', flags, '');
    log.info('store-without-project-quotas', { store: target });
  } catch (error) {
    throw mountFailed(target, error);
  }
}

function mountFailed(target: string, error: unknown): PluginError {
  return new PluginError(
    'STORE_MOUNT_FAILED',
    { what: target, reason: String((error as Error).message) },
    { cause: error },
  );
}
