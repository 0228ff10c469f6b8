import { hasCode, SysError } from '../kernel/errno.ts';
import { mknodAt, openAt, unlinkAt } from '../kernel/files.ts';
import { AT_FDCWD, check, cpath, errno, libc, moreLibc, mutate, nr, O, syscall } from '../kernel/libc.ts';
import { S, statFd, statIfThere } from '../kernel/stat.ts';
import { filesystemOf } from '../kernel/statfs.ts';
import { type Mount, mountOf } from './mountinfo.ts';

/**
 * XFS project quotas. A directory with a project id passes the id on to everything that is made inside it later. The
 * kernel adds up blocks and inodes for each id, and refuses writes over the limit with ENOSPC, also through an overlay.
 */

/** A filesystem with quotas, named by any path on it. */
export interface QuotaDevice {
  readonly path: string;
}

export interface ProjectUsage {
  readonly usedBytes: number;
  /** 0 means no limit. XFS rounds limits up to a whole block (4 KiB). */
  readonly limitBytes: number;
  readonly inodes: number;
  /** 0 means no limit. */
  readonly inodeLimit: number;
}

export type QuotaSupport =
  | { readonly supported: true; readonly device: QuotaDevice }
  | { readonly supported: false; readonly reason: string; readonly lacking: LackOfQuotas };

/** The part of the system that lacks quotas and would have to be replaced. */
export type LackOfQuotas = 'filesystem' | 'kernel';

/** struct fsxattr of linux/fs.h has 28 bytes: flags at 0, project id at 12. The ioctl numbers contain the size. */
const FS_IOC_FSGETXATTR = 0x801c581f;
const FS_IOC_FSSETXATTR = 0x401c5820;
const FS_XFLAG_PROJINHERIT = 0x200;

/** Commands of linux/dqblk_xfs.h. In quotactl(2) the lowest byte is the type of quota; 2 means project. */
const Q_XGETQUOTA = (0x5803 << 8) | 2;
const Q_XSETQLIM = (0x5804 << 8) | 2;
const Q_XGETQSTATV = (0x5808 << 8) | 2;
const Q_XGETNEXTQUOTA = (0x5809 << 8) | 2;

/** struct fs_disk_quota has 112 bytes. Its sizes are in units of 512 bytes, whatever the filesystem's block size is. */
const DISK_QUOTA_BYTES = 112;
const BASIC_BLOCK = 512;
const VERSION = 1;
const FS_PROJ_QUOTA = 2;
const LIMITS_OF_INODES = 0b0011;
const LIMITS_OF_BLOCKS = 0b1100;

/** Gives an empty directory its project id. Everything that is made inside later inherits it. @throws SysError */
export function setProjectId(dirFd: number, projectId: number): void {
  const attributes = readAttributes(dirFd);
  attributes.setUint32(0, attributes.getUint32(0, true) | FS_XFLAG_PROJINHERIT, true);
  attributes.setUint32(12, projectId, true);
  const bytes = new Uint8Array(attributes.buffer);
  mutate('ioctl FS_IOC_FSSETXATTR', `fd ${dirFd}`, () => libc.ioctl(dirFd, FS_IOC_FSSETXATTR, bytes));
}

/** The project id of a directory; 0 where none is set. */
export function getProjectId(dirFd: number): number {
  return readAttributes(dirFd).getUint32(12, true);
}

function readAttributes(fd: number): DataView<ArrayBuffer> {
  const bytes = new Uint8Array(28);
  check(libc.ioctl(fd, FS_IOC_FSGETXATTR, bytes), 'ioctl FS_IOC_FSGETXATTR', `fd ${fd}`);
  return new DataView(bytes.buffer);
}

export interface ProjectLimit {
  /** 0 removes the limit. */
  readonly bytes: number;
  /** When undefined, the inode limit does not change. */
  readonly inodes?: number;
}

/**
 * Sets the hard and the soft limit and reads them back: a kernel may accept the call and still set no limit. Returns
 * the limit that the kernel holds, rounded up to its blocks.
 * @throws SysError
 */
