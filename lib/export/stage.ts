/**
 * The place of a result: a directory or a file is made under a temporary name beside its final name, synced, and renamed.
 * So the final name appears complete or not at all. The temporary name tells its process, and the next export into the
 * same directory removes what a killed one left.
 */
import { bytesOf } from '../base/bytes.ts';
import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { printable } from '../base/text.ts';
import { publishDirectory, publishOverEmpty } from '../sys/files/durable.ts';
import { absolute, parentOf } from '../sys/files/path.ts';
import { temporaryOwner, temporaryPath } from '../sys/files/temporary.ts';
import { readDirents } from '../sys/kernel/dirents.ts';
import { errnoMeaning, hasCode, SysError } from '../sys/kernel/errno.ts';
import { chmodAt, close, mkdirAt, openAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { listNames, lookIfThere } from '../sys/kernel/look.ts';
import { formatOwner, isAlive, owner, parseOwner } from '../sys/kernel/process.ts';
import { isDirectory, type Stat, statAt } from '../sys/kernel/stat.ts';
import { removePath } from './remove-path.ts';

/** The kind of a result. An empty directory may be in the place of a directory; nothing may be in the place of a file. */
export type ResultKind = 'directory' | 'file';

/** Two new directories beside the final name, which only the user of this process can enter. */
export class Stage implements Disposable {
  /** Absolute path without `.` and `..`. */
  readonly final: string;
  /** Becomes the result where that is a directory. */
  readonly tree: string;
  /** For what is needed meanwhile, and for a result that is a file. */
  readonly work: string;
  readonly #log: Logger;

  /** @throws EXPORT_TAKEN, EXPORT_PLACE */
  constructor(final: string, kind: ResultKind, log: Logger) {
    this.final = absolute(final);
    this.#log = log;
    requireFree(this.final, kind);
    sweep(parentOf(this.final), log);
    const stage = () => temporaryPath(parentOf(this.final), formatOwner(owner()));
    this.tree = makeIn(this.final, stage());
    try {
      this.work = makeIn(this.final, stage());
    } catch (error) {
      discard(this.tree, log);
      throw error;
    }
  }

  /** Syncs the tree and gives it its final name. @throws EXPORT_TAKEN, EXPORT_PLACE, SysError */
  publish(): void {
    const { final, tree } = this;
    try {
      if (publishOverEmpty(tree, final)) return;
    } catch (error) {
      if (!hasCode(error, 'EBUSY')) throw error;
      throw place(final, 'something is mounted there', error);
    }
    throw this.#takenMeanwhile();
  }

  /** Syncs a file in `work` and gives it the final name. @throws EXPORT_TAKEN, SysError */
  publishFile(staged: string): void {
    if (!publishDirectory(staged, this.final)) throw this.#takenMeanwhile();
  }

  #takenMeanwhile(): PluginError {
    const { final } = this;
    return new PluginError('EXPORT_TAKEN', {
      path: printable(final),
      what: 'was made by somebody else meanwhile',
    });
  }

  /** Removes what was not published. A name that cannot be removed is left to the next export, since this process ends. */
  [Symbol.dispose](): void {
    for (const path of [this.tree, this.work]) discard(path, this.#log);
  }
}

/** @throws EXPORT_TAKEN unless nothing has the name, or an empty directory that of a directory; EXPORT_PLACE */
function requireFree(final: string, kind: ResultKind): void {
  const taken = (what: string) => new PluginError('EXPORT_TAKEN', { path: printable(final), what });
  const stat = look(final);
  if (final === '/') throw taken('is the root directory of this machine');
  if (stat === undefined) return;
  if (kind === 'file') throw taken('exists');
  if (!isDirectory(stat)) throw taken('exists and is no directory');
  try {
    if (listNames(final).length > 0) throw taken('is a directory that is not empty');
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw place(final, errnoMeaning(error.code), error);
  }
}

function look(final: string): Stat | undefined {
  try {
    return lookIfThere(final);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw place(final, errnoMeaning(error.code), error);
  }
}

/** Removes what dead exports left in a directory. Files of other users stay. */
function sweep(directory: string, log: Logger): void {
  let names: readonly string[];
  try {
    names = listNames(directory);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw place(directory, errnoMeaning(error.code), error);
  }
  for (const name of names) {
    const who = parseOwner(temporaryOwner(name) ?? '');
    if (who === undefined || isAlive(who)) continue;
    log.info('export-swept', { path: `${directory}/${name}` });
    discard(`${directory}/${name}`, log);
  }
}

function makeIn(final: string, path: string): string {
  try {
    mkdirAt(AT_FDCWD, path, 0o700);
    return path;
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    if (!hasCode(error, 'EACCES', 'EPERM', 'EROFS', 'ENOENT', 'ENOTDIR')) throw error;
    throw place(final, `${errnoMeaning(error.code)} (${parentOf(final)})`, error);
  }
}

function discard(path: string, log: Logger): void {
  try {
    removePath(path);
  } catch (error) {
    try {
      if (!hasCode(error, 'EACCES')) throw error;
      openUp(path);
      removePath(path);
    } catch (failure) {
      if (!(failure instanceof SysError)) throw failure;
      log.error('export-not-removed', failure, { path });
    }
  }
}

/** Opens all directories of a tree to their owner: an ordinary user cannot remove names in a closed one. */
function openUp(path: string): void {
  const todo: Uint8Array[] = [Buffer.from(path)];
  for (let at = todo.pop(); at !== undefined; at = todo.pop()) {
    chmodAt(AT_FDCWD, at, 0o700);
    const fd = openAt(AT_FDCWD, at, O.RDONLY | O.DIRECTORY | O.NOFOLLOW);
    try {
      for (const { name } of readDirents(fd, '')) {
        const bytes = bytesOf(name);
        if (isDirectory(statAt(fd, bytes))) todo.push(Buffer.concat([at, Buffer.from('/'), bytes]));
      }
    } finally {
      close(fd);
    }
  }
}

function place(path: string, reason: string, cause: unknown): PluginError {
  return new PluginError('EXPORT_PLACE', { path: printable(path), reason }, { cause });
}
