import { PluginError } from '../base/errors/error.ts';
import type { IdMappings } from '../base/id-mapping.ts';
import { writeFileDurable } from '../sys/durable.ts';
import { hasCode, SysError } from '../sys/errno.ts';
import { chmodAt, chownAt, mkdirAt, rmdirAt, unlinkAt } from '../sys/files.ts';
import { sweepHolds } from '../sys/holder.ts';
import { AT_FDCWD } from '../sys/libc.ts';
import { withLock } from '../sys/lock.ts';
import { exists, isDirectoryAt, listNames, lookIfThere } from '../sys/look.ts';
import { loopOf, setDirectIo } from '../sys/loop.ts';
import { isMountRoot } from '../sys/mountinfo.ts';
import { parentOf } from '../sys/path.ts';
import { quotaSupport } from '../sys/quota.ts';
import { filesystemOf } from '../sys/statfs.ts';
import { isTemporaryName } from '../sys/temporary.ts';
import { agree } from './agree.ts';
import { type BackingDeps, mountBacking } from './backing.ts';
import { encodeFormat, rootOwner, type StoreFormat, whyNoMarker } from './format.ts';
import { Layout, STORE_DIRECTORIES } from './layout.ts';
import { migrate } from './migrate.ts';
import { sweep } from './recover.ts';
import { removeName } from './staging.ts';
import { Store, storeRoot } from './store.ts';
import { startTotals } from './totals.ts';
import { type StoreVersions, VERSIONS } from './versions.ts';

export interface InitRequest {
  readonly path: string;
  /** 0: no loop file, the store lies on the filesystem that is there. */
  readonly sizeBytes: number;
  readonly mappings: IdMappings;
}

export interface InitDone {
  readonly store: Store;
  /** Why limits cannot be set here; undefined when they can. */
  readonly noLimits: string | undefined;
  /** Size of the loop file where it is not the one that was asked for. */
  readonly keptBytes: number | undefined;
}

/** Filesystems that overlayfs takes no upper directory from. */
const UNFIT = new Set(['overlay', 'fuse', 'nfs', 'vfat', 'squashfs', 'erofs', 'iso9660', '9p']);
/** An operator's other init-store may be formatting a large disk. */
const LOCK_MILLISECONDS = 120_000;

/**
 * Makes a store, or puts right what is there: mounts its loop file again, migrates an older format, adds directories,
 * sweeps up.
 * @throws STORE_* ; running it again with the same mappings changes nothing
 */
export async function initStore(
  request: InitRequest,
  deps: BackingDeps,
  versions: StoreVersions = VERSIONS,
): Promise<InitDone> {
  const layout = new Layout(storeRoot(request.path));
  placeable(layout, () => makeParents(parentOf(layout.root), layout.root));
  return withInitLock(layout, async () => {
    const fresh = makeDirectory(layout.root);
    try {
      return await initDirectory(layout, request, fresh, deps, versions);
    } catch (error) {
      if (fresh) removeIfEmpty(layout.root);
      throw error;
    }
  });
}

/** One init-store at a time works on a store. @throws STORE_BUSY */
export function withInitLock<T>({ root }: Layout, section: () => Promise<T>): Promise<T> {
  return withLock(`${root}.init`, { timeoutMs: LOCK_MILLISECONDS, what: 'another init-store' }, section);
}

async function initDirectory(
  layout: Layout,
  request: InitRequest,
  fresh: boolean,
  deps: BackingDeps,
  versions: StoreVersions,
): Promise<InitDone> {
  if (usesLoop(layout, request)) mountBacking(layout, request.sizeBytes, deps);
  refuseUnfit(layout);
  const { format: found, isWritten } = agree(layout, request.mappings, fresh, versions);
  const format = migrate(layout, found, versions);
  for (const name of STORE_DIRECTORIES) make(layout, name, format);
  own(layout.root, format, 0o700);
  if (!isWritten) {
    removeName(layout, layout.marker);
    writeFileDurable(layout.marker, encodeFormat(format), 0o644);
    if (listNames(layout.volumes).length === 0) startTotals(layout, deps.log);
  }
  syncDirectIo(layout, deps.directIo);
  sweepHolds(parentOf(layout.root), false);
  sweepTemporaries(layout.meta);
  const store = Store.open(layout.root, versions);
  await sweep(store, deps.log);
  const quota = quotaSupport(layout.root);
  const noLimits = quota.supported ? undefined : quota.reason;
  return { store, noLimits, keptBytes: keptSize(layout, request.sizeBytes) };
}

