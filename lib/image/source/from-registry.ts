import type { Digest } from '../../base/digest.ts';
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { type Grade, strictest } from '../../base/grade.ts';
import type { Logger } from '../../base/log.ts';
import { printable } from '../../base/text.ts';
import { asPluginError } from '../../http/failure.ts';
import type { Lookup } from '../../http/route.ts';
import { type ImageConfig, parseConfig } from '../../oci/config.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import { type ImageManifest, type Manifest, parseManifest } from '../../oci/manifest.ts';
import { isForeignLayer } from '../../oci/media-types.ts';
import type { Machine } from '../../oci/platform.ts';
import { formatReference, type RegistryReference, repositoryOf } from '../../oci/reference.ts';
import { resolveToImage } from '../../oci/resolve-index.ts';
import type { GivenCredentials } from '../../registry/auth/credentials.ts';
import { allowedUrls } from '../../registry/blobs/foreign.ts';
import type { PartialBlobs } from '../../registry/blobs/partial.ts';
import { RegistryClient } from '../../registry/client.ts';
import type { FoundManifest, ManifestCache, ReadBlob } from '../../registry/manifests.ts';
import type { RegistryPolicy } from '../../registry/policy/policy.ts';
import type { Grant } from '../../store/records/grants.ts';
import { toImageLayers } from './manifest-layers.ts';
import type { BlobOfPlace, ImageLayer, ImageSource, LayerBytes, ResolvedImage } from './source.ts';

export interface RegistrySourceOptions {
  readonly reference: RegistryReference;
  readonly platform: Machine;
  /** From the command line; they go to the image's own registry alone. */
  readonly credentials: GivenCredentials | undefined;
  readonly policy: RegistryPolicy;
  readonly cache: ManifestCache;
  /** Undefined: nothing is remembered of any name. */
  readonly seen?: SeenNames;
  /** Where large blobs survive a killed process; undefined: nowhere. */
  readonly partials: PartialBlobs | undefined;
  readonly log: Logger;
  /** The name service, for tests of hostile ones. */
  readonly lookup?: Lookup;
}

/** Names with a tag that were resolved before, and whose manifest may therefore be in the cache. */
export interface SeenNames {
  has(name: string): boolean;
  add(name: string, layers: readonly ImageLayer[]): void;
}

/** An image in a registry, its mirrors, or wherever those redirect to. */
export class RegistrySource implements ImageSource {
  readonly #options: RegistrySourceOptions;
  readonly #name: string;
  readonly #client: RegistryClient;
  readonly place: string;
  /** Who may have the documents that have been read. */
  #grade: Grade = 'everybody';

  constructor(options: RegistrySourceOptions) {
    this.#options = options;
    this.place = repositoryOf(options.reference);
    this.#name = formatReference(options.reference);
    this.#client = new RegistryClient(options);
  }

