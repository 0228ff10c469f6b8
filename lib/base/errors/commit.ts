/** Errors of turning a container into an image. Paths are those of the container, escaped. */
export interface CommitErrors {
  /** A layer cannot say this about the name at `path`, or graft could not unpack it again. */
  COMMIT_ENTRY: { path: string; reason: CommitEntryReason };
  /** The name belongs to an id of the host that no container of the store has. */
  COMMIT_ID: { path: string; kind: 'uid' | 'gid'; id: number };
  /** The name was changed while it was read. */
  COMMIT_CHANGED: { path: string };
  COMMIT_TOO_LARGE: { what: string; limit: number };
  /** The lower layers of the container cannot be had as blobs. */
  COMMIT_BASE: { image: string; reason: string };
  /** A change of the configuration that is not understood. */
  COMMIT_CHANGE: { change: string; reason: string };
  COMMIT_TARGET: { target: string; reason: string };
  /** The filesystem of the target has no room. */
  COMMIT_TARGET_FULL: { path: string };
  /** The whole tree is wanted, and the container is not mounted. */
  COMMIT_NOT_MOUNTED: { id: string; store: string };
}

export type CommitEntryReason =
  | 'whiteout-name'
  | 'deleted-name'
  | 'long-path'
  | 'attributes'
  | 'redirect'
  | 'metacopy';
