/**
 * The manifest and the configuration of an image as bytes, for its directory in the repository. The registry client
 * asks these documents as its cache, so a second publication of the same image needs one request for the tag's digest.
 */
import { type Digest, digestOf } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import type { ImageManifest } from '../oci/manifest.ts';
import { parseManifest } from '../oci/manifest.ts';
import type { FoundBlob, ManifestCache } from '../registry/manifests.ts';
import type { PublishedRepository } from './repository/published.ts';

export class ImageDocuments implements ManifestCache {
  readonly #repository: PublishedRepository;
  readonly #name: string;
  readonly #seen = new Map<Digest, Uint8Array>();

  constructor(repository: PublishedRepository, name: string) {
    this.#repository = repository;
    this.#name = name;
  }

  get(digest: Digest): FoundBlob | undefined {
    const bytes = this.#seen.get(digest) ?? this.#repository.document(this.#name, digest);
    if (bytes === undefined) return undefined;
    this.#seen.set(digest, bytes);
    return { bytes, grade: 'everybody' };
  }

  put(digest: Digest, { bytes }: Pick<FoundBlob, 'bytes'>): void {
    this.#seen.set(digest, bytes);
  }

  /** Takes a document that a source has read. */
  add(bytes: Uint8Array): void {
    this.#seen.set(digestOf(bytes), bytes);
  }

  /** @throws PUBLISH_SOURCE where the source has given no such document */
  bytes(digest: Digest | undefined): Uint8Array {
    const bytes = digest && this.#seen.get(digest);
    if (bytes === undefined)
      throw new PluginError('PUBLISH_SOURCE', { image: this.#name, reason: 'it has no manifest' });
    return bytes;
  }

  /** @throws PUBLISH_SOURCE */
  manifest(digest: Digest | undefined): ImageManifest {
    const manifest = parseManifest(this.bytes(digest), undefined, this.#name);
    if (manifest.kind === 'image') return manifest;
    throw new PluginError('PUBLISH_SOURCE', { image: this.#name, reason: 'it is an index' });
  }

  /** The index that named the manifest, where there was one. */
  index(manifest: Digest, config: Digest): Uint8Array | undefined {
    for (const [digest, bytes] of this.#seen) if (digest !== manifest && digest !== config) return bytes;
    return undefined;
  }
}
