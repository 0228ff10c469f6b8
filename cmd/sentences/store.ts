import type { StoreErrors } from '../../lib/base/errors/store.ts';
import { errnoMeaning } from '../../lib/sys/kernel/errno.ts';
import { bytesInWords, graft } from './words.ts';

/** The sentences of stores. They repeat the words of GrootFS where it has some, since its tests and operators search for them. */
export const storeSentences: { [C in keyof StoreErrors]: (s: StoreErrors[C]) => string } = {
  STORE_NOT_INITIALIZED: (s) =>
    `Store path is not initialized. Please run init-store. For ${s.store}: ${graft(s.store, 'init-store')}`,
  STORE_MISSING: (s) => `no store found at ${s.store}`,
  STORE_NOT_ROOT: (s) => `store ${s.store} can only be initialized by Root user`,
  STORE_BAD_PATH: (s) => `store path '${s.store}' cannot be used: ${s.reason}`,
  STORE_FOREIGN: (s) => `${s.store} holds a store that ${s.made} made, which graft leaves alone; ${s.advice}`,
  STORE_NOT_MOUNTED: (s) =>
    `the store ${s.store} is not mounted, though its file ${s.backing} is there; mount it again with: ` +
    graft(s.store, 'init-store'),
  STORE_VERSION: (s) =>
    `the store ${s.store} has format ${s.found}, and this graft knows formats up to ${s.known}; use the graft ` +
    'that made it, or another store directory',
  STORE_TOO_OLD: (s) =>
    `the store ${s.store} has format ${s.found}, which this graft cannot use; delete its containers, then remove ` +
    `it with: ${graft(s.store, 'delete-store')}; and make it again, with the options it was made with: ` +
    graft(s.store, 'init-store'),
  STORE_NOT_MIGRATED: (s) =>
    `the store ${s.store} has format ${s.found}, and this graft uses format ${s.known}; convert it, with the ` +
    `mappings that it was made with: ${graft(s.store, 'init-store')}; containers and layers stay`,
  STORE_UNSAFE: (s) =>
    `the store ${s.store} cannot be relied on: ${s.path} ${s.reason}; find out who changed it and put it right, or ` +
    `remove the store with: ${graft(s.store, 'delete-store')}; and make it again with: ${graft(s.store, 'init-store')}`,
  STORE_MARKER_DAMAGED: (s) =>
    `${s.path}, which says how the store was made, is damaged: ${s.reason}; write it anew with the mappings that ` +
    `the store was made with: ${graft(s.store, 'init-store')}`,
  STORE_LAYER_GONE: (s) => `layer ${s.layer} went out of the store while it was being used; try again`,
  STORE_DAMAGED: (s) =>
    `the store is damaged at ${s.path}: ${s.reason}; look with 'graft check', mend with 'graft check --repair'`,
  STORE_INCOMPLETE: (s) =>
    `the store ${s.store} is not whole: its directory ${s.path} is gone; make it again with: ` +
    `${graft(s.store, 'init-store')}; containers and layers stay`,
  STORE_WRONG_FILESYSTEM: (s) =>
    `Store path filesystem (${s.store}) is incompatible: expected XFS, found ${s.actual}; choose a directory ` +
    'on XFS, or give init-store a --store-size-bytes',
  STORE_TOO_SMALL: (s) =>
    `a store of ${bytesInWords(s.size)} is too small for XFS; give --store-size-bytes ${s.minimum} or more`,
  STORE_FORMAT_FAILED: (s) => `formatting XFS filesystem on ${s.file}: ${s.reason}`,
  STORE_MOUNT_FAILED: (s) => `mounting ${s.what}: ${s.reason}`,
  STORE_MAPPING_MISMATCH: (s) =>
    `provided ${s.kind} mappings do not match those already configured in the store: given ${s.wanted || 'none'}, ` +
    `configured ${s.stored || 'none'}; mappings belong to a store for its life, so use another directory for others`,
  STORE_BAD_MAPPING: (s) =>
    `parsing ${s.kind}-mapping '${s.mapping}': ${s.reason}; a mapping is CONTAINER:HOST:SIZE, 0:100000:65536 say`,
  STORE_FULL: (s) =>
    `no space left in the store ${s.store}: ${bytesInWords(s.need)} needed, ${bytesInWords(s.free)} free; ` +
    `free some with: ${graft(s.store, 'clean')}`,
  STORE_NO_SPACE: (s) =>
    `the store ${s.store} is full: no space left on device; free space with: ${graft(s.store, 'clean')}; ` +
    `see what takes it with: ${graft(s.store, 'usage')}`,
  STORE_NO_SPACE_BELOW: (s) =>
    `the store ${s.store} cannot be written: the disk that holds its file ${s.backing} is full; free space on that disk, ` +
    `then see what the store lost: ${graft(s.store, 'check')}`,
  STORE_FINDINGS: (s) => {
    const still = s.tried ? 'still ' : '';
    const wrong = s.found === 1 ? `1 thing is ${still}wrong` : `${s.found} things are ${still}wrong`;
    if (s.tried) return `${wrong}, and graft cannot put that right by itself; see the lines above`;
    if (s.repairable === 0) return `${wrong}, and graft cannot put that right by itself`;
    return `${wrong}; put ${s.repairable} right with: ${graft(s.store, 'check --repair')}`;
  },
  STORE_BUSY: (s) =>
    `timed out waiting for ${s.what} after '${s.seconds}s'; another graft holds it, try again later`,
  STORE_IO: (s) =>
    `${s.step}${s.path ? ` ${s.path}` : ''}: ${errnoMeaning(s.errno)}${adviceFor(s.errno, s.step)}`,
  QUOTA_UNSUPPORTED: (s) =>
    `a disk limit was asked for, but the store ${s.store} cannot enforce one: ${s.reason}; ` +
    (s.lacking === 'kernel'
      ? 'boot a kernel that has them, as those of distributions do'
      : 'put the store on XFS mounted with prjquota (init-store --store-size-bytes makes such a filesystem)') +
    ', or create without a limit',
  INODE_LIMIT_TOO_SMALL: (s) =>
    `the inode limit of ${s.limit} is smaller than the image, whose layers have ${s.entries} files and directories; ` +
    'raise the limit, or leave the image out of it with --exclude-image-from-quota',
  QUOTA_LIMIT_TOO_SMALL: (s) =>
    `disk limit is smaller than volume size: limit ${bytesInWords(s.limit)}, layers ${bytesInWords(s.size)}; ` +
    'raise the limit, or leave the image out of it with --exclude-image-from-quota',
  IMAGE_ID_INVALID: (s) => `id \`${s.id}\` ${s.reason}`,
  IMAGE_EXISTS: (s) => `image for id \`${s.id}\` already exists; choose another id, or delete it first`,
  IMAGE_DELETED: (s) => `image \`${s.id}\` was deleted while it was being made`,
  IMAGE_NOT_FOUND: (s) =>
    `Image \`${s.id}\` not found.${s.noStore === undefined ? '' : ` There is no store at ${s.noStore}.`}`,
  IMAGE_OUTSIDE_STORE: (s) => `path \`${s.path}\` is outside store path ${s.store}`,
  IMAGE_DELETE_FAILED: (s) =>
    `deleting image path '${s.path}' failed: ${s.at}: ${errnoMeaning(s.errno)}${adviceForRemoval(s.errno)}; ` +
    'then call delete again',
  CLEAN_INCOMPLETE: (s) => {
    const more = s.left === 1 ? '' : ` and ${s.left - 1} more`;
    const why = s.errno === undefined ? '' : `: ${errnoMeaning(s.errno)}${adviceForRemoval(s.errno)}`;
    return `clean did not complete: it could not delete ${s.path}${more}${why}; then call clean again`;
  },
};

