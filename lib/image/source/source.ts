import type { DiffId, Digest } from '../../base/digest.ts';
import type { Grade } from '../../base/grade.ts';
import type { RepositoryPath } from '../../cvmfs/address.ts';
import type { LayerOrigin } from '../../cvmfs/settings.ts';
import type { ImageConfig } from '../../oci/config.ts';
import type { Grant } from '../../store/records/grants.ts';

/** How a layer's blob is packed. `auto`: look at the first bytes (a local tar). */
export type Compression = 'gzip' | 'zstd' | 'none' | 'auto';

/** One layer of a resolved image, bottom first in `ResolvedImage.layers`. */
export interface ImageLayer {
  /** Of the blob as stored. Absent for a local tar, whose bytes nothing promises. */
  readonly digest: Digest | undefined;
  /** From the image configuration. Absent for a local tar; it is computed while unpacking. */
  readonly diffId: DiffId | undefined;
  /** Declared bytes of the blob; undefined where nothing is declared. */
  readonly size: number | undefined;
  readonly mediaType: string;
  readonly compression: Compression;
  /** `org.cloudfoundry.experimental.image.base-directory`: unpack below this directory. */
  readonly baseDirectory: string | undefined;
  /** Remote places of an `oci:` layer (Diego's droplets); never used for registry images unless allowed. */
  readonly urls: readonly string[];
  /** False only for `oci:` images with layer validation switched off: digests are then names, not facts. */
  readonly validated: boolean;
  /** Stable name of the bytes where digests say nothing: a tar's device, inode, size and mtime. */
  readonly identity: string | undefined;
  /** What a person calls the layer, where it has no digest: the path of a tar. */
  readonly label?: string;
  /** The layer is a directory in a CVMFS repository, by the image's own word. */
  readonly published?: PublishedAt | undefined;
}

export interface PublishedAt {
  readonly address: RepositoryPath;
  /** As the image or the user wrote it, for errors. */
  readonly shown: string;
  /** The source can open the layer too, where the repository does not have it or cannot be trusted. */
  readonly elsewhere: boolean;
  /** The thin image that names it. */
  readonly thinImage: string | undefined;
}

export interface ResolvedImage {
  /** For logs and records: the reference without credentials. */
  readonly name: string;
  readonly manifestDigest: Digest | undefined;
  readonly config: ImageConfig | undefined;
  /** Bottom layer first. */
  readonly layers: readonly ImageLayer[];
  /** Manifest or configuration are not what their digests say, and nobody wanted them to be. */
  readonly unverified?: true | undefined;
  /** The processor's level (`v3`, or empty) that decided which image of an index this is; undefined: it did not. */
  readonly forLevel?: string | undefined;
  /** Whose layers they are, for looking them up on CVMFS by digest; undefined: they are not. */
  readonly origin?: LayerOrigin | undefined;
  /** Where its layers come from, as grants name it (lib/store/records/grants.ts); undefined: from several places, or none. */
  readonly place?: string | undefined;
  /** Who may have the manifest and the configuration; undefined: nobody else. */
  readonly grade?: Grade | undefined;
}

/** A blob by what a grant knows of it. */
export interface BlobOfPlace {
  readonly digest: Digest;
  readonly size: number;
}

/** The bytes of one layer's blob: a local file that the unpacker opens itself, or a stream. */
export type LayerBytes =
  | { readonly kind: 'file'; readonly path: string; readonly size: number }
  | {
      readonly kind: 'stream';
      readonly chunks: AsyncIterable<Uint8Array>;
      readonly size: number | undefined;
    };

/**
 * Where an image comes from. One object serves one create or pull:
 *  - `resolve` once, before any lock and before any byte of a layer: reference to manifest, configuration and
 *    layers, everything checked that can be checked without the layers;
 *  - `open` for each layer that the store lacks, several at a time; the bytes are verified by the unpacker, not here;
 *  - `close` at the end, also after a failure; after it nothing of the source may be running.
 * Every implementation runs `test/suites/image-source.suite.ts`.
 */
export interface ImageSource {
  resolve(signal: AbortSignal): Promise<ResolvedImage>;
  open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes>;
  /** What `ResolvedImage.place` will be, where that is known before. */
  readonly place?: string | undefined;
  /**
   * As whom whoever asks may have a blob of the image's place, which somebody else has got from there; undefined: not at
   * all, as where there is no such method. @throws REGISTRY_* where the place refuses, or cannot be asked
   */
  mayRead?(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined>;
  /** How the bytes of a layer came that `open` gave, once they were read to the end. */
  delivered(layer: ImageLayer): Grant;
  /**
   * Where no digest tells (a local tar): after the last byte of `layer` was read and before anything of it is
   * published. @throws IMAGE_SOURCE_CHANGED
   */
  verifyUnchanged?(layer: ImageLayer): Promise<void>;
  /**
   * The bytes that `open` gave turned out wrong (any LAYER_… of the unpacker). True when another `open` gives them
   * from somewhere else, a mirror's registry say; then, and only then, trying once more makes sense.
   */
  reject?(layer: ImageLayer): boolean;
  close(): Promise<void>;
}
