/**
 * Judges whether a repository can be used: a live CernVM-FS mount, or a plain directory that the operator configured.
 */
import { errnoMeaning } from '../sys/kernel/errno.ts';
import type { ProbeOutcome } from './probe.ts';
import type { Failure, RepositoryAnswer } from './probe-protocol.ts';
import type { Doubt, Repository } from './settings.ts';

export interface Doubtful {
  readonly ok: false;
  readonly doubt: Doubt;
  readonly reason: string;
}

/** The state of a repository at the time of a create, for the container's record. */
export interface RepositoryState {
  readonly name: string;
  readonly path: string;
  /** The catalog's revision; `''` for a plain directory. */
  readonly revision: string;
  /** Hash of the root catalog; `''` for a plain directory. */
  readonly rootHash: string;
  /** True while the client stays at this root hash, and for plain directories. */
  readonly pinned: boolean;
  /** Version of the client; undefined where the client does not tell it. */
  readonly client: string | undefined;
}

export type Judged = { readonly ok: true; readonly state: RepositoryState } | Doubtful;

/** Judges an answered or unanswered probe. @param now seconds since 1970 */
export function judgeProbe(repository: Repository, outcome: ProbeOutcome, now: number): Judged {
  if (outcome.repository !== undefined) return judgeRepository(repository, outcome.repository, now);
  if (outcome.ended === 'late') return hang(repository);
  return doubtful('io_error', 'the process that asked it ended without an answer');
}

export function hang(repository: Repository): Doubtful {
  return doubtful('hang', `no answer within ${repository.probeDeadlineMs} ms`);
}

export function judgeRepository(repository: Repository, answer: RepositoryAnswer, now: number): Judged {
  if (!answer.ok) return judgeFailure(answer.failure);
  if (repository.type === 'directory') return plainDirectory(repository);
  const { magic } = answer;
  if (answer.filesystem !== 'fuse') {
    const what =
      answer.mount === undefined ? 'nothing is mounted there' : `a ${answer.mount.fsType} is mounted there`;
    return doubtful('not_mounted', what);
  }
  if (magic['fqrn'] === undefined) {
    return doubtful(
      'not_cvmfs',
      'the filesystem there has no attribute user.fqrn, so it is no CernVM-FS client',
    );
  }
  if (magic['fqrn'] !== repository.name) {
    return doubtful('wrong_repository', `the client there serves ${magic['fqrn']}, not ${repository.name}`);
  }
  return judgeRevision(repository, magic) ?? judgeHealth(repository, magic, now) ?? live(repository, magic);
}

/**
 * Judges a failed open of the mount point. ENOENT: the mount point is missing, or an automounter could not mount.
 * ENODEV and EHOSTDOWN: other automounters' errors for that. Any other error comes from a mount that is broken:
 * ENOTCONN after the client died, ESTALE and EIO.
 */
function judgeFailure(failure: Failure): Doubtful {
  const words = `${errnoMeaning(failure.code)} (${failure.code})`;
  if (['ENOENT', 'ENODEV', 'EHOSTDOWN', 'ENOTDIR'].includes(failure.code))
    return doubtful('not_mounted', words);
  return doubtful('io_error', words);
}

function plainDirectory(repository: Repository): Judged {
  const { name, path } = repository;
  return { ok: true, state: { name, path, revision: '', rootHash: '', pinned: true, client: undefined } };
}

type Magic = Readonly<Record<string, string>>;

function judgeRevision(repository: Repository, magic: Magic): Doubtful | undefined {
  const { revision: wanted } = repository;
  if (!/^[1-9]\d*$/.test(magic['revision'] ?? '')) {
    return doubtful('not_cvmfs', `its attribute user.revision is "${magic['revision'] ?? ''}", not a number`);
  }
  if (!/^[0-9a-f]{40,}/.test(magic['root_hash'] ?? '')) {
    return doubtful('not_cvmfs', `its attribute user.root_hash is "${magic['root_hash'] ?? ''}", not a hash`);
  }
  if (wanted === 'follow') return undefined;
  if (!isPinned(magic)) {
    return doubtful(
      'not_pinned',
      'the client follows new revisions, and the configuration asks for a fixed one',
    );
  }
  if (wanted === 'fixed' || magic['root_hash'] === wanted.rootHash) return undefined;
  return doubtful(
    'not_pinned',
    `the client is at root hash ${magic['root_hash']}, not at ${wanted.rootHash}`,
  );
}

/**
 * True for a client that is pinned by root hash, tag or date: its attribute `expires` is `never (fixed root catalog)`,
 * and minutes otherwise.
 */
function isPinned(magic: Magic): boolean {
  return magic['expires']?.startsWith('never') ?? false;
}

/**
 * Doubts a client with a recent error: it will probably fail again, and a container would start and get EIO at its
 * first read.
 */
function judgeHealth(repository: Repository, magic: Magic, now: number): Doubtful | undefined {
  const last = Number(magic['timestamp_last_ioerr'] ?? 0);
  if (!(last > 0) || repository.ioErrorWindowSeconds === 0) return undefined;
  const ago = Math.max(0, Math.round(now - last));
  if (ago > repository.ioErrorWindowSeconds) return undefined;
  return doubtful('io_error', `the client had an input/output error ${ago} s ago`);
}

function live(repository: Repository, magic: Magic): Judged {
  const state: RepositoryState = {
    name: repository.name,
    path: repository.path,
    revision: magic['revision'] ?? '',
    rootHash: magic['root_hash'] ?? '',
    pinned: isPinned(magic),
    client: magic['version'],
  };
  return { ok: true, state };
}

export function doubtful(doubt: Doubt, reason: string): Doubtful {
  return { ok: false, doubt, reason };
}