/** Advice for an error of a removal. */
function adviceForRemoval(errno: string): string {
  switch (errno) {
    case 'EPERM':
      return '; it is immutable or append-only (lsattr shows it, chattr -i -a ends it)';
    case 'EBUSY':
    case 'EXDEV':
      return '; something is mounted there or it is in use, unmount it';
    default:
      return adviceFor(errno) || '; see the log and the kernel log (dmesg)';
  }
}

/** Advice for an error of the disk or the machine; empty for other errors. */
function adviceFor(errno: string, step = ''): string {
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
      return "; free space with 'graft clean', or give the store more";
    case 'EIO':
      return (
        '; the disk is failing, or the kernel has shut its filesystem down: see the kernel log (dmesg), unmount the ' +
        'filesystem, check it with xfs_repair and mount it again'
      );
    case 'EUCLEAN':
      return '; the disk or its filesystem is failing, see the kernel log (dmesg)';
    case 'EFBIG':
      // Reading says so of files above graft's own limits.
      return step === 'read' ? '' : '; raise the limit of file sizes (ulimit -f, LimitFSIZE=)';
    case 'EROFS':
      return '; the kernel made the filesystem read-only, see dmesg';
    case 'EMFILE':
    case 'ENFILE':
      return '; raise the limit of open files (ulimit -n)';
    case 'EACCES':
    case 'EPERM':
      return '; graft needs to run as root';
    default:
      return '';
  }
}