  /**
   * Reference to layers: no request at all for a digest whose manifest and configuration are in the cache.
   * @throws REGISTRY_* and what the parsers throw
   */
  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    signal.throwIfAborted();
    try {
      return await this.#resolve(signal);
    } catch (error) {
      const plain = asPluginError(error);
      this.#advise(plain);
      throw plain;
    }
  }

  /** The sentence for these is GrootFS's own, which has no room for the better way. */
  #advise(error: unknown): void {
    if (!isPluginError(error, 'REGISTRY_UNTRUSTED') && !isPluginError(error, 'REGISTRY_PLAIN_HTTP')) return;
    const { registry } = error.subject;
    const advice =
      error.code === 'REGISTRY_UNTRUSTED'
        ? `put the CA of ${registry} into /etc/docker/certs.d/${registry}/ca.crt, or name it under registries.hosts.ca`
        : `${registry} speaks HTTP without TLS; only --insecure-registry ${registry} allows that`;
    this.#options.log.error('registry-untrusted', error, { ...error.subject, advice });
  }

  /** An image's configuration by its descriptor alone, for whoever has the manifest from elsewhere. */
  async readConfig(descriptor: Descriptor, signal: AbortSignal): Promise<ImageConfig> {
    try {
      return await this.#config(descriptor, signal);
    } catch (error) {
      throw asPluginError(error);
    }
  }

  /** The bytes as they come from the network; the first request is made when the first byte is asked for. */
  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    signal.throwIfAborted();
    const { digest, size } = layer;
    if (digest === undefined || size === undefined)
      throw new Error('a layer of a registry has digest and size');
    const chunks = this.#isElsewhere(layer)
      ? this.#client.foreign({ digest, size }, layer.urls, signal)
      : this.#client.blob({ digest, size }, signal);
    return { kind: 'stream', chunks, size };
  }

  async mayRead(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined> {
    try {
      return await this.#client.mayRead(blob, signal);
    } catch (error) {
      throw asPluginError(error);
    }
  }

  delivered({ digest, size }: ImageLayer): Grant {
    if (digest === undefined || size === undefined)
      throw new Error('a layer of a registry has digest and size');
    const to = this.#client.grade(digest);
    const { place } = this;
    if (to === 'asked') return { to, place, digest, size };
    return to === 'cell' ? { to, place } : { to };
  }

  /** A lying or rotten mirror, or rotten bytes of an earlier process: the next `open` goes without them. */
  reject(layer: ImageLayer): boolean {
    const again = layer.digest !== undefined && this.#client.reject(layer.digest);
    if (again) this.#options.log.info('layer-rejected', { digest: layer.digest });
    return again;
  }

  async close(): Promise<void> {
    this.#client.close();
  }

  async #resolve(signal: AbortSignal): Promise<ResolvedImage> {
    const { platform, log } = this.#options;
    const start = await this.#start(signal);
    const found = await resolveToImage(
      { manifest: this.#parse(start), digest: start.digest },
      platform,
      this.#name,
      {
        manifest: (descriptor) => this.#plain(this.#manifest(descriptor, signal)),
        image: (manifest) => this.#plain(this.#image(manifest, signal)),
      },
      log,
    );
    const { config, layers } = found;
    log.info('image-resolved', { image: this.#name, digest: found.digest, layers: layers.length });
    const { registry, repository, digest } = this.#options.reference;
    if (digest === undefined) this.#options.seen?.add(this.#name, layers);
    return {
      name: this.#name,
      manifestDigest: found.digest,
      config,
      layers,
      origin: { registry, repository },
      ...(found.byLevel ? { forLevel: platform.level?.() ?? '' } : {}),
      place: this.place,
      grade: this.#grade,
    };
  }

  async #image(
    manifest: ImageManifest,
    signal: AbortSignal,
  ): Promise<{ config: ImageConfig; layers: readonly ImageLayer[] }> {
    const config = await this.#config(manifest.config, signal);
    const layers = toImageLayers(manifest, config, { validated: true, source: this.#name });
    for (const layer of layers) await this.#requireReachable(layer, signal);
    return { config, layers };
  }

  /** With the errors that callers know, which say whether the next entry of an index is worth a look. */
  async #plain<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw asPluginError(error);
    }
  }

  /** A foreign layer that may be fetched from where its manifest says. */
  #isElsewhere({ mediaType, urls }: ImageLayer): boolean {
    return isForeignLayer(mediaType) && allowedUrls(urls, this.#options.policy.foreignHosts).length > 0;
  }

  /**
   * Whether a foreign layer can be had is known before the first byte is downloaded, and so said before it. Tools
   * that push such layers into a registry leave their type and URLs as they are.
   * @throws IMAGE_FOREIGN
   */
  async #requireReachable(layer: ImageLayer, signal: AbortSignal): Promise<void> {
    const { mediaType, digest, urls } = layer;
    if (!isForeignLayer(mediaType) || this.#isElsewhere(layer)) return;
    if (digest !== undefined && (await this.#client.has(digest, signal))) return;
    const url = printable(urls[0] ?? 'no URL at all');
    throw new PluginError('IMAGE_FOREIGN', { source: this.#name, url });
  }

  /** With tag and digest together the digest decides. */
  async #start(signal: AbortSignal): Promise<FoundManifest> {
    const { reference, policy } = this.#options;
    const { digest, tag } = reference;
    if (digest !== undefined) {
      if (policy.authenticate === 'always') await this.#client.requireAccess(digest, signal);
      return this.#client.byDigest(digest, signal);
    }
    if (policy.requireDigest) {
      throw new PluginError('REGISTRY_NOT_PINNED', { reference: this.#name });
    }
    return this.#client.byTag(tag ?? 'latest', this.#options.seen?.has(this.#name) ?? false, signal);
  }

  async #manifest(descriptor: Descriptor, signal: AbortSignal): Promise<Manifest> {
    const found = await this.#client.byDigest(descriptor.digest, signal);
    if (found.bytes.length !== descriptor.size) throw this.#wrongSize(descriptor, found.bytes);
    return this.#parse(found);
  }

  async #config(descriptor: Descriptor, signal: AbortSignal): Promise<ImageConfig> {
    const found = await this.#client.smallBlob(descriptor, 'an image configuration', signal);
    const { bytes } = found;
    if (bytes.length !== descriptor.size) throw this.#wrongSize(descriptor, bytes);
    const config = parseConfig(bytes, this.#name, this.#options.log);
    this.#keep(descriptor.digest, found);
    return config;
  }

  /** Only what parses is kept: what a registry calls a manifest is checked against its body once, when it comes. */
  #parse(found: FoundManifest): Manifest {
    const manifest = parseManifest(found.bytes, found.contentType, this.#name);
    this.#keep(found.digest, found);
    return manifest;
  }

  #keep(digest: Digest, { bytes, grade, fresh }: ReadBlob): void {
    this.#grade = strictest([this.#grade, grade]);
    if (fresh) this.#options.cache.put(digest, { bytes, grade });
  }

  #wrongSize(descriptor: Descriptor, bytes: Uint8Array): PluginError {
    const reason = `it declares ${descriptor.size} bytes for ${descriptor.digest}, which has ${bytes.length}`;
    return new PluginError('IMAGE_BAD_MANIFEST', { source: this.#name, reason });
  }
}
