import { SysError } from '../kernel/errno.ts';
import { cpath, libc, mutate, type PathBytes } from '../kernel/libc.ts';
import { isMountRoot } from './mountinfo.ts';

/** Flags of mount(2). */
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
/**
 * umount2(2) must not follow a symbolic link at the end of the path: the link could lead to another program's mount.
 */
const UMOUNT_NOFOLLOW = 8;

/** The kernel copies one page of options with its NUL, and cuts longer options without an error (measured). */
export const MAX_MOUNT_DATA = 4095;

/**
 * mount(2). `source` and `data` may be empty.
 * @throws SysError E2BIG for options that the kernel would cut; otherwise the kernel's error
 */
export function mount(source: PathBytes, target: PathBytes, fsType: string, flags = 0, data = ''): void {
  const options = cpath(data);
  if (options.length - 1 > MAX_MOUNT_DATA) throw new SysError(7, 'mount', String(target));
  mutate('mount', target, () => libc.mount(cpath(source), cpath(target), cpath(fsType), flags, options));
}

/**
 * umount2(2) of the topmost mount at `target`, never following a link. `detach` removes the mount from the tree at
 * once, and the kernel releases it when its last user ends.
 * @throws SysError EINVAL when nothing is mounted there, EBUSY when the mount is in use
 */
export function unmount(target: PathBytes, options: { detach?: boolean } = {}): void {
  const flags = UMOUNT_NOFOLLOW | (options.detach === true ? MNT_DETACH : 0);
  mutate('umount2', target, () => libc.umount2(cpath(target), flags));
}

const FIRST_PAUSE_MS = 2;
const LONGEST_PAUSE_MS = 200;

/**
 * Unmounts until nothing is mounted at `target`. Does nothing when nothing is mounted. On EBUSY the function waits and
 * tries again: the last process of a container may still be ending.
 * @throws SysError EBUSY when the mount was in use for all of `timeoutMs`
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

/**
 * Throws the error unless nothing is mounted at `target`. EINVAL alone does not show that: umount2(2) also returns it
 * for a mount of a more privileged namespace.
 */
function leaveUnlessMounted(target: PathBytes, error: SysError): void {
  if (isMountRoot(target)) throw error;
}
