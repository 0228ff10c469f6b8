/** Targets by the text that a person writes, ready for changes: alone, and without what a killed publication left. */
import { posix } from 'node:path';
import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { mkdirAt } from '../sys/kernel/files.ts';
import { AT_FDCWD } from '../sys/kernel/libc.ts';
import { isDirectoryAt, lookIfThere } from '../sys/kernel/look.ts';
import { isDirectory } from '../sys/kernel/stat.ts';
import { alone } from './lock.ts';
import { isRepositoryName } from './repository/names.ts';
import { WORK } from './repository/paths.ts';
import { CvmfsServer } from './targets/cvmfs-server.ts';
import { CvmfsTarget } from './targets/cvmfs-target.ts';
import { DirectoryTarget } from './targets/directory-target.ts';
import type { PublishTarget } from './targets/target.ts';

export interface TargetOptions {
  /** `directory:/path` or `cvmfs:repository` */
  readonly text: string;
  /** The ids of this process. */
  readonly user: { readonly uid: number; readonly gid: number };
  readonly signal: AbortSignal;
  /** Nothing is changed, so nobody has to be kept out. */
  readonly readOnly: boolean;
  /** For `cvmfs:`. */
  readonly server: {
    /** The release manager's tool: a path, or a name in the PATH of `env`. */
    readonly program: string;
    readonly env: Readonly<Record<string, string>>;
    /** Directory for unfinished layers. */
    readonly scratch: string;
  };
}

type Use<T> = (target: PublishTarget, signal: AbortSignal) => Promise<T>;

/** Runs `use` with the target. @throws PUBLISH_BAD_TARGET, PUBLISH_BUSY, PUBLISH_TRANSACTION, and what `use` throws */
export async function withTarget<T>(options: TargetOptions, use: Use<T>): Promise<T> {
  const { text } = options;
  const cut = text.indexOf(':');
  const [kind, place] = [text.slice(0, Math.max(0, cut)), text.slice(cut + 1)];
  switch (kind) {
    case 'directory':
      return withDirectory(options, place, use);
    case 'cvmfs':
      return withRepository(options, place, use);
    default:
      throw bad(text, 'write directory:/PATH or cvmfs:REPOSITORY');
  }
}

async function withDirectory<T>({ text, user, signal, readOnly }: TargetOptions, place: string, use: Use<T>) {
  const root = place.replace(/\/+$/, '');
  requireOwnDirectory(text, root, user.uid);
  const target = new DirectoryTarget(root, user.uid === 0);
  if (readOnly) return use(target, signal);
  makeDirectory(`${root}/${WORK}`, 0o755);
  return alone(`${root}/${WORK}/lock`, target.shown, signal, async (whileHeld) => {
    target.prepare();
    return use(target, whileHeld);
  });
}

async function withRepository<T>(options: TargetOptions, repository: string, use: Use<T>): Promise<T> {
  const { text, user, signal, readOnly, server } = options;
  if (!isRepositoryName(repository))
    throw bad(text, 'write cvmfs:REPOSITORY, such as cvmfs:images.example.org');
  const mount = `/cvmfs/${repository}`;
  if (!isDirectoryAt(mount)) throw bad(text, `${mount} is not mounted; is this its release manager?`);
  const program = Bun.which(server.program, { PATH: server.env['PATH'] ?? '' });
  if (program === null) throw bad(text, `there is no program ${printable(server.program)}`);
  const shared = posix.join(server.scratch, `graft-publish-${user.uid}`);
  const scratch = `${shared}/${repository}`;
  if (!readOnly) {
    for (const path of [shared, scratch]) makeDirectory(path, 0o700);
    // Other users may write in /var/tmp too.
    for (const path of [shared, scratch]) requireOwnDirectory(text, path, user.uid);
  }
  const spool = `/var/spool/cvmfs/${repository}`;
  const tool = new CvmfsServer({
    repository,
    program,
    env: server.env,
    record: `${scratch}/call.json`,
    spool,
  });
  const target = new CvmfsTarget({ repository, mount, scratch, server: tool, owner: user });
  if (readOnly) return use(target, signal);
  return alone(`${scratch}/lock`, target.shown, signal, async (whileHeld) => {
    await target.prepare();
    return use(target, whileHeld);
  });
}

/** In a directory of another user, that user could lead every write elsewhere by a link. */
function requireOwnDirectory(text: string, path: string, uid: number): void {
  if (!path.startsWith('/') || path.split('/').includes('..')) throw bad(text, 'its path must be absolute');
  const stat = lookIfThere(path);
  if (stat === undefined) throw bad(text, `there is no directory ${path}`);
  if (!isDirectory(stat)) throw bad(text, `${path} is no directory`);
  if (stat.uid !== uid) throw bad(text, `${path} belongs to user ${stat.uid}, and this is user ${uid}`);
}

function makeDirectory(path: string, mode: number): void {
  try {
    mkdirAt(AT_FDCWD, path, mode);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

function bad(target: string, reason: string): PluginError {
  return new PluginError('PUBLISH_BAD_TARGET', { target: printable(target), reason });
}
