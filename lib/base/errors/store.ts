/** What can be wrong with the store, its filesystem, its images and its limits. */
export interface StoreErrors {
  STORE_NOT_INITIALIZED: { store: string };
  STORE_MISSING: { store: string };
  STORE_NOT_ROOT: { store: string };
  STORE_BAD_PATH: { store: string; reason: string };
  STORE_FOREIGN: { store: string; made: string; advice: string };
  STORE_NOT_MOUNTED: { store: string; backing: string };
  /** Of a graft that is newer than this one. */
  STORE_VERSION: { store: string; found: number; known: number };
  /** From before formats were migrated. */
  STORE_TOO_OLD: { store: string; found: number };
  /** `init-store` converts it. */
  STORE_NOT_MIGRATED: { store: string; found: number; known: number };
  /** Somebody else than root could have changed what is there. */
  STORE_UNSAFE: { store: string; path: string; reason: string };
  /** meta/graft.json, without which no verb knows the store. */
  STORE_MARKER_DAMAGED: { store: string; path: string; reason: string };
  /** A layer that was there and that a lease names is not there any more. */
  STORE_LAYER_GONE: { layer: string };
  STORE_DAMAGED: { path: string; reason: string };
  STORE_WRONG_FILESYSTEM: { store: string; actual: string };
  STORE_TOO_SMALL: { size: number; minimum: number };
  STORE_FORMAT_FAILED: { file: string; reason: string };
  STORE_MOUNT_FAILED: { what: string; reason: string };
  STORE_MAPPING_MISMATCH: { kind: 'UID' | 'GID'; wanted: string; stored: string };
  STORE_BAD_MAPPING: { mapping: string; kind: 'uid' | 'gid'; reason: string };
  STORE_FULL: { store: string; need: number; free: number };
  /** The filesystem under the store took no more bytes or files. */
  STORE_NO_SPACE: { store: string };
  /** `check` found something wrong that is still wrong. */
  STORE_FINDINGS: { store: string; found: number; repairable: number };
  STORE_BUSY: { what: string; seconds: number };
  /** A system call failed for which no code stands; `step` is its name. The sentence of every SysError. */
  STORE_IO: { step: string; path: string; errno: string };
  /** `lacking`: what would have to be another one. */
  QUOTA_UNSUPPORTED: { store: string; reason: string; lacking: 'filesystem' | 'kernel' };
  QUOTA_LIMIT_TOO_SMALL: { limit: number; size: number };
  IMAGE_ID_INVALID: { id: string; reason: string };
  IMAGE_EXISTS: { id: string };
  IMAGE_DELETED: { id: string };
  IMAGE_NOT_FOUND: { id: string };
  IMAGE_OUTSIDE_STORE: { path: string; store: string };
  IMAGE_DELETE_FAILED: { path: string; reason: string };
}
