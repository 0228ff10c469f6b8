import { PluginError } from '../../base/errors/error.ts';
import type { IdMappings } from '../../base/id-mapping.ts';
import { Undo } from '../../base/undo.ts';
import { sweepHolds } from '../../sys/exclusive/hold.ts';
import { withLock } from '../../sys/exclusive/lock.ts';
import { parentOf } from '../../sys/files/path.ts';
import { isTemporaryName } from '../../sys/files/temporary.ts';
import { letGoOf } from '../../sys/kernel/anchor.ts';
import { hasCode, SysError } from '../../sys/kernel/errno.ts';
import { mkdirAt, rmdirAt, unlinkAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { exists, isDirectoryAt, listNames, lookIfThere } from '../../sys/kernel/look.ts';
import { isDirectory } from '../../sys/kernel/stat.ts';
import { filesystemOf } from '../../sys/kernel/statfs.ts';
import { loopOf, setDirectIo } from '../../sys/mounts/loop.ts';
import { isMountRoot } from '../../sys/mounts/mountinfo.ts';
import { quotaSupport } from '../../sys/mounts/quota.ts';
import { sweep } from '../collect/recover.ts';
import { anchorStore } from '../layout/anchored.ts';
import { isSameForm, type LayerWish } from '../layout/layer-form.ts';
import { Layout } from '../layout/layout.ts';
import { whyNotRoots } from '../layout/roots-own.ts';
import type { StoreFormat } from '../layout/store-format.ts';
import { type StoreVersions, VERSIONS } from '../layout/versions.ts';
import { writeFormat } from '../layout/write-format.ts';
import { storeRoot } from '../opened.ts';
import { startTotals } from '../records/totals.ts';
import { Store } from '../store.ts';
import { type BackingDeps, mountBacking, refuseBacking } from './backing.ts';
import { lookAtDirectories, makeDirectories, mendDirectories } from './directories.ts';
import { formatOf } from './format-of.ts';
import { formFor } from './layer-trial.ts';
import { migrate } from './migrate.ts';
import { refused, type Site, siteOf } from './site.ts';

export interface InitRequest {
  readonly path: string;
  /** 0: no loop file; the store lies on the filesystem that its directory is on. */
  readonly sizeBytes: number;
  readonly mappings: IdMappings;
  /** How layers are written. Undefined: as before, and in a new store as directories. */
  readonly layers?: LayerWish | undefined;
}

export interface InitDone {
  readonly store: Store;
  /** The reason why limits cannot be set here; undefined when they can. */
  readonly noLimits: string | undefined;
  /** The size of the loop file where it differs from the requested size. */
  readonly keptBytes: number | undefined;
}

/** Filesystems on which overlayfs allows no upper directory. */
const UNFIT = new Set(['overlay', 'fuse', 'nfs', 'vfat', 'squashfs', 'erofs', 'iso9660', '9p']);
/** Another init-store of the operator may be formatting a large disk. */
const LOCK_MILLISECONDS = 120_000;

/**
 * Makes a store, or repairs an existing one: mounts its loop file again, migrates an older format, adds missing
 * directories, sweeps. The path must not exist, or be an empty directory or a store of graft. All reasons to refuse
 * are checked before the first change; a failure after that is undone. Running it again with the same mappings
 * changes nothing.
 * @throws STORE_*
 */
export async function initStore(
  request: InitRequest,
  deps: BackingDeps,
  versions: StoreVersions = VERSIONS,
): Promise<InitDone> {
  const layout = new Layout(storeRoot(request.path));
  survey(layout, request, versions);
  const undo = new Undo(deps.log);
  try {
    placeable(layout, () => makeDirectory(parentOf(layout.root), undo));
    return await withInitLock(layout, () => initDirectory(layout, request, deps, versions, undo));
  } catch (error) {
    letGoOf(layout.root);
    undo.run();
    throw error;
  }
}

/** Runs `section` under the lock that allows one init-store at a time on a store. @throws STORE_BUSY */
export function withInitLock<T>(layout: Layout, section: () => Promise<T>): Promise<T> {
  return withLock(lockOf(layout), { timeoutMs: LOCK_MILLISECONDS, what: 'another init-store' }, section);
}

function lockOf({ root }: Layout): string {
  return `${root}.init`;
}

/** Checks every reason to refuse, and changes nothing. @throws STORE_* */
function survey(layout: Layout, request: InitRequest, versions: StoreVersions): Site {
  const site = siteOf(layout);
  refuseLock(layout);
  if (usesLoop(layout, site, request)) refuseBacking(layout, request.sizeBytes);
  else {
    refuseUnfit(layout);
    if (site === 'store') refuseStore(layout, request, versions);
  }
  return site;
}

/** @throws STORE_UNSAFE, and all errors of `formatOf` */
function refuseStore(layout: Layout, request: InitRequest, versions: StoreVersions): void {
  const unsafe = anchorStore(layout);
  try {
    formatOf(layout, request.mappings, false, versions);
    if (unsafe) throw unsafe;
    lookAtDirectories(layout);
  } finally {
    letGoOf(layout.root);
  }
}

/** In a directory where every user can make files, another user may have made a file with the lock's name. */
function refuseLock(layout: Layout): void {
  const stat = lookIfThere(lockOf(layout));
  if (stat === undefined || (isDirectory(stat) && whyNotRoots(stat) === undefined)) return;
  throw refused(
    layout,
    `${lockOf(layout)}, which init-store would lock, is not a directory of root's; move it away`,
  );
}

async function initDirectory(
  layout: Layout,
  request: InitRequest,
  deps: BackingDeps,
  versions: StoreVersions,
  undo: Undo,
): Promise<InitDone> {
  const outer = survey(layout, request, versions);
  const loop = usesLoop(layout, outer, request);
  if (outer === 'absent') makeDirectory(layout.root, undo);
  const mounted = loop && mountBacking(layout, request.sizeBytes, deps, undo);
  const site = mounted ? siteOf(layout) : outer;
  if (mounted && site === 'store') refuseStore(layout, request, versions);
  refuseUnfit(layout);
  const unsafe = anchorStore(layout);
  if (unsafe) throw unsafe;
  const { format: found, isWritten } = formatOf(layout, request.mappings, site !== 'store', versions);
  let format = found;
  if (site === 'store') {
    deps.log.debug('store-already-initialized', { store: layout.root });
    format = migrate(layout, found, versions);
    mendDirectories(layout, format);
    if (!isWritten || !exists(layout.markerCopy)) writeFormat(layout, format);
  } else {
    makeDirectories(layout, found, undo);
  }
  chooseLayers(layout, format, request.layers);
  if (!isWritten && listNames(layout.volumes).length === 0) startTotals(layout, deps.log);
  return tidy(layout, request, deps, versions);
}

/** The kernel may be another one than at the last init-store, so what was wished for is tried each time. */
function chooseLayers(layout: Layout, format: StoreFormat, wish = format.layers.wish): void {
  const layers = formFor(wish, format.layers, layout);
  if (!isSameForm(layers, format.layers)) writeFormat(layout, { ...format, layers });
}

async function tidy(
  layout: Layout,
  request: InitRequest,
  deps: BackingDeps,
  versions: StoreVersions,
): Promise<InitDone> {
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
 * Whether the store lies, or will lie, on a loop file. BOSH passes the size at every start, also for a store without
 * a loop file. A mount over existing files would only hide them, so a store that is there gets none.
 */
function usesLoop(layout: Layout, site: Site, { sizeBytes }: InitRequest): boolean {
  if (site === 'store' || site === 'half made') return false;
  if (site === 'empty' && isMountRoot(layout.root)) return false;
  return sizeBytes > 0 || exists(layout.backing);
}

/** Refuses a path at which no directory can be made (below /proc, on a read-only disk). */
function placeable(layout: Layout, make: () => void): void {
  try {
    make();
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    throw refused(layout, error.message);
  }
}

/** Filesystems of the kernel, in which a store cannot be, even for root. */
const KERNEL_TREES = new Set(['proc', 'sysfs', 'cgroup', 'cgroup2', 'securityfs', 'debugfs', 'tracefs']);
const EROFS = 30;

/**
 * Deletes temporary files of an init-store that was stopped while it wrote the marker; only init-store writes them.
 */
function sweepTemporaries(directory: string): void {
  for (const name of listNames(directory))
    if (isTemporaryName(name)) unlinkAt(AT_FDCWD, `${directory}/${name}`);
}

/** Makes a directory and its missing parents. */
function makeDirectory(path: string, undo: Undo): void {
  if (isDirectoryAt(path)) return;
  makeDirectory(parentOf(path), undo);
  mkdirAt(AT_FDCWD, path, 0o755);
  undo.add(() => removeIfEmpty(path));
}

function removeIfEmpty(path: string): void {
  try {
    rmdirAt(AT_FDCWD, path);
  } catch (error) {
    if (!hasCode(error, 'ENOTEMPTY', 'EBUSY', 'ENOENT')) throw error;
  }
}

/** Refuses an unfit filesystem under the store, or under the directory that the store will be made in. */
function refuseUnfit({ root }: Layout): void {
  let path = root;
  while (!isDirectoryAt(path)) path = parentOf(path);
  const { type } = filesystemOf(path);
  if (KERNEL_TREES.has(type)) {
    const reason = new SysError(EROFS, 'mkdirat', parentOf(root)).message;
    throw new PluginError('STORE_BAD_PATH', { store: root, reason });
  }
  if (UNFIT.has(type)) throw new PluginError('STORE_WRONG_FILESYSTEM', { store: root, actual: type });
}

function syncDirectIo(layout: Layout, on: boolean): void {
  if (!exists(layout.backing)) return;
  using loop = loopOf(layout.backing);
  if (loop) setDirectIo(loop.fd, on);
}
