/** What can be wrong with a store, as `check` names it. */
type FindingKind =
  | 'layer-changed'
  | 'layer-record'
  | 'volume-unknown'
  | 'volume-set-aside'
  | 'link-dangling'
  | 'image-half'
  | 'image-record'
  | 'image-layer-missing'
  | 'image-quota'
  | 'image-info'
  | 'image-directory'
  | 'image-in-use'
  | 'store-read-only'
  | 'backing-deleted'
  | 'backing-full'
  | 'mount-leaked'
  | 'record-orphan'
  | 'project-id-leaked'
  | 'lease-dead'
  | 'staged-abandoned'
  | 'rubbish';

export interface Finding {
  readonly kind: FindingKind;
  /** Path in the store, or a project id. */
  readonly what: string;
  /** What is wrong, for a person. */
  readonly detail: string;
  /** Puts it right, dropping only what is bad. Absent where a person has to decide. */
  readonly repair?: () => void | Promise<void>;
}
