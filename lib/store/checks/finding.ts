/** The kinds of damage in a store, as `check` names them. */
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
  /** A path in the store, or a project id. */
  readonly what: string;
  /** The damage in words, for a person. */
  readonly detail: string;
  /** Repairs the damage and drops only damaged parts. Absent where an operator has to decide. */
  readonly repair?: () => void | Promise<void>;
}
