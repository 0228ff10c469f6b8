import { oneLine } from '../../base/text.ts';
import { SysError } from '../kernel/errno.ts';
import { faultAfter, faultBefore } from '../kernel/fault.ts';
import { AT_FDCWD, cpath, errno, libc, nr, type PathBytes, syscall } from '../kernel/libc.ts';

/** Attributes of fsmount(2). */
export const MOUNT_ATTR = { RDONLY: 1, NOSUID: 2, NODEV: 4, NOEXEC: 8, NOATIME: 0x10 } as const;

/** fsconfig(2) copies at most this many bytes of a string value, with its NUL. */
export const MAX_FSCONFIG_STRING = 256;

const FSOPEN_CLOEXEC = 1;
const FSCONFIG_SET_FLAG = 0;
const FSCONFIG_SET_STRING = 1;
const FSCONFIG_CMD_CREATE = 6;
const FSMOUNT_CLOEXEC = 1;
const MOVE_MOUNT_F_EMPTY_PATH = 4;

export interface FsContextRequest {
  readonly fsType: string;
  /** In this order; a key may repeat. A parameter with the value `undefined` is a flag. */
  readonly parameters: readonly (readonly [key: string, value: string | undefined])[];
  /** MOUNT_ATTR bits. */
  readonly attributes: number;
  readonly target: PathBytes;
}

/**
 * Mounts with fsopen, fsconfig, fsmount and move_mount (Linux 5.2). These calls take each option by itself, so the sum
 * of all options has no limit (mount(2) copies one page), and the kernel describes an error in words.
 * @throws SysError with the kernel's words; ENOSYS or EPERM from `fsopen` where the kernel lacks these calls or a
 * filter forbids them
 */
export function mountByContext(request: FsContextRequest): void {
  const context = step('fsopen', request.target, -1, () =>
    syscall(nr.fsopen, cpath(request.fsType), FSOPEN_CLOEXEC),
  );
  try {
    const said = (name: string, call: () => number) => step(name, request.target, context, call);
    for (const [key, value] of request.parameters) said('fsconfig', () => configure(context, key, value));
    said('fsconfig', () => syscall(nr.fsconfig, context, FSCONFIG_CMD_CREATE));
    const mount = said('fsmount', () => syscall(nr.fsmount, context, FSMOUNT_CLOEXEC, request.attributes));
    try {
      step('move_mount', request.target, context, () =>
        syscall(nr.move_mount, mount, EMPTY, AT_FDCWD, cpath(request.target), MOVE_MOUNT_F_EMPTY_PATH),
      );
    } finally {
      libc.close(mount);
    }
  } finally {
    libc.close(context);
  }
}
const EMPTY = cpath('');

function configure(context: number, key: string, value: string | undefined): number {
  if (value === undefined) return syscall(nr.fsconfig, context, FSCONFIG_SET_FLAG, cpath(key));
  return syscall(nr.fsconfig, context, FSCONFIG_SET_STRING, cpath(key), cpath(value));
}

/** As `mutate()` in libc.ts, with the kernel's log of the mount context in the error. */
function step(name: string, target: PathBytes, context: number, call: () => number): number {
  faultBefore(name, target);
  const result = call();
  if (result < 0) throw new SysError(errno(), name, String(target), context < 0 ? '' : readLog(context));
  faultAfter();
  return result;
}

/**
 * Reads the log of a mount context. Each read(2) returns one message, such as `e overlay: …`, until ENODATA
 * (fs/fsopen.c).
 */
function readLog(context: number): string {
  const buffer = new Uint8Array(1024);
  const messages: string[] = [];
  for (let count = 0; count < 16; count += 1) {
    const length = Number(libc.read(context, buffer, buffer.length));
    if (length <= 0) break;
    messages.push(
      Buffer.from(buffer.subarray(0, length))
        .toString()
        .replace(/^[a-z] /, ''),
    );
  }
  return oneLine(messages.join('; '));
}
