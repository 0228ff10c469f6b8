import { readSync } from 'node:fs';
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { oneLine } from '../../base/text.ts';
import type { Undo } from '../../base/undo.ts';
import { lastName, parentOf } from '../../sys/files/path.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { close, ftruncate, openAt, RENAME_NOREPLACE, renameAt, unlinkAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { listNames, lookIfThere } from '../../sys/kernel/look.ts';
import { statFd } from '../../sys/kernel/stat.ts';
import { attachLoop } from '../../sys/mounts/loop.ts';
import { MS, mount, unmount } from '../../sys/mounts/mount.ts';
import type { Layout } from '../layout/layout.ts';
import { isOwnFile, openOwnFile } from '../layout/own-file.ts';
import { refused } from './site.ts';

/** mkfs.xfs refuses smaller filesystems (300 MB since xfsprogs 5.19). */
export const MIN_STORE_BYTES = 300 * MiB;

/** Runs a program to its end and returns its error output. Only mkfs.xfs and xfs_growfs are run. */
export type RunProgram = (program: string, args: readonly string[]) => { ok: boolean; complaint: string };

export interface BackingDeps {
  readonly run: RunProgram;
  readonly log: Logger;
  readonly directIo: boolean;
}

/** Refuses an unusable loop file, or a size that is too small for a new one. Changes nothing. @throws STORE_* */
export function refuseBacking(layout: Layout, sizeBytes: number): void {
  if (lookIfThere(layout.backing) === undefined) {
    if (sizeBytes < MIN_STORE_BYTES) {
      throw new PluginError('STORE_TOO_SMALL', { size: sizeBytes, minimum: MIN_STORE_BYTES });
    }
    return;
  }
  const fd = openOwnFile(layout, layout.backing, O.RDONLY | O.NOATIME);
  try {
    if (!isFormatted(fd)) throw refused(layout, `its loop file ${layout.backing} holds no XFS; move it away`);
  } finally {
    close(fd);
  }
}

/**
 * Mounts the store's loop file at the store's path, where nothing is mounted yet. Makes the file if there is none.
 * @throws STORE_BAD_PATH, STORE_TOO_SMALL, STORE_FORMAT_FAILED, STORE_MOUNT_FAILED
 */
export function mountBacking(layout: Layout, sizeBytes: number, deps: BackingDeps, undo: Undo): true {
  refuseBacking(layout, sizeBytes);
  if (lookIfThere(layout.backing) === undefined) {
    format(layout, sizeBytes, deps);
    undo.add(() => unlinkAt(AT_FDCWD, layout.backing));
  }
  const grown = grow(layout, sizeBytes, deps.log);
  mountLoop(layout, deps);
  undo.add(() => unmount(layout.root));
  if (grown) growFilesystem(layout, deps);
  return true;
}

/**
 * Formats a file under a temporary name and then renames it: a loop file with the final name has a complete
 * filesystem.
 */
function format(layout: Layout, sizeBytes: number, deps: BackingDeps): void {
  sweepStages(layout);
  const staged = `${layout.backing}${STAGE}${crypto.randomUUID()}`;
  const fd = openAt(AT_FDCWD, staged, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
  try {
    try {
      ftruncate(fd, sizeBytes, staged);
    } finally {
      close(fd);
    }
    const made = deps.run('mkfs.xfs', ['-q', '-f', staged]);
    if (!made.ok)
      throw new PluginError('STORE_FORMAT_FAILED', { file: layout.backing, reason: oneLine(made.complaint) });
    renameAt(AT_FDCWD, staged, AT_FDCWD, layout.backing, RENAME_NOREPLACE);
  } catch (error) {
    discard(staged);
    throw error;
  }
}
const STAGE = '.new-';

/**
 * Deletes files of an init-store that was killed while it formatted. The caller holds the lock, so no other
 * init-store formats now.
 */
function sweepStages(layout: Layout): void {
  const parent = parentOf(layout.backing);
  const begin = `${lastName(layout.backing)}${STAGE}`;
  for (const name of listNames(parent)) {
    const path = `${parent}/${name}`;
    if (name.startsWith(begin) && isOwnFile(path)) unlinkAt(AT_FDCWD, path);
  }
}

/** Deletes a file after another error, which the caller reports. */
function discard(path: string): void {
  try {
    unlinkAt(AT_FDCWD, path);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}

/** True for a file with the magic bytes of an XFS superblock. */
function isFormatted(fd: number): boolean {
  const magic = Buffer.alloc(4);
  return readSync(fd, magic, 0, 4, 0) === 4 && magic.toString('latin1') === 'XFSB';
}

/**
 * Makes the file larger when the operator asks for more. A smaller size is ignored, since it would cut off the
 * filesystem.
 */
function grow(layout: Layout, sizeBytes: number, log: Logger): boolean {
  const fd = openOwnFile(layout, layout.backing, O.WRONLY);
  try {
    const present = statFd(fd).size;
    if (sizeBytes === 0 || sizeBytes === present) return false;
    if (sizeBytes < present) {
      log.info('store-keeps-its-size', { present, wanted: sizeBytes });
      return false;
    }
    ftruncate(fd, sizeBytes, layout.backing);
    return true;
  } finally {
    close(fd);
  }
}

function growFilesystem(layout: Layout, deps: BackingDeps): void {
  const grown = deps.run('xfs_growfs', [layout.root]);
  if (!grown.ok) deps.log.error('store-not-grown', oneLine(grown.complaint), { store: layout.root });
}

function mountLoop(layout: Layout, deps: BackingDeps): void {
  // From here on the mount keeps the loop device in use; autoclear detaches the device when the store is unmounted.
  const open = (file: string, flags: number) => openOwnFile(layout, file, flags);
  using loop = attachLoop(layout.backing, { directIo: deps.directIo }, open);
  // nosuid and nodev keep setuid files in layers from being used here. The containers' overlays do not inherit them
  // (tried).
  mountXfs(loop.device, layout.root, MS.NOATIME | MS.NOSUID | MS.NODEV, deps.log);
}

function mountXfs(device: string, target: string, flags: number, log: Logger): void {
  try {
    mount(device, target, 'xfs', flags, 'prjquota');
    return;
  } catch (error) {
    if (!hasCode(error, 'EINVAL')) throw mountFailed(target, error);
  }
  // A kernel without CONFIG_XFS_QUOTA refuses the option (EINVAL). Without it everything works except limits.
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
