/**
 * The work of the probing child: all system calls on a repository. Any of them may hang and never return, so the child
 * is a process of its own (see `probe.ts`). The child changes nothing.
 */
import { bytesOf } from '../base/bytes.ts';
import { sha256Hex } from '../base/digest.ts';
import { KiB } from '../base/limits.ts';
import { readDirents } from '../sys/kernel/dirents.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { close, lgetxattr, llistxattr, openAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { isDirectory, type Stat, statAt, statFd } from '../sys/kernel/stat.ts';
import { filesystemOf } from '../sys/kernel/statfs.ts';
import { mountAt } from '../sys/mounts/mountinfo.ts';
import { openBeneath, resolveBeneath, stampOf } from './beneath.ts';
import { heldAgainst, walkCompanion } from './companion.ts';
import { CATALOG } from './markers.ts';
import type {
  Failure,
  LayerAnswer,
  LayerWalk,
  ProbeLine,
  ProbeRequest,
  ProbeStep,
  ReachAnswer,
  ReadAnswer,
  RepositoryAnswer,
  ResolveAnswer,
  StepAnswer,
  WalkAnswer,
} from './probe-protocol.ts';
import { lookAtRandomLayers } from './random-layers.ts';
import { isDirectoryAt, openIfThere, readBeneath } from './read-beneath.ts';
import { syntheticTest } from './synthetic.ts';
import { walkLayer } from './walk.ts';

export type Emit = (line: ProbeLine) => void;

/** Answers a request, line by line. A fault of the repository is an answer, not an error. */
export function serveProbe(request: ProbeRequest, emit: Emit): void {
  let root: number;
  try {
    // open(2) of the directory makes an automounter mount it; stat(2) of an expired mount does not.
    root = openAt(AT_FDCWD, request.repository.path, O.RDONLY | O.DIRECTORY);
  } catch (error) {
    emit({ line: 'repository', answer: { ok: false, failure: failureOf(error) } });
    return;
  }
  try {
    const answer = lookAtRepository(root, request.repository.path);
    emit({ line: 'repository', answer });
    if (!answer.ok) return;
    request.steps.forEach((step, index) => {
      emit({ line: 'step', index, answer: answerStep(root, step, { request, emit, index }) });
    });
  } finally {
    close(root);
  }
}

/**
 * Magic attributes of the client (docs of CernVM-FS, "Getting information through extended attributes"). Each is a
 * request to the FUSE server.
 */
const MAGIC = [
  'fqrn',
  'revision',
  'root_hash',
  'version',
  'expires',
  'nioerr',
  'timestamp_last_ioerr',
] as const;

function lookAtRepository(root: number, path: string): RepositoryAnswer {
  try {
    const filesystem = filesystemOf(root).type;
    const magic: Record<string, string> = {};
    if (filesystem !== 'fuse') {
      const mount = mountAt(path);
      return { ok: true, filesystem, mount: mount && { fsType: mount.fsType, source: mount.source }, magic };
    }
    for (const name of MAGIC) {
      const value = magicValue(`/proc/self/fd/${root}/.`, `user.${name}`);
      if (value !== undefined) magic[name] = value;
    }
    return { ok: true, filesystem, mount: undefined, magic };
  } catch (error) {
    return { ok: false, failure: failureOf(error) };
  }
}

/**
 * The value of a magic attribute. Undefined where the client refuses it to this caller or is too old to know it, which
 * is no failure.
 */
function magicValue(path: string, name: string): string | undefined {
  try {
    const value = lgetxattr(path, name);
    return value && Buffer.from(value).toString('utf8').replace(/\0+$/, '').trim();
  } catch (error) {
    if (hasCode(error, 'EPERM', 'EACCES', 'ENOSYS', 'EINVAL')) return undefined;
    throw error;
  }
}

interface Context {
  readonly request: ProbeRequest;
  readonly emit: Emit;
  /** The index of the step. */
  readonly index: number;
}

function answerStep(root: number, step: ProbeStep, context: Context): StepAnswer {
  try {
    switch (step.step) {
      case 'layer':
        return lookAtLayer(root, step, context.index === 0);
      case 'walk':
        return walkTree(root, step, context);
      case 'resolve':
        return resolveStep(root, step);
      case 'read':
        return readStep(root, step);
      case 'reach':
        return reachStep(step);
      case 'random layers':
        return lookAtRandomLayers(root, step, (directory) =>
          lookAtLayer(root, { step: 'layer', directory, tree: 'layerfs' }, true),
        );
    }
  } catch (error) {
    return { result: 'failed', failure: failureOf(error) };
  }
}

/**
 * @param lists also list the names of attributes: the client's settings decide whether there are any, so one layer
 * tells for all
 */
function lookAtLayer(root: number, step: ProbeStep & { step: 'layer' }, lists: boolean): LayerAnswer {
  const directory = openIfThere(root, step.directory, O.PATH | O.DIRECTORY);
  if (directory === undefined) return { result: 'miss' };
  try {
    const tree = openTree(directory, step.tree);
    if (typeof tree !== 'number') return { result: 'half', failure: tree };
    try {
      return topOf(tree, directory, step.tree, lists);
    } finally {
      close(tree);
    }
  } finally {
    close(directory);
  }
}

/** Opens the tree. Without one, the publisher was stopped in between, or is still publishing. */
function openTree(directory: number, tree: string): number | Failure {
  try {
    return openBeneath(directory, Buffer.from(tree), O.RDONLY | O.DIRECTORY);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR', 'ELOOP')) return failureOf(error);
    throw error;
  }
}

