/**
 * Tries once a boot for each repository whether this kernel's overlayfs can write over its filesystem. Some kernels
 * mount such an overlay and fail at the first copy-up (5.15 of early 2022: ENOSYS for a FUSE directory's file
 * attributes, cvmfs issue 3005). A container would start and could not write below any directory of its image.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { sha256Hex } from '../../base/digest.ts';
import { readFact } from '../../store/layout/read-file.ts';
import { removeStaged, replaceSmall, stageDirectory } from '../../store/layout/staging.ts';
import type { Store } from '../../store/store.ts';
import { DT, readDirents } from '../../sys/kernel/dirents.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import { close, mkdirAt, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { owner } from '../../sys/kernel/process.ts';
import { openDetachedOverlay } from '../../sys/mounts/detached-overlay.ts';

const MAX_RECORD = 4096;

/**
 * The fault of overlays over `tree`, a layer of the repository at `repository`; undefined when there is none, or when
 * this layer cannot show it. The result is remembered for the repository until the next boot.
 */
export function overlayTrial(store: Store, repository: string, tree: string): string | undefined {
  const path = `${store.layout.locks}/cvmfs-overlay.${sha256Hex(repository).slice(0, 16)}`;
  const { bootId } = owner();
  const [boot, ...known] = (readFact(path, MAX_RECORD) ?? '').split('\n');
  if (boot === bootId) return known.join('\n') || undefined;
  const result = tryCopyUp(store, tree);
  if (result === 'cannot tell') return undefined;
  if (typeof result === 'object' && !KERNEL.includes(result.code)) return described(result);
  const text = result && described(result);
  replaceSmall(store.layout, path, 'overlay-trial', Buffer.from(`${bootId}\n${text ?? ''}`));
  return text;
}

/** Errors that only another kernel changes. Any other error may be over in a minute. */
const KERNEL = ['ENOSYS', 'EOPNOTSUPP', 'EINVAL', 'ENODEV'];

function described(error: SysError): string {
  return `an overlay over it cannot be written: ${error.message}`;
}

function tryCopyUp(store: Store, tree: string): SysError | undefined | 'cannot tell' {
  const stage = stageDirectory(store.layout, 'overlay-trial');
  try {
    for (const name of ['upper', 'work']) mkdirAt(AT_FDCWD, `${stage}/${name}`, 0o700);
    const root = openDetachedOverlay({ lower: tree, upper: `${stage}/upper`, work: `${stage}/work` });
    try {
      const directory = firstDirectory(root, tree);
      if (directory === undefined) return 'cannot tell';
      mkdirAt(root, Buffer.concat([bytesOf(directory), Buffer.from('/.graft-trial')]), 0o700);
      return undefined;
    } finally {
      close(root);
    }
  } catch (error) {
    if (error instanceof SysError) return error;
    throw error;
  } finally {
    removeStaged(stage);
  }
}

function firstDirectory(root: number, tree: string): ByteName | undefined {
  // The descriptor of fsmount(2) serves for names below it, and cannot be read itself.
  const list = openAt(root, '.', O.RDONLY | O.DIRECTORY);
  try {
    return readDirents(list, tree).find(({ type }) => type === DT.DIR)?.name;
  } finally {
    close(list);
  }
}
