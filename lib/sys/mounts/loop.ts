import { existsSync, readdirSync, statSync } from 'node:fs';
import { hasCode } from '../kernel/errno.ts';
import { close, mknodAt, openAt } from '../kernel/files.ts';
import { AT_FDCWD, check, libc, mutate, nr, O, syscall } from '../kernel/libc.ts';

/** Constants of linux/loop.h. */
const LOOP_SET_FD = 0x4c00;
const LOOP_CLR_FD = 0x4c01;
const LOOP_SET_STATUS64 = 0x4c04;
const LOOP_GET_STATUS64 = 0x4c05;
const LOOP_SET_DIRECT_IO = 0x4c08;
const LOOP_CONFIGURE = 0x4c0a;
const LOOP_CTL_GET_FREE = 0x4c82;
const LO_FLAGS_AUTOCLEAR = 4;
const LO_FLAGS_DIRECT_IO = 16;
const LOOP_MAJOR = 7;
const S_IFBLK = 0o60000;

/**
 * struct loop_info64 has 232 bytes: the device of the file at 0, its inode at 8, flags at 52, its name (64 bytes) at
 * 56.
 */
const INFO_BYTES = 232;
const FILE_NAME_BYTES = 64;
/** struct loop_config: the descriptor at 0, the block size at 4, loop_info64 at 8, then 64 reserved bytes. */
const CONFIG_BYTES = 8 + INFO_BYTES + 64;

/**
 * An attached loop device. After `fd` is closed, the kernel detaches the device when its last user ends (autoclear).
 */
export interface Loop extends Disposable {
  readonly device: string;
  readonly fd: number;
}

/** Highest number of attempts: another process may take the free device first, but so often in a row is no chance. */
const ATTEMPTS = 64;

/**
 * Attaches a regular file to a free loop device, without `losetup`. Mount the device before disposing of the result.
 * @param open opens the file, for callers that must check the file first
 * @throws SysError, with EINVAL where `directIo` is requested and the filesystem does not support it
 */
export function attachLoop(
  file: string,
  options: { readonly directIo: boolean; readonly readOnly?: true },
  open: (file: string, flags: number) => number = (path, flags) => openAt(AT_FDCWD, path, flags),
): Loop {
  // The kernel makes a device of a file that cannot be written read-only.
  const backing = open(file, options.readOnly ? O.RDONLY : O.RDWR);
  try {
    for (let attempt = 1; ; attempt += 1) {
      const number = freeDevice();
      const loop = openLoop(number);
      try {
        configure(loop.fd, backing, file);
        if (options.directIo) setDirectIo(loop.fd, true);
        return { ...loop, [Symbol.dispose]: () => close(loop.fd) };
      } catch (error) {
        close(loop.fd);
        if (!hasCode(error, 'EBUSY') || attempt === ATTEMPTS) throw error;
      }
    }
  } finally {
    close(backing);
  }
}

/** The loop device that a file is attached to, found by the file's inode instead of its name. */
export function loopOf(file: string): Loop | undefined {
  const wanted = statSync(file, { bigint: true });
  for (const number of attachedLoops()) {
    const loop = openIfThere(number);
    if (!loop) continue;
    const info = infoOf(loop.fd);
    if (info?.getBigUint64(0, true) === wanted.dev && info.getBigUint64(8, true) === wanted.ino) {
      return { ...loop, [Symbol.dispose]: () => close(loop.fd) };
    }
    close(loop.fd);
  }
  return undefined;
}

/**
 * Sets whether reads and writes of the device go around the page cache of the filesystem that holds the file.
 * @throws SysError
 */
export function setDirectIo(loopFd: number, on: boolean): void {
  ioctl(loopFd, 'LOOP_SET_DIRECT_IO', LOOP_SET_DIRECT_IO, on ? 1 : 0);
}

export function hasDirectIo(loopFd: number): boolean {
  return ((infoOf(loopFd)?.getUint32(52, true) ?? 0) & LO_FLAGS_DIRECT_IO) !== 0;
}

