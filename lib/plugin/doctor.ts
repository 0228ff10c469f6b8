import { accessSync, existsSync, readFileSync } from 'node:fs';
import { delimiter, dirname } from 'node:path';
import { isPluginError, PluginError } from '../base/errors/error.ts';
import { shortBytes } from '../base/units.ts';
import { isReachable, measure } from '../store/collect/measure.ts';
import { lookAtDirectories } from '../store/init/directories.ts';
import { Layout } from '../store/layout/layout.ts';
import { lookAtMount } from '../store/layout/mount-state.ts';
import { storeRoot } from '../store/opened.ts';
import { Store } from '../store/store.ts';
import { letGoOf } from '../sys/kernel/anchor.ts';
import { SysError } from '../sys/kernel/errno.ts';
import { filesystemOf } from '../sys/kernel/statfs.ts';
import { quotaSupport } from '../sys/mounts/quota.ts';

type Verdict = 'ok' | 'warning' | 'problem';

export interface Diagnosis {
  readonly name: string;
  readonly verdict: Verdict;
  readonly detail: string;
  /** The operator's next action; empty when all is well. */
  readonly advice: string;
}

export interface DoctorRequest {
  readonly storePath: string;
  readonly isRoot: boolean;
  readonly kernelRelease: string;
  /** The environment's PATH. */
  readonly path: string;
  readonly cleanThresholdBytes: number;
  /** The sentence for an error, as the command line would print it. */
  readonly explain: (error: unknown) => string;
}

/** Checks one machine for the problems that an operator can mend. Changes nothing. */
export function diagnose(request: DoctorRequest): Diagnosis[] {
  return [user(request), kernel(request), overlay(), programs(request), ...store(request)];
}

function ok(name: string, detail: string): Diagnosis {
  return { name, verdict: 'ok', detail, advice: '' };
}

function user({ isRoot }: DoctorRequest): Diagnosis {
  if (isRoot) return ok('user', 'root');
  const advice = 'run graft as root: it mounts, and sets owners and quotas';
  return { name: 'user', verdict: 'problem', detail: 'not root', advice };
}

/** openat2(2) keeps unpacking inside the layer's directory; graft has no replacement for it. */
function kernel({ kernelRelease }: DoctorRequest): Diagnosis {
  const [major = 0, minor = 0] = kernelRelease.split('.').map(Number.parseFloat);
  if (major > 5 || (major === 5 && minor >= 6)) return ok('kernel', kernelRelease);
  const advice = 'boot a kernel of 5.6 or later, which has openat2(2)';
  return { name: 'kernel', verdict: 'problem', detail: kernelRelease, advice };
}

function overlay(): Diagnosis {
  const known = readFileSync('/proc/filesystems', 'latin1').split('\n');
  if (known.some((line) => line.endsWith('\toverlay'))) return ok('overlayfs', 'the kernel has it');
  return {
    name: 'overlayfs',
    verdict: 'warning',
    detail: 'not loaded',
    advice: 'load it at boot: modprobe overlay; echo overlay > /etc/modules-load.d/overlay.conf',
  };
}

function programs({ path }: DoctorRequest): Diagnosis {
  const found = path.split(delimiter).find((directory) => isExecutable(`${directory}/mkfs.xfs`));
  if (found !== undefined) return ok('mkfs.xfs', `${found}/mkfs.xfs`);
  const advice = 'install xfsprogs; only init-store --store-size-bytes needs it';
  return { name: 'mkfs.xfs', verdict: 'warning', detail: 'not in PATH', advice };
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, 1);
    return true;
  } catch {
    return false;
  }
}

function store(request: DoctorRequest): Diagnosis[] {
  const layout = new Layout(storeRoot(request.storePath));
  try {
    const opened = Store.open(layout.root);
    return [
      whole(layout),
      ...backing(layout),
      layers(opened),
      limits(layout),
      space(layout),
      threshold(opened, request),
    ];
  } catch (error) {
    // A user other than root may not read the store. An earlier line reports that, and the other checks still run.
    if (!(error instanceof PluginError || error instanceof SysError)) throw error;
    // Only root finds files through the anchored directory. By the store's path every user can see the filesystem's
    // use.
    letGoOf(layout.root);
    const advice = isPluginError(error, 'STORE_NOT_INITIALIZED')
      ? `run: graft --store ${layout.root} init-store`
      : '';
    const problem: Diagnosis = { name: 'store', verdict: 'problem', detail: request.explain(error), advice };
    return existsSync(dirname(layout.root)) ? [problem, space(layout)] : [problem];
  }
}

