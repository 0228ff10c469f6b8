/**
 * Images by their name on CVMFS: `cvmfs:///cvmfs/<repository>/<registry>/<repository>:<tag>`, or any directory there.
 * Such an image is made of the layers that its published manifest names, if the repository has all of them; else of the
 * flat root filesystem that the name leads to; and where the repository is in doubt, of the layers in the registry that
 * the name names.
 */

import { PluginError } from '../../base/errors/error.ts';
import type { Grade } from '../../base/grade.ts';
import type { Logger } from '../../base/log.ts';
import { type RepositoryPath, repositoryPath } from '../../cvmfs/address.ts';
import { type NamedImage, resolveName } from '../../cvmfs/by-name.ts';
import { type CvmfsDeps, layerDirectory, locateLayers } from '../../cvmfs/locate.ts';
import type { Doubtful } from '../../cvmfs/repository.ts';
import { type ImageConfig, parseConfig } from '../../oci/config.ts';
import type { Machine } from '../../oci/machine.ts';
import { requirePlatform } from '../../oci/platform.ts';
import { type CvmfsReference, formatReference } from '../../oci/reference.ts';
import type { Grant } from '../../store/records/grants.ts';
import { publishedName } from './cvmfs-names.ts';
import type { RegistrySource } from './from-registry.ts';
import { type DirectoryLayer, type ImageLayer, namedOnCvmfs } from './image-layer.ts';
import { toImageLayers } from './manifest-layers.ts';
import type { BlobOfPlace, ImageSource, LayerBytes, ResolvedImage } from './source.ts';

export interface CvmfsSourceOptions {
  readonly reference: CvmfsReference;
  readonly platform: Machine;
  readonly cvmfs: CvmfsDeps;
  /** The registry's image of this reference (`docker://…`); undefined where the text is no such reference. */
  readonly registry: (reference: string) => Promise<RegistrySource | undefined>;
  readonly requireDigest: boolean;
  readonly log: Logger;
}

export class CvmfsSource implements ImageSource {
  readonly #options: CvmfsSourceOptions;
  readonly #name: string;
  #registry: Promise<RegistrySource | undefined> | undefined;
  #opened: RegistrySource | undefined;

  constructor(options: CvmfsSourceOptions) {
    this.#options = options;
    this.#name = formatReference(options.reference);
  }