function configure(loop: number, backing: number, file: string): void {
  const config = new Uint8Array(CONFIG_BYTES);
  new DataView(config.buffer).setUint32(0, backing, true);
  config.set(loopInfo(file), 8);
  try {
    ioctl(loop, 'LOOP_CONFIGURE', LOOP_CONFIGURE, config);
  } catch (error) {
    // Before Linux 5.8 the ioctl is unknown. The fallback takes two steps, and between them the device has no
    // autoclear.
    if (!hasCode(error, 'EINVAL', 'ENOTTY')) throw error;
    configureInSteps(loop, backing, file);
  }
}

/** Configures a device on kernels without LOOP_CONFIGURE. Exported for its test, on a kernel that knows both ways. */
export function configureInSteps(loop: number, backing: number, file: string): void {
  ioctl(loop, 'LOOP_SET_FD', LOOP_SET_FD, backing);
  try {
    ioctl(loop, 'LOOP_SET_STATUS64', LOOP_SET_STATUS64, loopInfo(file));
  } catch (error) {
    ioctl(loop, 'LOOP_CLR_FD', LOOP_CLR_FD, 0);
    throw error;
  }
}

/** `losetup -l` shows the name; the kernel cuts it at 63 bytes. */
function loopInfo(file: string): Uint8Array {
  const info = new Uint8Array(INFO_BYTES);
  new DataView(info.buffer).setUint32(52, LO_FLAGS_AUTOCLEAR, true);
  info.set(Buffer.from(file).subarray(0, FILE_NAME_BYTES - 1), 56);
  return info;
}

/** Undefined for a device without an attached file. */
function infoOf(fd: number): DataView | undefined {
  const info = new Uint8Array(INFO_BYTES);
  try {
    check(libc.ioctl(fd, LOOP_GET_STATUS64, info), 'ioctl LOOP_GET_STATUS64', `fd ${fd}`);
  } catch (error) {
    if (hasCode(error, 'ENXIO')) return undefined;
    throw error;
  }
  return new DataView(info.buffer);
}

function freeDevice(): number {
  const control = openAt(AT_FDCWD, '/dev/loop-control', O.RDWR);
  try {
    return ioctl(control, 'LOOP_CTL_GET_FREE', LOOP_CTL_GET_FREE, 0);
  } finally {
    close(control);
  }
}

/** Opens a loop device. A container's /dev may lack the nodes of the host's loop devices, so a missing node is made. */
function openLoop(number: number): { device: string; fd: number } {
  const device = `/dev/loop${number}`;
  const open = () => ({ device, fd: openAt(AT_FDCWD, device, O.RDWR) });
  try {
    return open();
  } catch (error) {
    if (!hasCode(error, 'ENOENT')) throw error;
  }
  try {
    mknodAt(AT_FDCWD, device, S_IFBLK | 0o660, deviceNumber(number));
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
  return open();
}

/** Undefined for a device that was removed in between. */
function openIfThere(number: number): { device: string; fd: number } | undefined {
  try {
    return openLoop(number);
  } catch (error) {
    if (hasCode(error, 'ENXIO', 'ENODEV')) return undefined;
    throw error;
  }
}

function deviceNumber(minor: number): number {
  return (minor & 0xff) | (LOOP_MAJOR << 8) | ((minor & ~0xff) << 12);
}

function attachedLoops(): number[] {
  return readdirSync('/sys/block').flatMap((name) => {
    const number = /^loop(\d+)$/.exec(name)?.[1];
    return number !== undefined && existsSync(`/sys/block/${name}/loop/backing_file`) ? [Number(number)] : [];
  });
}

function ioctl(fd: number, name: string, request: number, argument: number | Uint8Array): number {
  return mutate(`ioctl ${name}`, `fd ${fd}`, () => syscall(nr.ioctl, fd, request, argument));
}
