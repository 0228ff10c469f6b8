import { type Digest, hexOf } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MAX_MANIFEST_BYTES } from '../../base/limits.ts';
import { printable } from '../../base/text.ts';
import { type Descriptor, verifyDigest } from '../../oci/descriptor.ts';
import { findInLayout } from '../../oci/layout-index.ts';
import { parseAnyManifest } from '../../oci/manifest.ts';
import { isForeignLayer, manifestKind } from '../../oci/media-types.ts';
import { formatReference, type LayoutReference } from '../../oci/reference.ts';
import type { BlobToPush } from '../../registry/push/blob-to-push.ts';
import type { ManifestToPush } from '../../registry/push/push-manifest.ts';
import { readPieces, reasonOf } from '../../sys/files/regular-file.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { imageFile, readImageFile, unreadable } from '../source/local-file.ts';

/** An image of a layout with all that a registry needs of it. */
export interface LayoutImage {
  readonly name: string;
  /** Each manifest after those that it lists; the last one is the image itself. */
  readonly manifests: readonly ManifestToPush[];
  /** Configurations and layers, each once. */
  readonly blobs: readonly BlobToPush[];
  /** Layers that registries need not keep, and that are not pushed: their manifest has URLs for them. */
  readonly foreign: number;
}

/** An index of an index, say for platforms and their variants; nobody has seen a third level. */
const MAX_DEPTH = 4;
/** The most manifests below one name: an index for all platforms with attestations has some tens. */
const MAX_MANIFESTS = 1000;

/**
 * Reads the manifests of an image, all children of an index among them, and finds the files of its blobs.
 * @throws IMAGE_SOURCE_MISSING, IMAGE_SOURCE_UNREADABLE, IMAGE_AMBIGUOUS, IMAGE_REF_MISSING, IMAGE_DIGEST_MISMATCH,
 *   IMAGE_BAD_MANIFEST, PUSH_BLOB_DAMAGED
 */
export function readLayoutImage(reference: LayoutReference): LayoutImage {
  return new Reader(reference).read();
}

class Reader {
  readonly #reference: LayoutReference;
  readonly #name: string;
  readonly #manifests = new Map<Digest, ManifestToPush>();
  readonly #blobs = new Map<Digest, BlobToPush>();
  readonly #foreign = new Set<Digest>();

  constructor(reference: LayoutReference) {
    this.#reference = reference;
    this.#name = formatReference(reference);
  }

  read(): LayoutImage {
    const index = parseAnyManifest(this.#small('index.json'), undefined, this.#name);
    const start = findInLayout(
      index,
      { transport: 'oci', path: this.#reference.directory, ref: this.#reference.ref },
      this.#name,
    );
    if ('kind' in start) {
      const names = start.entries.map((entry) => entry.digest).join(', ');
      throw new PluginError('IMAGE_AMBIGUOUS', { transport: 'oci', path: this.#reference.directory, names });
    }
    this.#manifest(start, 1);
    return {
      name: this.#name,
      manifests: [...this.#manifests.values()],
      blobs: [...this.#blobs.values()],
      foreign: this.#foreign.size,
    };
  }

  #manifest(descriptor: Descriptor, depth: number): void {
    if (this.#manifests.has(descriptor.digest)) return;
    if (depth > MAX_DEPTH) throw this.#bad(`indexes nest deeper than ${MAX_DEPTH} levels`);
    if (this.#manifests.size >= MAX_MANIFESTS) throw this.#bad(`it has more than ${MAX_MANIFESTS} manifests`);
    if (manifestKind(descriptor.mediaType) === undefined)
      throw this.#bad(`it lists a manifest of the type ${printable(descriptor.mediaType)}, which is none`);
    const bytes = this.#small(blobName(descriptor.digest));
    verifyDigest(bytes, descriptor.digest);
    const manifest = parseAnyManifest(bytes, descriptor.mediaType, this.#name);
    if (manifest.kind === 'index') for (const entry of manifest.entries) this.#manifest(entry, depth + 1);
    else for (const blob of [manifest.config, ...manifest.layers]) this.#blob(blob);
    // After its children, since registries refuse an index whose manifests they do not have.
    this.#manifests.set(descriptor.digest, {
      bytes,
      mediaType: manifest.mediaType,
      digest: descriptor.digest,
    });
  }

  #blob({ digest, size, mediaType, urls }: Descriptor): void {
    if (this.#blobs.has(digest)) return;
    if (isForeignLayer(mediaType) && urls.length > 0) {
      this.#foreign.add(digest);
      return;
    }
    const path = this.#path(blobName(digest));
    const actual = this.#reading(path, () => imageFile(path, 'refuse')).size;
    if (actual !== size) {
      const reason = `its file has ${actual} bytes, and its descriptor says ${size}`;
      throw new PluginError('PUSH_BLOB_DAMAGED', { digest, reason });
    }
    this.#blobs.set(digest, { digest, size, open: (from) => readPieces(path, 'refuse', from) });
  }

  #path(name: string): string {
    return `${this.#reference.directory}/${name}`;
  }

  #small(name: string): Uint8Array {
    const path = this.#path(name);
    const link = name === 'index.json' ? 'follow' : 'refuse';
    return this.#reading(path, () => readImageFile(path, MAX_MANIFEST_BYTES, link));
  }

  #reading<T>(path: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      if (error instanceof PluginError) throw error;
      if (hasCode(error, 'ENOENT', 'ENOTDIR'))
        throw new PluginError('IMAGE_SOURCE_MISSING', { path }, { cause: error });
      throw unreadable(path, reasonOf(error), error);
    }
  }

  #bad(reason: string): PluginError {
    return new PluginError('IMAGE_BAD_MANIFEST', { source: this.#name, reason });
  }
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}