/** The most owners that an answer has: one owner hints at lost owners, several at kept ones. */
const MAX_OWNERS = 64;
/** Entries of the top directory whose attributes are read. Each costs a request the first time. */
const MAX_LOOKED_AT = 1000;
/** DUCC's record has less than 400 bytes. podman's record of a whole store is not read. */
const MAX_RECORD = 64 * KiB;

/**
 * Reads the tree's top directory. Each layer is a nested catalog: without network its directory can still be stated and
 * mounted, while lookups in it fail (EIO at the first readdir).
 */
function topOf(tree: number, directory: number, treeName: string, lists: boolean): LayerAnswer {
  const root = stampOf(statFd(tree));
  const beside = treeName === '' ? undefined : directory;
  const around = beside === undefined ? undefined : stampOf(statFd(beside));
  const owners = new Set<string>();
  const allOwners = new Set([ownerOf(root)]);
  let publisher: { uid: number; gid: number } | undefined;
  const lines: string[] = [];
  let stickyLost = false;
  const synthetic = syntheticTest(tree, around);
  const entries = readDirents(tree, treeName).sort((a, b) => (a.name < b.name ? -1 : 1));
  entries.forEach((entry, index) => {
    if (index >= MAX_LOOKED_AT && entry.name !== CATALOG) {
      lines.push(entry.name);
      return;
    }
    const stat = statAt(tree, bytesOf(entry.name));
    lines.push(
      `${entry.name} ${stat.mode} ${stat.uid} ${stat.gid} ${stat.mtime.sec}.${stat.mtime.nsec} ${sizeOf(stat)}`,
    );
    if (entry.name === 'tmp' && isDirectory(stat)) stickyLost = (stat.mode & 0o1777) === 0o777;
    if (entry.name === CATALOG) publisher = { uid: stat.uid, gid: stat.gid };
    else if (owners.size < MAX_OWNERS) {
      allOwners.add(ownerOf(stat));
      if (!(isDirectory(stat) && synthetic(stampOf(stat)))) owners.add(ownerOf(stat));
    }
  });
  return {
    result: 'found',
    root,
    publisher,
    owners: [...owners],
    allOwners: [...allOwners],
    around: around && ownerOf(around),
    fingerprint: sha256Hex(`${JSON.stringify(root)}\n${lines.join('\n')}`).slice(0, 32),
    record:
      beside === undefined
        ? undefined
        : readBeneath(beside, '.metadata/layers.json', MAX_RECORD)?.toString('utf8'),
    stickyLost,
    listed: lists ? listedIn(tree) : [],
    companion: beside !== undefined && isDirectoryAt(beside, 'whiteouts'),
  };
}

function ownerOf({ uid, gid }: { uid: number; gid: number }): string {
  return `${uid}:${gid}`;
}

function listedIn(tree: number): string[] {
  return llistxattr(`/proc/self/fd/${tree}/.`).map((name) => Buffer.from(name).toString('latin1'));
}

/** The size for the fingerprint: 0 for a directory, whose size depends on the filesystem. */
function sizeOf(stat: Stat): number {
  return isDirectory(stat) ? 0 : stat.size;
}

type WalkStep = ProbeStep & { step: 'walk' };

function walkTree(root: number, step: WalkStep, context: Context): WalkAnswer {
  const beside = openBeneath(root, Buffer.from(step.directory), O.PATH | O.DIRECTORY);
  try {
    const { companionOf } = step;
    if (companionOf === undefined) return { result: 'walked', walk: search(beside, step, context) };
    const walk = walkCompanion(beside, step, companionOf);
    return { result: 'walked', walk: walk ?? heldAgainst(beside, search(beside, step, context)) };
  } finally {
    close(beside);
  }
}

function search(beside: number, step: WalkStep, { request, emit }: Context): LayerWalk {
  const tree = openBeneath(beside, Buffer.from(step.tree), O.RDONLY | O.DIRECTORY);
  try {
    return walkLayer(tree, {
      sizes: step.sizes,
      xattrs: request.repository.type === 'directory',
      made: step.made,
      around: step.tree === '' ? undefined : stampOf(statFd(beside)),
      explicit: new Set(step.explicit),
      alive: () => emit({ line: 'alive' }),
    });
  } finally {
    close(tree);
  }
}

function resolveStep(root: number, step: ProbeStep & { step: 'resolve' }): ResolveAnswer {
  const path = resolveBeneath(root, step.path, step.links);
  if (path === undefined) return { result: 'miss' };
  const fd = openIfThere(root, path, O.PATH | O.NOFOLLOW);
  if (fd === undefined) return { result: 'miss' };
  close(fd);
  return { result: 'found', path, directory: isDirectoryAt(root, path) };
}

function reachStep({ path }: ProbeStep & { step: 'reach' }): ReachAnswer {
  try {
    close(openAt(AT_FDCWD, path, O.RDONLY | O.DIRECTORY));
    return { result: 'reached' };
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return { result: 'miss' };
    throw error;
  }
}

function readStep(root: number, step: ProbeStep & { step: 'read' }): ReadAnswer {
  const path = resolveBeneath(root, step.path, step.links);
  if (path === undefined) return { result: 'miss' };
  const bytes = readBeneath(root, path, step.limit);
  if (bytes === undefined) return { result: 'miss' };
  return { result: 'found', path, base64: bytes.toString('base64') };
}

/** A failure from an error: its errno, or the text of a defect of graft. */
function failureOf(error: unknown): Failure {
  const code = (error as { code?: unknown } | null)?.code;
  const what = error instanceof Error ? error.message : String(error);
  return { code: typeof code === 'string' ? code : 'unknown', what };
}
