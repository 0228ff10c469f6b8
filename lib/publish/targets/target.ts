/** Where images are published. Each kind of repository has an implementation. */
import type { ByteName } from '../../base/bytes.ts';
import type { Digest } from '../../base/digest.ts';
import type { Publication } from '../../layer/tree/types.ts';
import type { PublishedRepository } from '../repository/published.ts';
import type { StagedLayer } from '../tree/layer-records.ts';

/** A file of a repository, by its path relative to the root. */
export interface PublishedFile {
  readonly path: string;
  readonly bytes: Uint8Array;
}

/** A symbolic link of a repository. */
export interface PublishedLink {
  readonly path: string;
  /** Relative to the directory of the link. */
  readonly target: string;
}

/** The parts of a published image, in this order. */
export interface ImagePublication {
  /** Bottom first, each once, without those that are published. */
  readonly layers: readonly StagedLayer[];
  /** Names in a directory of the layers below one of `layers`, for its opaque directories. */
  namesBelow(layer: Digest, path: ByteName): Iterable<ByteName>;
  /** Records of layers, then the image's documents; the last one marks the image complete. */
  readonly files: readonly PublishedFile[];
  readonly link: PublishedLink | undefined;
}

export interface PublishTarget {
  /** As a person writes it: `directory:/srv/images`, `cvmfs:images.example.org`. */
  readonly shown: string;
  readonly repository: PublishedRepository;
  /** How the target needs the trees of layers. */
  readonly publication: Publication;
  /** The owners of files are the image's. */
  readonly keepsOwners: boolean;
  /** A new empty directory for an unfinished layer. */
  stage(): string;
  discard(directory: string): void;
  /** Publishes one image. After a failure nothing of it is visible but whole layers. */
  publish(image: ImagePublication, signal: AbortSignal): Promise<void>;
  /** Removes files, links and directories with all that is in them. A missing path is no error. */
  remove(paths: readonly string[], signal: AbortSignal): Promise<void>;
}
