import type { DiffId, Digest } from '../../base/digest.ts';
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { type Grade, strictest } from '../../base/grade.ts';
import type { Logger } from '../../base/log.ts';
import { printable } from '../../base/text.ts';
import { asPluginError } from '../../http/failure.ts';
import type { Lookup } from '../../http/route.ts';
import { type ImageConfig, parseConfig } from '../../oci/config.ts';
import type { Descriptor } from '../../oci/descriptor.ts';
import type { Machine } from '../../oci/machine.ts';
import { type ImageManifest, type Manifest, parseManifest } from '../../oci/manifest.ts';
import { isForeignLayer } from '../../oci/media-types.ts';
import { formatReference, type RegistryReference, repositoryOf } from '../../oci/reference.ts';
import { type FoundAt, resolveToImage } from '../../oci/resolve-index.ts';
import type { GivenCredentials } from '../../registry/auth/credentials.ts';
import { allowedUrls } from '../../registry/blobs/foreign.ts';
import type { PartialBlobs } from '../../registry/blobs/partial.ts';
import { RegistryClient } from '../../registry/client.ts';
import type { FoundManifest, ManifestCache, ReadBlob } from '../../registry/manifests.ts';
import type { RegistryPolicy } from '../../registry/policy/policy.ts';
import type { Grant } from '../../store/records/grants.ts';
import type { ImageGuard } from './guarded-source.ts';
import { type BlobFacts, blobOfLayer, digestOfLayer, type ImageLayer, shownLayer } from './image-layer.ts';
import { toImageLayers } from './manifest-layers.ts';
import type { BlobOfPlace, ImageSource, LayerBytes, ResolvedImage } from './source.ts';

export interface RegistrySourceOptions {
  readonly reference: RegistryReference;
  readonly platform: Machine;
  /** Credentials from the command line, which go to the image's own registry alone. */
  readonly credentials: GivenCredentials | undefined;
  readonly policy: RegistryPolicy;
  readonly cache: ManifestCache;
  /** Undefined: no name is remembered. */
  readonly seen?: SeenNames;
  /** The place for the first bytes of large blobs, for the next process; undefined: none. */
  readonly partials: PartialBlobs | undefined;
  /** Undefined without a policy for signatures. */
  readonly guard?: ImageGuard | undefined;
  readonly log: Logger;
  /** The name service. Tests pass hostile ones. */
  readonly lookup?: Lookup;
}

/** Names with a tag that were resolved before, so that their manifest may be in the cache. */
export interface SeenNames {
  has(name: string): boolean;
  /** @param topmost the topmost layer of the image */
  add(name: string, topmost: DiffId): void;
}

/** An image in a registry, in its mirrors, or on a server that those redirect to. */
export class RegistrySource implements ImageSource {
  readonly #options: RegistrySourceOptions;
  readonly #name: string;
  readonly #client: RegistryClient;
  readonly place: string;
  /** The grade of all documents that have been read. */
  #grade: Grade = 'everybody';

  constructor(options: RegistrySourceOptions) {
    this.#options = options;
    this.place = repositoryOf(options.reference);
    this.#name = formatReference(options.reference);
    this.#client = new RegistryClient(options);
  }

