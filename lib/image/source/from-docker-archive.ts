import { type DiffId, type Digest, digestOf, parseDigest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { type ImageConfig, parseConfig } from '../../oci/config.ts';
import { verifyDigest } from '../../oci/descriptor.ts';
import type { Machine } from '../../oci/machine.ts';
import { OCI_LAYER } from '../../oci/media-types.ts';
import { requirePlatform } from '../../oci/platform.ts';
import { type ArchiveReference, formatReference } from '../../oci/reference.ts';
import { findSavedImage, parseSavedImages, type SavedImage } from '../../oci/saved-images.ts';
import { type Grant, LOCAL } from '../../store/records/grants.ts';
import type { ArchiveFile } from './archive-file.ts';
import type { ArchiveMembers, Member } from './archive-members.ts';
import type { BlobLayer, Compression, ImageLayer } from './image-layer.ts';
import { digestOfBytes } from './layer-chunks.ts';
import { madeManifest } from './made-manifest.ts';
import type { ImageSource, LayerBytes, ResolvedImage } from './source.ts';

export interface DockerArchiveOptions {
  readonly reference: ArchiveReference;
  readonly file: ArchiveFile;
  readonly platform: Machine;
  readonly log: Logger;
  /** Takes the bytes of the manifest and the configuration, for a caller that keeps them. */
  readonly onDocument?: ((bytes: Uint8Array) => void) | undefined;
}

/**
 * An image in an archive of `docker save` or `podman save`. Such an archive has a configuration and layers, and no
 * manifest. The manifest made here is that of these very bytes: the same archive gives the same digest each time.
 */
export class DockerArchiveSource implements ImageSource {
  readonly #options: DockerArchiveOptions;
  readonly #name: string;
  readonly #members = new Map<ImageLayer, Member>();

  constructor(options: DockerArchiveOptions) {
    this.#options = options;
    this.#name = formatReference(options.reference);
  }

  /**
   * @throws IMAGE_SOURCE_MISSING, IMAGE_SOURCE_UNREADABLE, IMAGE_BAD_ARCHIVE, IMAGE_AMBIGUOUS, IMAGE_REF_MISSING,
   *   IMAGE_DIGEST_MISMATCH, IMAGE_NO_PLATFORM, what the parsers throw, and LAYER_* for a file that is no tar
   */
  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    const { reference, file, platform, log } = this.#options;
    const members = await file.members(signal);
    const images = parseSavedImages(members.document('manifest.json'), this.#name);
    const saved = findSavedImage(images, reference.ref, reference.path);
    const document = configOf(members, saved);
    const config = parseConfig(document, this.#name, log);
    requirePlatform(config, platform, this.#name, log);
    const layers = await this.#layers(members, saved, config, signal);
    const manifest = madeManifest(document, layers);
    for (const bytes of [document, manifest]) this.#options.onDocument?.(bytes);
    return {
      name: this.#name,
      manifestDigest: digestOf(manifest),
      config,
      layers,
      place: LOCAL,
      grade: 'cell',
    };
  }

  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    signal.throwIfAborted();
    const member = this.#members.get(layer);
    if (member === undefined) throw new TypeError('the layer is of another source');
    return this.#options.file.open(member, signal);
  }

  async verifyUnchanged(): Promise<void> {
    this.#options.file.verifyUnchanged();
  }

  delivered(): Grant {
    return { to: 'cell', place: LOCAL };
  }

  close(): Promise<void> {
    return this.#options.file.close();
  }

  async #layers(
    members: ArchiveMembers,
    { layers }: SavedImage,
    { diffIds }: ImageConfig,
    signal: AbortSignal,
  ): Promise<BlobLayer[]> {
    if (layers.length !== diffIds.length) {
      const reason = `it has ${diffIds.length} diffIDs for the ${layers.length} layers of the archive`;
      throw new PluginError('IMAGE_BAD_CONFIG', { source: this.#name, reason });
    }
    const made: BlobLayer[] = [];
    for (const [at, diffId] of diffIds.entries()) {
      const member = members.find(layers[at] ?? '');
      if (member === undefined) {
        const reason = `it lacks layer ${at + 1} of ${layers.length}, which its manifest.json names`;
        throw new PluginError('IMAGE_BAD_ARCHIVE', { path: this.#options.file.path, reason });
      }
      const layer = await this.#layer(member, diffId, signal);
      this.#members.set(layer, member);
      made.push(layer);
    }
    return made;
  }

  /** A layer of such an archive is a plain tar, so its diffID names its bytes. Few tools compress it. */
  async #layer(member: Member, diffId: DiffId, signal: AbortSignal): Promise<BlobLayer> {
    const compression = compressionIn(member.head);
    const digest: Digest =
      compression === 'none'
        ? parseDigest(diffId)
        : await digestOfBytes(this.#options.file.open(member, signal), signal);
    const suffix = compression === 'none' ? '' : `+${compression}`;
    return {
      kind: 'blob',
      digest,
      diffId,
      size: member.size,
      mediaType: `${OCI_LAYER}${suffix}`,
      compression,
      baseDirectory: undefined,
      urls: [],
    };
  }
}

/** The configuration's member is named by its digest, as `<hex>.json` or as a blob. @throws IMAGE_DIGEST_MISMATCH */
function configOf(members: ArchiveMembers, { config }: SavedImage): Uint8Array {
  const bytes = members.document(config);
  const hex = /^(?:blobs\/sha256\/)?([0-9a-f]{64})(?:\.json)?$/.exec(config)?.[1];
  if (hex !== undefined) verifyDigest(bytes, parseDigest(`sha256:${hex}`));
  return bytes;
}

function compressionIn(head: Uint8Array): Exclude<Compression, 'auto'> {
  if (head[0] === 0x1f && head[1] === 0x8b) return 'gzip';
  const isZstd = head[0] === 0x28 && head[1] === 0xb5 && head[2] === 0x2f && head[3] === 0xfd;
  return isZstd ? 'zstd' : 'none';
}