  /**
   * @throws CVMFS_NOT_ALLOWED, CVMFS_NOT_PUBLISHED, CVMFS_UNHEALTHY, CVMFS_BAD_RECORD, REGISTRY_NOT_PINNED; those of
   *   the registry where the image comes from there
   */
  async resolve(signal: AbortSignal): Promise<ResolvedImage> {
    signal.throwIfAborted();
    const { cvmfs, reference, platform, requireDigest } = this.#options;
    const at = repositoryPath(cvmfs.settings, reference.path);
    if (requireDigest && !isPinned(at.path)) {
      throw new PluginError('REGISTRY_NOT_PINNED', { reference: this.#name });
    }
    const named = await resolveName(cvmfs, at, platform);
    if (named.ok === 'missing') {
      throw new PluginError('CVMFS_NOT_PUBLISHED', { repository: at.repository.name, path: at.path });
    }
    if (!named.ok) return this.#elsewhere(at, named, signal);
    const layers = await this.#layersOfManifest(at, named, signal);
    if (layers !== undefined) return layers;
    return this.#flat(at, named, signal);
  }

  /** Opens a layer that the repository lacks, at the registry that the image's name names. */
  async open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes> {
    const registry = await this.#registry;
    if (registry !== undefined && namedOnCvmfs(layer)?.elsewhere !== false) {
      this.#opened = registry;
      return registry.open(layer, signal);
    }
    throw new PluginError('CVMFS_UNHEALTHY', {
      repository: namedOnCvmfs(layer)?.address.repository.name ?? this.#name,
      what: namedOnCvmfs(layer)?.shown ?? this.#name,
      doubt: 'io_error',
      reason: 'it answered and could not be mounted, and no other source has it',
    });
  }

  async mayRead(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined> {
    const registry = await this.#registry;
    return registry?.mayRead(blob, signal);
  }

  delivered(layer: ImageLayer): Grant {
    if (this.#opened === undefined) throw new Error('nothing has been opened');
    return this.#opened.delivered(layer);
  }

  async close(): Promise<void> {
    const registry = await this.#registry;
    await registry?.close();
  }

  /** Resolves the image at its registry, where the configuration falls back on this doubt. */
  async #elsewhere(at: RepositoryPath, found: Doubtful, signal: AbortSignal): Promise<ResolvedImage> {
    const { doubt, reason } = found;
    const { repository } = at;
    const registry = repository.fallBackOn.has(doubt) ? await this.#open(at.path) : undefined;
    if (registry === undefined) {
      throw new PluginError('CVMFS_UNHEALTHY', { repository: repository.name, what: at.path, doubt, reason });
    }
    this.#options.log.info('image-not-from-cvmfs', { image: this.#name, doubt, reason });
    const image = await registry.resolve(signal);
    // Without `origin`, since the layers would be looked for in the same repository again.
    return { ...image, name: this.#name, origin: undefined };
  }

  /**
   * Resolves to the layers of the published manifest; undefined where some of them are missing and the image has a flat
   * root filesystem.
   */
  async #layersOfManifest(
    at: RepositoryPath,
    named: NamedImage,
    signal: AbortSignal,
  ): Promise<ResolvedImage | undefined> {
    const { manifest, directory } = named;
    if (manifest === undefined) return undefined;
    const registry = await this.#open(named.publicName);
    const { config, from } = await this.#config(named, registry, signal);
    const layers = this.#toLayers(at, manifest, config, registry !== undefined);
    const findings = await locateLayers(
      this.#options.cvmfs,
      layers.map(({ blob, onCvmfs: { address } }) => ({
        digest: blob?.digest,
        diffId: blob?.diffId,
        at: { address },
      })),
    );
    const lacking = findings.filter(({ result }) => result !== 'found').length;
    if (lacking > 0 && directory !== undefined) {
      this.#options.log.info('image-layers-incomplete', { image: this.#name, lacking, of: layers.length });
      return undefined;
    }
    this.#options.log.info('image-from-published-layers', {
      image: this.#name,
      layers: layers.length,
      config: from,
    });
    const place = registry?.place;
    return { name: this.#name, manifestDigest: undefined, config, layers, place };
  }

  #toLayers(
    at: RepositoryPath,
    manifest: NonNullable<NamedImage['manifest']>,
    config: ImageConfig | undefined,
    elsewhere: boolean,
  ): DirectoryLayer[] {
    const known = config !== undefined && config.diffIds.length > 0;
    const unknown = manifest.layers.map(() => undefined);
    const diffIds = known ? config.diffIds : unknown;
    const options = { validated: true, source: this.#name };
    return toImageLayers(manifest, { diffIds }, options).map((blob) => {
      const path = `${layerDirectory(at.repository, blob.digest)}/layerfs`;
      const address = { repository: at.repository, path };
      const onCvmfs = { address, shown: path, elsewhere, thinImage: undefined };
      return { kind: 'directory', blob, onCvmfs };
    });
  }

  async #flat(at: RepositoryPath, named: NamedImage, signal: AbortSignal): Promise<ResolvedImage> {
    const { directory } = named;
    if (directory === undefined) {
      throw new PluginError('CVMFS_NOT_PUBLISHED', { repository: at.repository.name, path: at.path });
    }
    const address = { repository: at.repository, path: directory };
    const [found] = await locateLayers(this.#options.cvmfs, [
      { digest: undefined, diffId: undefined, at: { address } },
    ]);
    if (found?.result === 'absent' && found.doubts[0] !== undefined) {
      return this.#elsewhere(at, { ok: false, ...found.doubts[0] }, signal);
    }
    const registry = named.configDigest === undefined ? undefined : await this.#open(named.publicName);
    const { config, from } = await this.#config(named, registry, signal);
    this.#options.log.info('image-from-flat-root', { image: this.#name, directory, config: from });
    const layer: DirectoryLayer = {
      kind: 'directory',
      blob: undefined,
      onCvmfs: { address, shown: at.path, elsewhere: false, thinImage: undefined },
    };
    return { name: this.#name, manifestDigest: undefined, config, layers: [layer] };
  }

  /**
   * The image configuration, and its source. The bytes that the repository keeps for podman match the digest, so they
   * are the registry's bytes, and cost no request. The scripts of a flat root filesystem are the last resort.
   */
  async #config(
    named: NamedImage,
    registry: RegistrySource | undefined,
    signal: AbortSignal,
  ): Promise<{ config: ImageConfig | undefined; from: string }> {
    const { platform, log } = this.#options;
    const checked = (config: ImageConfig, from: string) => {
      requirePlatform(config, platform, this.#name, log);
      return { config, from };
    };
    if (named.config !== undefined) return checked(parseConfig(named.config, this.#name, log), 'podmanStore');
    if (named.manifest !== undefined && registry !== undefined) {
      try {
        return checked(await registry.readConfig(named.manifest.config, signal), 'registry');
      } catch (error) {
        signal.throwIfAborted();
        if (error instanceof PluginError && error.code === 'IMAGE_NO_PLATFORM') throw error;
        log.info('image-config-not-in-registry', {
          image: this.#name,
          code: error instanceof PluginError ? error.code : 'unknown',
        });
      }
    }
    if (named.singularity === undefined) return { config: undefined, from: 'nowhere' };
    const { env, entrypoint, cmd } = named.singularity;
    const config = { architecture: '', os: '', diffIds: [], env, entrypoint, cmd, user: '', workingDir: '' };
    return { config, from: '.singularity.d' };
  }

  #open(path: string): Promise<RegistrySource | undefined> {
    const reference = publishedName(path);
    this.#registry ??=
      reference === undefined ? Promise.resolve(undefined) : this.#options.registry(reference);
    return this.#registry;
  }
}

/**
 * True for `…:sha256:<hex>`, which DUCC makes of a reference by digest; a flat root filesystem and a layer are named by
 * digest too.
 */
function isPinned(path: string): boolean {
  return /[:/](sha256:)?[0-9a-f]{64}(\/|$)/.test(path);
}