export function setProjectLimit(
  device: QuotaDevice,
  projectId: number,
  limit: number | ProjectLimit,
): ProjectUsage {
  const { bytes, inodes } = typeof limit === 'number' ? { bytes: limit, inodes: undefined } : limit;
  const bad = (why: string) => new SysError(EINVAL, 'quotactl', device.path, why);
  if (!(projectId >= 1 && isCount(projectId))) throw bad(`project id ${projectId}`);
  if (!isCount(bytes) || !isCount(inodes ?? 0)) throw bad(`limit ${bytes}, ${inodes} inodes`);
  const view = new DataView(new ArrayBuffer(DISK_QUOTA_BYTES));
  view.setInt8(0, VERSION);
  view.setInt8(1, FS_PROJ_QUOTA);
  view.setUint16(2, LIMITS_OF_BLOCKS | (inodes === undefined ? 0 : LIMITS_OF_INODES), true);
  view.setUint32(4, projectId, true);
  const blocks = BigInt(Math.ceil(bytes / BASIC_BLOCK));
  for (const at of [8, 16]) view.setBigUint64(at, blocks, true);
  for (const at of [24, 32]) view.setBigUint64(at, BigInt(inodes ?? 0), true);
  const buffer = new Uint8Array(view.buffer);
  mutate('quotactl', device.path, () => quotactl(device, Q_XSETQLIM, projectId, buffer));
  const held = getProjectUsage(device, projectId) ?? NOTHING;
  if (held.limitBytes < bytes || (bytes === 0) !== (held.limitBytes === 0)) {
    throw bad(`project ${projectId} has a limit of ${held.limitBytes} bytes after ${bytes} were set`);
  }
  return held;
}
function isCount(value: number): boolean {
  return Number.isSafeInteger(value) && value >= 0;
}
const EINVAL = 22;
const NOTHING: ProjectUsage = { usedBytes: 0, limitBytes: 0, inodes: 0, inodeLimit: 0 };

/** Removes every limit of a project. The kernel still counts its usage. */
export function clearProjectLimit(device: QuotaDevice, projectId: number): void {
  setProjectLimit(device, projectId, { bytes: 0, inodes: 0 });
}

/** The usage of a project. Undefined where the kernel has no record of this id. @throws SysError */
export function getProjectUsage(device: QuotaDevice, projectId: number): ProjectUsage | undefined {
  return read(device, Q_XGETQUOTA, projectId)?.usage;
}

/** The highest project id. The id above it, all ones, means "no id", and the kernel refuses it with EINVAL. */
const LAST_PROJECT = 0xfffffffe;

/** Every project id that the kernel counts, in ascending order. Includes id 0 (no project). */
export function* listProjects(device: QuotaDevice): Generator<{ id: number; usage: ProjectUsage }> {
  for (let from = 0; ; ) {
    const found = read(device, Q_XGETNEXTQUOTA, from);
    if (!found) return;
    yield found;
    if (found.id >= LAST_PROJECT) return;
    from = found.id + 1;
  }
}

function read(
  device: QuotaDevice,
  command: number,
  id: number,
): { id: number; usage: ProjectUsage } | undefined {
  const bytes = new Uint8Array(DISK_QUOTA_BYTES);
  try {
    quotactl(device, command, id, bytes);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    throw error;
  }
  const view = new DataView(bytes.buffer);
  const at = (offset: number) => Number(view.getBigUint64(offset, true));
  const usage = {
    usedBytes: at(40) * BASIC_BLOCK,
    limitBytes: at(8) * BASIC_BLOCK,
    inodes: at(48),
    inodeLimit: at(24),
  };
  return { id: view.getUint32(4, true), usage };
}

/**
 * struct fs_quota_statv: the version at 0, the flags at 2. Flag 16: the kernel counts projects. Flag 32: it enforces
 * their limits.
 */
const ACCOUNTED = 16;
const ENFORCED = 32;

/**
 * Returns whether limits can be set on the filesystem of `path`. Takes two system calls and no parsing. @throws
 * SysError
 */
