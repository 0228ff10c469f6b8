/** The layers of a resolved image: a union by the kind of place that has their bytes, and what all kinds answer. */
import type { DiffId, Digest } from '../../base/digest.ts';
import type { RepositoryPath } from '../../cvmfs/address.ts';

/** The compression of a layer's blob. `auto`: the first bytes tell (a local tar). */
export type Compression = 'gzip' | 'zstd' | 'none' | 'auto';

/** The facts of a blob that a manifest lists. */
export interface BlobFacts {
  readonly digest: Digest;
  /** From the image configuration; undefined where there is none. */
  readonly diffId: DiffId | undefined;
  /** Declared bytes of the blob; undefined where no size is declared. */
  readonly size: number | undefined;
  readonly mediaType: string;
  readonly compression: Compression;
  /** The annotation `org.cloudfoundry.experimental.image.base-directory`: unpack below this directory. */
  readonly baseDirectory: string | undefined;
  /**
   * URLs of an `oci:` layer (Diego's droplets). The URLs of a registry image are used only where the settings allow it.
   */
  readonly urls: readonly string[];
}

/** A blob of a registry or a layout. The unpacker holds its bytes against digest, diffID and size. */
export interface BlobLayer extends BlobFacts {
  readonly kind: 'blob';
}

/** A blob of a layout without layer validation: its digests are names, not facts. */
export interface UnvalidatedLayer extends BlobFacts {
  readonly kind: 'unvalidated';
}

/** A local tar, for which no digest is promised. Its diffID is computed while it is unpacked. */
export interface TarLayer {
  readonly kind: 'tar';
  readonly path: string;
  /** A stable name of the bytes: device, inode, size and mtime of the file. */
  readonly identity: string;
  readonly size: number;
}

/** A directory in a CVMFS repository that the image itself names as its layer. */
export interface DirectoryLayer {
  readonly kind: 'directory';
  readonly onCvmfs: NamedOnCvmfs;
  /** The blob that the directory was made of; undefined for a flat root filesystem. */
  readonly blob: BlobFacts | undefined;
}

/** A layer of a resolved image. `ResolvedImage.layers` has the bottom layer first. */
export type ImageLayer = BlobLayer | UnvalidatedLayer | TarLayer | DirectoryLayer;

/** The directory in a CVMFS repository that an image names as its layer. */
export interface NamedOnCvmfs {
  readonly address: RepositoryPath;
  /** The address as the image or the user wrote it, for errors. */
  readonly shown: string;
  /** True when the source can open the layer too, if the repository lacks it or is in doubt. */
  readonly elsewhere: boolean;
  /** The thin image that names the layer. */
  readonly thinImage: string | undefined;
}

/** The blob of a layer; undefined for a local tar and for a flat root filesystem. */
export function blobOfLayer(layer: ImageLayer): BlobFacts | undefined {
  if (layer.kind === 'tar') return undefined;
  return layer.kind === 'directory' ? layer.blob : layer;
}

/** The digest of the blob as stored; undefined where no digest names the bytes. */
export function digestOfLayer(layer: ImageLayer): Digest | undefined {
  return blobOfLayer(layer)?.digest;
}

/** The directory of the repository that the image itself names; undefined for a layer of any other kind. */
export function namedOnCvmfs(layer: ImageLayer): NamedOnCvmfs | undefined {
  return layer.kind === 'directory' ? layer.onCvmfs : undefined;
}

/**
 * The name under which `meta/sources` remembers the diffID of a layer whose manifest does not tell it; undefined where
 * there is no such name.
 */
export function sourceIdentity(layer: ImageLayer): string | undefined {
  if (layer.kind === 'tar') return layer.identity;
  if (layer.kind !== 'directory' || layer.onCvmfs.thinImage === undefined) return undefined;
  return layer.blob && `thin ${layer.blob.digest}`;
}

/** Declared bytes of the blob, or those of a tar file; undefined where no size is declared. */
export function declaredSize(layer: ImageLayer): number | undefined {
  return layer.kind === 'tar' ? layer.size : blobOfLayer(layer)?.size;
}

/** The facts that the unpacked bytes must have. */
export function expectedFacts(layer: ImageLayer): {
  readonly digest: Digest | undefined;
  readonly diffId: DiffId | undefined;
  readonly size: number | undefined;
} {
  if (layer.kind === 'unvalidated') return { digest: undefined, diffId: undefined, size: undefined };
  const blob = blobOfLayer(layer);
  // A local tar is held against the look at it (`verifyUnchanged`). Its size may be that of the compressed file.
  return { digest: blob?.digest, diffId: blob?.diffId, size: blob?.size };
}

/** The compression of the layer's bytes. */
export function compressionOfLayer(layer: ImageLayer): Compression {
  return blobOfLayer(layer)?.compression ?? 'auto';
}

/** The layer's name for people: its digest, or the path of a tar, or the address on CVMFS. */
export function shownLayer(layer: ImageLayer): string {
  if (layer.kind === 'tar') return layer.path;
  return digestOfLayer(layer) ?? namedOnCvmfs(layer)?.shown ?? 'layer';
}
