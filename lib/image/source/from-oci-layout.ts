import { type Digest, digestOf, hexOf } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { type ImageConfig, parseConfig } from '../../oci/config.ts';
import { type Descriptor, verifyDigest } from '../../oci/descriptor.ts';
import { findInLayout, type PlaceInLayout } from '../../oci/layout-index.ts';
import type { Machine } from '../../oci/machine.ts';
import { type Manifest, parseManifest } from '../../oci/manifest.ts';
import { manifestKind } from '../../oci/media-types.ts';
import { formatReference } from '../../oci/reference.ts';
import { resolveToImage } from '../../oci/resolve-index.ts';
import type { LayerUrls, UrlLayer } from '../../registry/blobs/layer-urls.ts';
import type { LayerUrlSettings } from '../../registry/blobs/url-client.ts';
import { type Grant, LOCAL } from '../../store/records/grants.ts';
import type { ImageGuard } from './guarded-source.ts';
import { type BlobFacts, blobOfLayer, expectedFacts, type ImageLayer } from './image-layer.ts';
import type { LayoutFiles } from './layout-files.ts';
import { unreadable } from './local-file.ts';
import { toImageLayers } from './manifest-layers.ts';
import type { ImageSource, LayerBytes, ResolvedImage } from './source.ts';

export interface OciLayoutOptions {
  readonly place: PlaceInLayout;
  readonly files: LayoutFiles;
  readonly platform: Machine;
  /** The setting `create.skip_layer_validation`: Garden's own layouts have invented digests and sizes of 0. */
  readonly skipLayerValidation: boolean;
  /** The settings for layers with `urls`. */
  readonly remote: LayerUrlSettings;
  /** Undefined without a policy for signatures. */
  readonly guard?: ImageGuard | undefined;
  readonly log: Logger;
  /** Takes the bytes of the manifests and the configuration that were read, for a caller that keeps them. */
  readonly onDocument?: ((bytes: Uint8Array) => void) | undefined;
}

/**
 * An image in a local OCI layout (image-spec, image-layout.md), as a directory or an archive. The file `oci-layout` is not required, since Garden
 * writes none.
 */
export class OciLayoutSource implements ImageSource {
  readonly #options: OciLayoutOptions;
  readonly #name: string;
  #urls: LayerUrls | undefined;
  /** The place of the URL that gave a layer. */
  readonly #gave = new Map<ImageLayer, string>();
  /** True when a manifest or a configuration did not match its digest. */
  #unverified = false;

  constructor(options: OciLayoutOptions) {
    this.#options = options;
    const { transport: kind, path, ref } = options.place;
    this.#name = formatReference(kind === 'oci' ? { kind, directory: path, ref } : { kind, path, ref });
  }