export function quotaSupport(path: string): QuotaSupport {
  const no = (reason: string): QuotaSupport => ({ supported: false, reason, lacking: 'filesystem' });
  const { type } = filesystemOf(path);
  if (type !== 'xfs') return no(`the filesystem is ${type}, not XFS`);
  const device: QuotaDevice = { path };
  const bytes = new Uint8Array(256);
  bytes[0] = VERSION;
  try {
    quotactl(device, Q_XGETQSTATV, 0, bytes);
  } catch (error) {
    // ENOSYS: the kernel has no quotas, or the mount lacks the quota option (fs/quota/quota.c).
    if (!hasCode(error, 'ENOSYS', 'ESRCH', 'EPERM')) throw error;
    return hasCode(error, 'EPERM') ? no('quotactl(2) is not permitted') : notCounted();
  }
  const flags = new DataView(bytes.buffer).getUint16(2, true);
  if ((flags & ACCOUNTED) === 0) return notCounted();
  if ((flags & ENFORCED) === 0)
    return no('it is mounted with pqnoenforce: usage is counted, limits are not enforced');
  return { supported: true, device };
}

function notCounted(): QuotaSupport {
  // XFS makes this file only where it was built with quotas (fs/xfs/xfs_stats.c).
  return statIfThere(AT_FDCWD, '/proc/fs/xfs/xqm')
    ? { supported: false, reason: 'it is not mounted with the option prjquota', lacking: 'filesystem' }
    : {
        supported: false,
        reason: 'this kernel was built without XFS quotas (CONFIG_XFS_QUOTA)',
        lacking: 'kernel',
      };
}

/**
 * Calls quotactl_fd (Linux 5.14), which needs no device node. On older kernels the call goes by the block device's
 * node.
 */
function quotactl(device: QuotaDevice, command: number, id: number, bytes: Uint8Array): number {
  const fd = openAt(AT_FDCWD, device.path, O.RDONLY | O.DIRECTORY);
  try {
    const result = syscall(nr.quotactl_fd, fd, command, id, bytes);
    const code = result < 0 ? errno() : 0;
    // A filesystem without quotas also answers ENOSYS. A second call with a bad descriptor tells the two cases apart: a
    // kernel that has quotactl_fd answers EBADF.
    const missing =
      code === ENOSYS && syscall(nr.quotactl_fd, -1, command, id, bytes) < 0 && errno() === ENOSYS;
    if (!missing && code !== 0) throw new SysError(code, 'quotactl_fd', device.path);
    if (!missing) return result;
  } finally {
    libc.close(fd);
  }
  return quotactlByNode(device, command, id, bytes);
}
const ENOSYS = 38;

/** quotactl(2) by block device. Only kernels 5.6 to 5.13 need it. */
export function quotactlByNode(device: QuotaDevice, command: number, id: number, bytes: Uint8Array): number {
  const mount = mountOf(device.path);
  if (!mount) throw new SysError(ENODEV, 'quotactl', device.path);
  // The kernel's encoding of device numbers in stat(2) and mknod(2) (new_encode_dev in linux/kdev_t.h).
  const number = (mount.minor & 0xff) | (mount.major << 8) | ((mount.minor & ~0xff) << 12);
  const call = (node: string) =>
    check(moreLibc().quotactl(command, cpath(node), id, bytes), 'quotactl', node);
  if (isNodeOf(mount)) return call(mount.source);
  // A loop device whose node is missing in this container's /dev: graft makes its own node, for this call only.
  const node = `/dev/.graft-${mount.major}-${mount.minor}-${process.pid}`;
  mknodAt(AT_FDCWD, node, S.IFBLK | 0o600, number);
  try {
    return call(node);
  } finally {
    unlinkAt(AT_FDCWD, node);
  }
}
const ENODEV = 19;

/**
 * Returns true when the mount's source is still the node of its device. The source is a name from the time of the
 * mount, and /dev may have changed.
 */
function isNodeOf(mount: Mount): boolean {
  let fd: number;
  try {
    // The open follows links: the names of device mapper are links.
    fd = openAt(AT_FDCWD, mount.source, O.PATH);
  } catch {
    return false;
  }
  const { mode, rdevMajor, rdevMinor } = statFd(fd);
  libc.close(fd);
  return (mode & S.IFMT) === S.IFBLK && rdevMajor === mount.major && rdevMinor === mount.minor;
}