/** Checks the directories, and that the filesystem is writable. @throws STORE_INCOMPLETE, STORE_UNSAFE */
function whole(layout: Layout): Diagnosis {
  lookAtDirectories(layout);
  if (!lookAtMount(layout).isReadOnly) return ok('store', layout.root);
  const detail = `${layout.root} is read-only: nothing can be created or deleted`;
  const advice = `see dmesg for a failing disk; if there is none: mount -o remount,rw ${layout.root}`;
  return { name: 'store', verdict: 'problem', detail, advice };
}

/** Checks the loop file, for a store that should have one. */
function backing(layout: Layout): Diagnosis[] {
  const { isDeleted, below } = lookAtMount(layout);
  if (isDeleted) {
    const detail = `the file of the store, ${layout.backing}, was deleted: an unmount or a reboot loses all of it`;
    const advice = 'move the containers away from this machine, then: graft delete-store, graft init-store';
    return [{ name: 'backing', verdict: 'problem', detail, advice }];
  }
  if (below === undefined) return [];
  const { freeBytes, growthBytes } = below;
  const detail = `the disk below ${below.backing} has ${shortBytes(freeBytes)} free, and the file may grow by ${shortBytes(growthBytes)}`;
  const advice = 'free space on that disk: writes in the store fail with input/output errors';
  return [{ name: 'backing', verdict: 'problem', detail, advice }];
}

/** How new layers are written, and why. */
function layers({ layout, format }: Store): Diagnosis {
  const { wish, kind, way, lack } = format.layers;
  const by = wish === 'auto' ? 'chosen by auto' : 'as set';
  if (kind === 'images') {
    const how = way === 'file' ? 'mounted from their files' : 'mounted through loop devices';
    return ok('layers', `images, ${by}; ${how}`);
  }
  if (lack === undefined) return ok('layers', `${kind}, ${by}`);
  const detail = `${kind}, though ${wish} is set: ${lack}`;
  if (wish === 'auto') return ok('layers', detail);
  const advice = `after a change of the kernel: graft --store ${layout.root} init-store tries again`;
  return { name: 'layers', verdict: 'warning', detail, advice };
}

function limits(layout: Layout): Diagnosis {
  const quota = quotaSupport(layout.root);
  if (quota.supported) return ok('disk limits', 'the store has project quotas');
  return {
    name: 'disk limits',
    verdict: 'problem',
    detail: quota.reason,
    advice:
      quota.lacking === 'kernel'
        ? 'boot a kernel that has them, as those of distributions do; all else works, and a create with a limit fails'
        : 'put the store on XFS mounted with prjquota, or let init-store --store-size-bytes make one',
  };
}

/** A store with this share in use has no room for a layer of ordinary size. */
const FULL = 0.95;

function space(layout: Layout): Diagnosis {
  const at = existsSync(layout.root) ? layout.root : dirname(layout.root);
  const { type, totalBytes, freeBytes, totalFiles, freeFiles } = filesystemOf(at);
  const used = totalBytes === 0 ? 0 : 1 - freeBytes / totalBytes;
  const usedFiles = totalFiles === 0 ? 0 : 1 - freeFiles / totalFiles;
  // Without a free inode nothing can be made, however many bytes are free.
  const inodes = totalFiles === 0 ? '' : `, ${Math.round(usedFiles * 100)} % of ${totalFiles} inodes`;
  const detail = `${type}, ${Math.round(used * 100)} % of ${shortBytes(totalBytes)} used${inodes}`;
  if (Math.max(used, usedFiles) < FULL) return ok('disk', detail);
  const advice = `see where it went: graft --store ${layout.root} usage; then: graft --store ${layout.root} clean`;
  return { name: 'disk', verdict: 'warning', detail, advice };
}

/** Reports a threshold that layers and quotas hardly reach on this filesystem: then no clean ever acts. */
function threshold(opened: Store, { cleanThresholdBytes }: DoctorRequest): Diagnosis {
  if (cleanThresholdBytes === 0) return ok('clean threshold', 'none: every clean acts');
  const { committedBytes, layerBytes, filesystemTotalBytes } = measure(opened);
  const now = `${shortBytes(committedBytes + layerBytes)} of ${shortBytes(cleanThresholdBytes)} committed or cached`;
  if (isReachable(cleanThresholdBytes, filesystemTotalBytes)) return ok('clean threshold', now);
  return {
    name: 'clean threshold',
    verdict: 'warning',
    detail: `${now}, on a filesystem of ${shortBytes(filesystemTotalBytes)}`,
    advice: 'lower clean.threshold_bytes: the disk can be full before a clean acts',
  };
}
