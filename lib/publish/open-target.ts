/** Targets by the text that a person writes, ready for changes: alone, and without what a killed publication left. */
import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { mkdirAt } from '../sys/kernel/files.ts';
import { AT_FDCWD } from '../sys/kernel/libc.ts';
import { lookIfThere } from '../sys/kernel/look.ts';
import { isDirectory } from '../sys/kernel/stat.ts';
import { alone } from './lock.ts';
import { WORK } from './repository/paths.ts';
import { DirectoryTarget } from './targets/directory-target.ts';
import type { PublishTarget } from './targets/target.ts';

export interface TargetOptions {
  /** `directory:/path` */
  readonly text: string;
  readonly uid: number;
  readonly signal: AbortSignal;
  /** Nothing is changed, so nobody has to be kept out. */
  readonly readOnly: boolean;
}

/** Runs `use` with the target. @throws PUBLISH_BAD_TARGET, PUBLISH_BUSY, and what `use` throws */
export async function withTarget<T>(
  options: TargetOptions,
  use: (target: PublishTarget, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { text, uid, signal } = options;
  const [kind, ...rest] = text.split(':');
  const place = rest.join(':');
  if (kind !== 'directory') throw bad(text, 'write directory:/PATH');
  requireOwnDirectory(text, place, uid);
  const target = new DirectoryTarget(place.replace(/\/+$/, ''), uid === 0);
  if (options.readOnly) return use(target, signal);
  makeWork(`${target.repository.root}/${WORK}`);
  return alone(`${target.repository.root}/${WORK}/lock`, target.shown, signal, async (whileHeld) => {
    target.prepare();
    return use(target, whileHeld);
  });
}

/** In a directory of another user, that user could lead every write elsewhere by a link. */
function requireOwnDirectory(text: string, path: string, uid: number): void {
  if (!path.startsWith('/') || path.split('/').includes('..')) throw bad(text, 'its path must be absolute');
  const stat = lookIfThere(path.replace(/\/+$/, ''));
  if (stat === undefined) throw bad(text, 'there is no such directory');
  if (!isDirectory(stat)) throw bad(text, 'it is no directory');
  if (stat.uid !== uid) throw bad(text, `it belongs to user ${stat.uid}, and this is user ${uid}`);
}

function makeWork(path: string): void {
  try {
    mkdirAt(AT_FDCWD, path, 0o755);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

function bad(target: string, reason: string): PluginError {
  return new PluginError('PUBLISH_BAD_TARGET', { target: printable(target), reason });
}
