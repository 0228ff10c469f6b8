import type { DiffId, Digest } from '../base/digest.ts';
import type { RepositoryPath } from './address.ts';
import type { MadeBy, Stamp } from './probe-protocol.ts';
import type { Doubtful, RepositoryState } from './repository.ts';
import type { LayerOrigin, Repository } from './settings.ts';

/** A layer to look for: by the digest of its compressed blob, or at an address that an image or a user names. */
export interface SoughtLayer {
  readonly digest: Digest | undefined;
  readonly diffId: DiffId | undefined;
  readonly at: { readonly origin: LayerOrigin } | { readonly address: RepositoryPath };
}

/** A layer in a repository: a directory that serves as a lower directory where it is. */
export interface FoundLayer {
  readonly repository: Repository;
  readonly state: RepositoryState;
  /**
   * Relative to the repository: the layer's directory, and the name of the tree in it (`''` where the directory is
   * itself the tree).
   */
  readonly directory: string;
  readonly tree: string;
  /** Absolute path of the tree. */
  readonly path: string;
  readonly root: Stamp;
  /** Changes when the tree's top directory does. Records about the layer are then no longer valid. */
  readonly fingerprint: string;
  /** Bytes of the uncompressed tar, where the publisher recorded them. */
  readonly tarBytes: number | undefined;
  /** The digest of the layer in its records. */
  readonly recordedDigest: Digest | undefined;
  /** True when a companion lies beside the tree, so that no walk is needed. */
  readonly companion: boolean;
  /**
   * True when the repository shows the image's own ids and the store has a mapping: an idmapped mount must apply it.
   */
  readonly needsIdmap: boolean;
  readonly made: MadeBy;
  /** `lost` only where the policy accepts or repairs that. */
  readonly owners: Owners;
}

/** `lost`: the owners are not the image's. `unproven`: they may be, and nothing seen so far proves it. */
export type Owners = 'kept' | 'lost' | 'unproven';

export interface RepositoryDoubt {
  readonly repository: Repository;
  readonly doubt: Doubtful['doubt'];
  readonly reason: string;
}

/** The paths of a layer in a repository, relative to it: the layer's directory, and the name of the tree in it. */
export interface LayerPaths {
  readonly directory: string;
  readonly tree: string;
}