  /**
   * @throws IMAGE_SOURCE_MISSING (no such layout, manifest or configuration), IMAGE_SOURCE_UNREADABLE,
   *   IMAGE_AMBIGUOUS, IMAGE_REF_MISSING, IMAGE_DIGEST_MISMATCH, IMAGE_SIZES_INVENTED, and what the parsers throw
   */
  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    signal.throwIfAborted();
    const { place, files, platform, log } = this.#options;
    await files.prepare(signal);
    const index = parseManifest(files.read('index.json', MAX_MANIFEST_BYTES), undefined, this.#name);
    const start = findInLayout(index, place, this.#name);
    const validated = !this.#options.skipLayerValidation;
    const found = await resolveToImage(
      'kind' in start
        ? { manifest: start, digest: undefined }
        : { manifest: this.#manifest(start), digest: start.digest },
      platform,
      this.#name,
      {
        manifest: async (descriptor) => {
          signal.throwIfAborted();
          return this.#manifest(descriptor);
        },
        image: async (manifest, at) => {
          await this.#options.guard?.admit(at, signal);
          const config = this.#config(manifest.config);
          const layers = toImageLayers(manifest, config, { validated, source: this.#name });
          return { config, layers, index: at.indexes[0] };
        },
      },
      log,
    );
    return {
      name: this.#name,
      manifestDigest: found.digest,
      ...(found.index === undefined ? {} : { index: found.index }),
      ...(found.manifest.annotations === undefined ? {} : { annotations: found.manifest.annotations }),
      config: found.config,
      layers: found.layers,
      ...(found.byLevel ? { forLevel: platform.level?.() ?? '' } : {}),
      origin: 'oci',
      place: LOCAL,
      grade: 'cell',
      ...(this.#unverified ? { unverified: true } : {}),
    };
  }

  /** @throws IMAGE_URLS_FAILED, IMAGE_SOURCE_UNREADABLE, LAYER_SIZE_MISMATCH */
  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    signal.throwIfAborted();
    // As in GrootFS, a URL comes before a local blob. Diego's droplets have no local blob.
    const blob = blobOfLayer(layer);
    if (blob?.urls.some(isWebUrl)) return this.#openUrl(layer, blob, signal);
    if (blob === undefined) throw unreadable(this.#options.place.path, 'a layer has no digest');
    const bytes = this.#options.files.open(blobName(blob.digest), signal);
    const expected = expectedFacts(layer).size;
    if (expected !== undefined && expected !== bytes.size)
      throw new PluginError('LAYER_SIZE_MISMATCH', { expected, actual: bytes.size, when: 'reported' });
    return bytes;
  }

  delivered(layer: ImageLayer): Grant {
    return { to: 'cell', place: this.#gave.get(layer) ?? LOCAL };
  }

  async verifyUnchanged(): Promise<void> {
    this.#options.files.verifyUnchanged();
  }

  async close(): Promise<void> {
    this.#urls?.close();
    await this.#options.files.close();
  }

  /** The HTTP client is loaded for the first such layer: most layouts have none. */
  async #openUrl(layer: ImageLayer, blob: BlobFacts, signal: AbortSignal): Promise<LayerBytes> {
    const { LayerUrls } = await import('../../registry/blobs/layer-urls.ts');
    this.#urls ??= new LayerUrls(this.#options.remote, this.#options.log);
    const of: UrlLayer = { urls: blob.urls, size: expectedFacts(layer).size, name: blob.digest };
    const { chunks, size, place } = await this.#urls.open(of, signal);
    this.#gave.set(layer, place);
    return { kind: 'stream', chunks, size };
  }

  #manifest(descriptor: Descriptor): Manifest {
    const type = manifestKind(descriptor.mediaType) === undefined ? undefined : descriptor.mediaType;
    return parseManifest(this.#blob(descriptor, MAX_MANIFEST_BYTES), type, this.#name);
  }

  #config(descriptor: Descriptor): ImageConfig {
    return parseConfig(this.#blob(descriptor, MAX_CONFIG_BYTES), this.#name, this.#options.log);
  }

  #blob(descriptor: Descriptor, maxBytes: number): Uint8Array {
    const bytes = this.#options.files.read(blobName(descriptor.digest), maxBytes);
    if (this.#options.skipLayerValidation) {
      if (digestOf(bytes) !== descriptor.digest) this.#unverified = true;
      return bytes;
    }
    verifyDigest(bytes, descriptor.digest);
    if (descriptor.size === 0) throw new PluginError('IMAGE_SIZES_INVENTED', { source: this.#name });
    if (bytes.length !== descriptor.size)
      throw new PluginError('IMAGE_BAD_MANIFEST', {
        source: this.#name,
        reason: `it declares ${descriptor.size} bytes for ${descriptor.digest}, which has ${bytes.length}`,
      });
    this.#options.onDocument?.(bytes);
    return bytes;
  }
}

function isWebUrl(text: string): boolean {
  return /^https?:$/.test(URL.parse(text)?.protocol ?? '');
}

function blobName(digest: Digest): string {
  return `blobs/sha256/${hexOf(digest)}`;
}
