/** Files without a second name: what CernVM-FS's ingest command makes of hard links. */
import {
  chmodAt,
  chownAt,
  close,
  fchmod,
  fchown,
  futimes,
  mknodAt,
  openAt,
  readlinkAt,
  symlinkAt,
  utimesAt,
  writeAll,
} from '../../../lib/sys/kernel/files.ts';
import { check, libc, O } from '../../../lib/sys/kernel/libc.ts';
import { isSymlink, S, type Stat } from '../../../lib/sys/kernel/stat.ts';

const COPY_BYTES = 1 << 20;

export interface CloneSource {
  /** Of its directory. */
  readonly fd: number;
  readonly name: Uint8Array;
  readonly stat: Stat;
}

/** A new empty file, open for writing. @throws SysError EEXIST */
export function create(fd: number, name: Uint8Array): number {
  return openAt(fd, name, O.RDWR | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
}

/** @throws SysError EEXIST */
export function makeFifo(fd: number, name: Uint8Array): number {
  mknodAt(fd, name, S.IFIFO | 0o600);
  return openAt(fd, name, O.RDONLY | O.NONBLOCK | O.NOFOLLOW);
}

const CHARACTER_DEVICE = S.IFCHR | 0o600;
/** `/dev/null`: a device that no container is shown, whichever it is. */
const NULL_DEVICE = (1 << 8) | 3;

/** A device node. The numbers of the layer's are not read, since no layer of graft's has devices. @throws SysError EEXIST */
export function makeDevice(fd: number, name: Uint8Array): void {
  mknodAt(fd, name, CHARACTER_DEVICE, NULL_DEVICE);
}

/** A device 0:0, which overlayfs takes for a whiteout. @throws SysError EEXIST */
export function makeWhiteout(fd: number, name: Uint8Array): void {
  mknodAt(fd, name, CHARACTER_DEVICE, 0);
}

/** The same file, link, FIFO or device under another name, attributes and all. @throws SysError EEXIST */
export function cloneFile(source: CloneSource, fd: number, name: Uint8Array): void {
  const { stat } = source;
  if (isSymlink(stat)) {
    symlinkAt(readlinkAt(source.fd, source.name), fd, name);
    chownAt(fd, name, stat.uid, stat.gid);
    utimesAt(fd, name, stat.mtime);
    return;
  }
  if ((stat.mode & S.IFMT) === S.IFCHR) {
    makeDevice(fd, name);
    chownAt(fd, name, stat.uid, stat.gid);
    chmodAt(fd, name, stat.mode & 0o7777);
    utimesAt(fd, name, stat.mtime);
    return;
  }
  const isFifo = (stat.mode & S.IFMT) === S.IFIFO;
  const target = isFifo ? makeFifo(fd, name) : create(fd, name);
  try {
    if (!isFifo) copyContent(source, target);
    fchown(target, stat.uid, stat.gid);
    fchmod(target, stat.mode & 0o7777);
    futimes(target, stat.mtime);
  } finally {
    close(target);
  }
}

function copyContent({ fd, name }: CloneSource, target: number): void {
  const source = openAt(fd, name, O.RDONLY | O.NOFOLLOW);
  try {
    const buffer = new Uint8Array(COPY_BYTES);
    for (;;) {
      const got = check(Number(libc.read(source, buffer, buffer.length)), 'read', '');
      if (got === 0) return;
      writeAll(target, buffer.subarray(0, got));
    }
  } finally {
    close(source);
  }
}