  /**
   * Resolves the reference to layers. A digest whose manifest and configuration are in the cache costs no request.
   * @throws REGISTRY_* and the errors of the parsers
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

  /** Logs what the operator can do. The sentences for these errors are GrootFS's own and have no room for it. */
  #advise(error: unknown): void {
    if (!isPluginError(error, 'REGISTRY_UNTRUSTED') && !isPluginError(error, 'REGISTRY_PLAIN_HTTP')) return;
    const { registry } = error.subject;
    const advice =
      error.code === 'REGISTRY_UNTRUSTED'
        ? `put the CA of ${registry} into /etc/docker/certs.d/${registry}/ca.crt, or name it under registries.hosts.ca`
        : `${registry} speaks HTTP without TLS; only --insecure-registry ${registry} allows that`;
    this.#options.log.error('registry-untrusted', error, { ...error.subject, advice });
  }

  /** Reads an image's configuration by its descriptor, for a caller that has the manifest from elsewhere. */
  async readConfig(descriptor: Descriptor, signal: AbortSignal): Promise<ImageConfig> {
    try {
      return await this.#config(descriptor, signal);
    } catch (error) {
      throw asPluginError(error);
    }
  }

  /** Opens a layer as a stream. The first request is sent when the first byte is read. */
  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    signal.throwIfAborted();
    const { digest, size, blob } = ofRegistry(layer);
    const chunks = this.#isElsewhere(blob)
      ? this.#client.foreign({ digest, size }, blob.urls, signal)
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

  delivered(layer: ImageLayer): Grant {
    const { digest, size } = ofRegistry(layer);
    const to = this.#client.grade(digest);
    const { place } = this;
    if (to === 'asked') return { to, place, digest, size };
    return to === 'cell' ? { to, place } : { to };
  }

  hosts(layer: ImageLayer): readonly string[] | undefined {
    const digest = digestOfLayer(layer);
    return digest && this.#client.hosts(digest);
  }

  /** Rejects the bytes of a mirror, or those that an earlier process kept: the next `open` goes without them. */
  reject(layer: ImageLayer): boolean {
    const digest = digestOfLayer(layer);
    const again = digest !== undefined && this.#client.reject(digest);
    if (again) this.#options.log.info('layer-rejected', { digest });
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
        image: (manifest, at) => this.#plain(this.#image(manifest, at, signal)),
      },
      log,
    );
    const { config, layers, index, manifest } = found;
    log.info('image-resolved', { image: this.#name, digest: found.digest, layers: layers.length });
    const { registry, repository, digest } = this.#options.reference;
    const top = layers.at(-1);
    const topmost = top && blobOfLayer(top)?.diffId;
    if (digest === undefined && topmost !== undefined) this.#options.seen?.add(this.#name, topmost);
    return {
      name: this.#name,
      manifestDigest: found.digest,
      ...(index === undefined ? {} : { index }),
      ...(manifest.annotations === undefined ? {} : { annotations: manifest.annotations }),
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
    at: FoundAt,
    signal: AbortSignal,
  ): Promise<{ config: ImageConfig; layers: readonly ImageLayer[]; index: Digest | undefined }> {
    const repository = { client: this.#client, name: this.place, log: this.#options.log };
    await this.#options.guard?.admit(at, signal, repository);
    const config = await this.#config(manifest.config, signal);
    const layers = toImageLayers(manifest, config, { validated: true, source: this.#name });
    for (const layer of layers) await this.#requireReachable(layer, signal);
    return { config, layers, index: at.indexes[0] };
  }

  /** Throws the errors that callers know; these decide whether the next entry of an index is tried. */
  async #plain<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } catch (error) {
      throw asPluginError(error);
    }
  }

  /** True for a foreign layer that may be fetched from the URL in its manifest. */
  #isElsewhere({ mediaType, urls }: BlobFacts): boolean {
    return isForeignLayer(mediaType) && allowedUrls(urls, this.#options.policy.foreignHosts).length > 0;
  }

  /**
   * Refuses a foreign layer that cannot be fetched, before the first byte of any layer is downloaded. Tools that push
   * such layers into a registry keep their type and URLs, so the registry is asked too.
   * @throws IMAGE_FOREIGN
   */
  async #requireReachable(layer: BlobFacts, signal: AbortSignal): Promise<void> {
    const { mediaType, digest, urls } = layer;
    if (!isForeignLayer(mediaType) || this.#isElsewhere(layer)) return;
    if (await this.#client.has(digest, signal)) return;
    const url = printable(urls[0] ?? 'no URL at all');
    throw new PluginError('IMAGE_FOREIGN', { source: this.#name, url });
  }

  /** Reads the first document. With tag and digest together, the digest decides. */
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

  /**
   * Keeps a document only if it parses: the registry's Content-Type is checked against the body once, when the body
   * comes.
   */
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

/** @throws TypeError for a layer that no registry lists: a caller gave the layer of another source */
function ofRegistry(layer: ImageLayer): { digest: Digest; size: number; blob: BlobFacts } {
  const blob = blobOfLayer(layer);
  if (blob?.size === undefined) throw new TypeError(`${shownLayer(layer)} is no layer of a registry`);
  return { digest: blob.digest, size: blob.size, blob };
}
