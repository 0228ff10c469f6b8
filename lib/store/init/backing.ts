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
const MIN_STORE_BYTES = 300 * MiB;

/** Runs a program to its end; its complaints come back. mkfs.xfs and xfs_growfs are the only ones there are. */
export type RunProgram = (program: string, args: readonly string[]) => { ok: boolean; complaint: string };

export interface BackingDeps {
  readonly run: RunProgram;
  readonly log: Logger;
  readonly directIo: boolean;
}

/** What speaks against the loop file that is there, or against making one. Changes nothing. @throws STORE_* */
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
 * The loop file of a store, made if there is none, and mounted at the store's path, where nothing is mounted yet.
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

/** Formats under a name of its own and renames: a file with the right name is a whole filesystem. */
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

/** What an init-store left that was killed while it formatted; behind its lock nobody else is at it. */
function sweepStages(layout: Layout): void {
  const parent = parentOf(layout.backing);
  const begin = `${lastName(layout.backing)}${STAGE}`;
  for (const name of listNames(parent)) {
    const path = `${parent}/${name}`;
    if (name.startsWith(begin) && isOwnFile(path)) unlinkAt(AT_FDCWD, path);
  }
}

/** After a failure that matters more. */
function discard(path: string): void {
  try {
    unlinkAt(AT_FDCWD, path);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
  }
}

/** XFS's superblock begins with these four bytes. */
function isFormatted(fd: number): boolean {
  const magic = Buffer.alloc(4);
  return readSync(fd, magic, 0, 4, 0) === 4 && magic.toString('latin1') === 'XFSB';
}

/** A larger size than before makes the file larger; a smaller one would cut the filesystem, and is passed over. */
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
  // The mount holds the device after this; with autoclear it goes when the store is unmounted.
  const open = (file: string, flags: number) => openOwnFile(layout, file, flags);
  using loop = attachLoop(layout.backing, { directIo: deps.directIo }, open);
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
