import { SysError } from '../kernel/errno.ts';
import { cpath, libc, mutate, type PathBytes } from '../kernel/libc.ts';
import { isMountRoot } from './mountinfo.ts';

/** mount(2) flags. */
export const MS = {
  RDONLY: 1,
  NOSUID: 2,
  NODEV: 4,
  NOEXEC: 8,
  REMOUNT: 32,
  NOATIME: 1024,
  BIND: 4096,
  MOVE: 8192,
  REC: 16384,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
} as const;

const MNT_DETACH = 2;
/** Never through a symbolic link at the end of the path: it would unmount what somebody else mounted. */
const UMOUNT_NOFOLLOW = 8;

/** The kernel copies one page of options with its NUL, and cuts what is longer without a word (measured). */
export const MAX_MOUNT_DATA = 4095;

/**
 * mount(2). `source` and `data` may be empty.
 * @throws SysError E2BIG for options that the kernel would cut; else as the kernel says.
 */
export function mount(source: PathBytes, target: PathBytes, fsType: string, flags = 0, data = ''): void {
  const options = cpath(data);
  if (options.length - 1 > MAX_MOUNT_DATA) throw new SysError(7, 'mount', String(target));
  mutate('mount', target, () => libc.mount(cpath(source), cpath(target), cpath(fsType), flags, options));
}

/**
 * umount2(2) of the topmost mount at `target`, never following a link. `detach` takes it out of the tree
 * at once and lets go when its last user does.
 * @throws SysError EINVAL when nothing is mounted there, EBUSY when it is in use
 */
export function unmount(target: PathBytes, options: { detach?: boolean } = {}): void {
  const flags = UMOUNT_NOFOLLOW | (options.detach === true ? MNT_DETACH : 0);
  mutate('umount2', target, () => libc.umount2(cpath(target), flags));
}

const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 200;

/**
 * Unmounts until nothing is mounted at `target`; fine when nothing ever was. EBUSY is waited out: a
 * container's last process may still be going.
 * @throws SysError EBUSY when it was in use all of `timeoutMs`
 */
export async function unmountRetrying(target: PathBytes, options: { timeoutMs: number }): Promise<void> {
  const deadline = performance.now() + options.timeoutMs;
  for (let pause = FIRST_PAUSE_MS; ; ) {
    try {
      unmount(target);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return;
      if (error.code === 'EINVAL') return leaveUnlessMounted(target, error);
      if (error.code !== 'EBUSY' || performance.now() + pause > deadline) throw error;
      await Bun.sleep(pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }
}

/** EINVAL also means a mount that belongs to a more privileged namespace: that is not "nothing mounted". */
function leaveUnlessMounted(target: PathBytes, error: SysError): void {
  if (isMountRoot(target)) throw error;
}