function keptSize({ backing }: Layout, wanted: number): number | undefined {
  const present = wanted === 0 ? undefined : lookIfThere(backing)?.size;
  return present === wanted ? undefined : present;
}

/**
 * Whether the store lies, or will lie, on a loop file. BOSH passes the size at every start, also to a store that
 * was made without one; and a mount over somebody's files would only hide them.
 * @throws STORE_FOREIGN, STORE_BAD_PATH
 */
function usesLoop(layout: Layout, request: InitRequest): boolean {
  if (exists(layout.backing)) return true;
  if (request.sizeBytes === 0 || exists(layout.marker) || isMountRoot(layout.root)) return false;
  if (listNames(layout.root).length === 0) return true;
  const why = whyNoMarker(layout);
  if (why.code !== 'STORE_NOT_INITIALIZED') throw why;
  const reason =
    'it is not empty, and a loop file mounted there would hide what is in it; give another directory';
  throw new PluginError('STORE_BAD_PATH', { store: layout.root, reason });
}

/** Where not even a directory can be made (/proc, a read-only disk) there is nothing to initialise. */
function placeable(layout: Layout, make: () => void): void {
  try {
    make();
    if (!canMakeIn(parentOf(layout.root))) throw new SysError(EROFS, 'mkdirat', parentOf(layout.root));
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw new PluginError('STORE_BAD_PATH', { store: layout.root, reason: error.message }, { cause: error });
  }
}
const EROFS = 30;

/** The kernel's own trees take no directory of ours, whoever asks. */
function canMakeIn(path: string): boolean {
  return !KERNEL_TREES.has(filesystemOf(path).type);
}
const KERNEL_TREES = new Set(['proc', 'sysfs', 'cgroup', 'cgroup2', 'securityfs', 'debugfs', 'tracefs']);

function removeIfEmpty(path: string): void {
  try {
    rmdirAt(AT_FDCWD, path);
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY', 'EBUSY', 'ENOENT')) throw error;
  }
}

/** What an init-store left that was stopped while it wrote the marker; nothing else writes there like that. */
function sweepTemporaries(directory: string): void {
  for (const name of listNames(directory))
    if (isTemporaryName(name)) unlinkAt(AT_FDCWD, `${directory}/${name}`);
}

function makeParents(path: string, store: string): void {
  if (isDirectoryAt(path)) return;
  const reason = `${path} is not a directory; choose a path below one`;
  if (exists(path)) throw new PluginError('STORE_BAD_PATH', { store, reason });
  makeParents(parentOf(path), store);
  makeDirectory(path);
}

/** True when it was not there. @throws STORE_BAD_PATH when something else is in its place */
function makeDirectory(path: string): boolean {
  try {
    mkdirAt(AT_FDCWD, path, 0o755);
    return true;
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
    if (!isDirectoryAt(path))
      throw new PluginError('STORE_BAD_PATH', { store: path, reason: 'it is not a directory' });
    return false;
  }
}

function refuseUnfit(layout: Layout): void {
  const { type } = filesystemOf(layout.root);
  if (UNFIT.has(type)) throw new PluginError('STORE_WRONG_FILESYSTEM', { store: layout.root, actual: type });
}

/** Container processes pass through these on the way to their root filesystem; the others are graft's alone. */
const PASSED: ReadonlySet<string> = new Set(['images', 'volumes']);

function make(layout: Layout, name: (typeof STORE_DIRECTORIES)[number], format: StoreFormat): void {
  const path = `${layout.root}/${name}`;
  makeDirectory(path);
  if (PASSED.has(name)) {
    own(path, format, 0o755);
    return;
  }
  chownAt(AT_FDCWD, path, 0, 0);
  chmodAt(AT_FDCWD, path, 0o700);
}

function own(path: string, format: StoreFormat, mode: number): void {
  const { uid, gid } = rootOwner(format.mappings);
  chownAt(AT_FDCWD, path, uid, gid);
  chmodAt(AT_FDCWD, path, mode);
}

function syncDirectIo(layout: Layout, on: boolean): void {
  if (!exists(layout.backing)) return;
  using loop = loopOf(layout.backing);
  if (loop) setDirectIo(loop.fd, on);
}
