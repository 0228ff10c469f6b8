/** Errors of the store, its filesystem, its images and its limits. */
export interface StoreErrors {
  STORE_NOT_INITIALIZED: { store: string };
  STORE_MISSING: { store: string };
  STORE_NOT_ROOT: { store: string };
  STORE_BAD_PATH: { store: string; reason: string };
  STORE_FOREIGN: { store: string; made: string; advice: string };
  STORE_NOT_MOUNTED: { store: string; backing: string };
  /** A newer graft has written the store. */
  STORE_VERSION: { store: string; found: number; known: number };
  /** The store's format is older than those that `init-store` converts. */
  STORE_TOO_OLD: { store: string; found: number };
  /** The store has an older format, which `init-store` converts. */
  STORE_NOT_MIGRATED: { store: string; found: number; known: number };
  /** A user other than root may have changed the path. */
  STORE_UNSAFE: { store: string; path: string; reason: string };
  /** meta/graft.json, without which no verb uses the store, is damaged. */
  STORE_MARKER_DAMAGED: { store: string; path: string; reason: string };
  /** The store has lost a layer that a lease names. */
  STORE_LAYER_GONE: { layer: string };
  /** A directory of the store's own is gone. */
  STORE_INCOMPLETE: { store: string; path: string };
  STORE_DAMAGED: { path: string; reason: string };
  STORE_WRONG_FILESYSTEM: { store: string; actual: string };
  STORE_TOO_SMALL: { size: number; minimum: number };
  STORE_FORMAT_FAILED: { file: string; reason: string };
  STORE_MOUNT_FAILED: { what: string; reason: string };
  STORE_MAPPING_MISMATCH: { kind: 'UID' | 'GID'; wanted: string; stored: string };
  STORE_BAD_MAPPING: { mapping: string; kind: 'uid' | 'gid'; reason: string };
  STORE_FULL: { store: string; need: number; free: number };
  /** The filesystem of the store has no room for more bytes or files. */
  STORE_NO_SPACE: { store: string };
  /** A write to the loop file failed, and the disk that holds it is full. */
  STORE_NO_SPACE_BELOW: { store: string; backing: string };
  /** `check` found something wrong that is still wrong; `tried`: after repairs. */
  STORE_FINDINGS: { store: string; found: number; repairable: number; tried: boolean };
  STORE_BUSY: { what: string; seconds: number };
  /** A system call failed, and no other code describes it: every SysError. `step`: the name of the call. */
  STORE_IO: { step: string; path: string; errno: string };
  /** Project quotas do not work here. `lacking`: the part that has to be replaced. */
  QUOTA_UNSUPPORTED: { store: string; reason: string; lacking: 'filesystem' | 'kernel' };
  /** The layers have more entries than an inclusive limit on inodes. */
  INODE_LIMIT_TOO_SMALL: { limit: number; entries: number };
  QUOTA_LIMIT_TOO_SMALL: { limit: number; size: number };
  IMAGE_ID_INVALID: { id: string; reason: string };
  IMAGE_EXISTS: { id: string };
  IMAGE_DELETED: { id: string };
  /** `noStore`: the store's path, where there is none. */
  IMAGE_NOT_FOUND: { id: string; noStore?: string };
  IMAGE_OUTSIDE_STORE: { path: string; store: string };
  /** `path` is the image's own, `at` what would not go, and why. */
  IMAGE_DELETE_FAILED: { path: string; at: string; errno: string };
  /** How many places, of which `path` is one. */
  CLEAN_INCOMPLETE: { store: string; left: number; path: string; errno: string | undefined };
}
