import type { Digest } from '../base/digest.ts';
import { type ErrorCode, isPluginError, PluginError } from '../base/errors/error.ts';
import { MAX_MANIFEST_BYTES } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { ImageConfig } from './config.ts';
import type { Descriptor } from './descriptor.ts';
import { formatPlatform, type Machine } from './machine.ts';
import type { ImageIndex, ImageManifest, Manifest } from './manifest.ts';
import {
  candidates,
  type IndexEntry,
  isAboveBaseline,
  isOtherSystem,
  mayBeImage,
  noPlatform,
  platformIn,
  rankOf,
  requirePlatform,
} from './platform.ts';

/** The most levels of indexes. Real indexes nest once; a cycle must end. */
const MAX_INDEX_DEPTH = 3;
/** The most manifests read for an image. Real images need two; an index of indexes could name a million. */
const MAX_FETCHES = 16;

/** Reads the documents that an index names, from a registry or a layout. Both methods verify the digest. */
export interface ImageReader<R extends { readonly config: ImageConfig }> {
  manifest(descriptor: Descriptor): Promise<Manifest>;
  /** Reads the configuration, and refuses an image that is wrong, before its layers are read. */
  image(manifest: ImageManifest, at: FoundAt): Promise<R>;
}

/** The way to an image's manifest. */
export interface FoundAt {
  readonly digest: Digest | undefined;
  /** The digests of the indexes above it, the outermost first. */
  readonly indexes: readonly Digest[];
}

export type FoundImage<R> = R & {
  readonly manifest: ImageManifest;
  /** The digest of the image manifest itself, not of an index above it. */
  readonly digest: Digest | undefined;
  /** True when the choice depends on the processor's level: another processor may get another image. */
  readonly byLevel: boolean;
};

export interface Start {
  readonly manifest: Manifest;
  readonly digest: Digest | undefined;
}

/**
 * Finds the image for `machine`, from an image manifest or an index. An entry of an index that is for another machine, is
 * no image or does not exist is skipped. If no entry is left, the first such failure is thrown.
 * @throws IMAGE_NO_PLATFORM, IMAGE_BAD_MANIFEST (cycle, depth, size), what `reader` throws
 */
export function resolveToImage<R extends { readonly config: ImageConfig }>(
  start: Start,
  machine: Machine,
  source: string,
  reader: ImageReader<R>,
  log: Logger,
): Promise<FoundImage<R>> {
  return new Search(machine, source, reader, log).from(start);
}

/** Errors after which the next entry is tried. A wrong digest, a refusal or a network that is down ends the search. */
const SKIPS_ENTRY: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'BAD_DIGEST',
  'IMAGE_BAD_CONFIG',
  'IMAGE_BAD_MANIFEST',
  'IMAGE_ENCRYPTED',
  'IMAGE_FOREIGN',
  'IMAGE_SCHEMA1',
  'IMAGE_SOURCE_MISSING',
  'IMAGE_UNSUPPORTED',
  'REGISTRY_NOT_FOUND',
]);

class Search<R extends { readonly config: ImageConfig }> {
  readonly #machine: Machine;
  readonly #source: string;
  readonly #reader: ImageReader<R>;
  readonly #log: Logger;
  readonly #seen = new Set<Digest>();
  /** Platforms of all entries seen so far. */
  readonly #offered: string[] = [];
  #byLevel = false;
  #failure: unknown;
  /** The error that ends the whole search, once MAX_FETCHES is reached. */
  #spent: PluginError | undefined;

  constructor(machine: Machine, source: string, reader: ImageReader<R>, log: Logger) {
    this.#machine = machine;
    this.#source = source;
    this.#reader = reader;
    this.#log = log;
  }

  async from({ manifest, digest }: Start): Promise<FoundImage<R>> {
    if (digest !== undefined) this.#seen.add(digest);
    if (manifest.kind === 'image') {
      const image = await this.#reader.image(manifest, { digest, indexes: [] });
      requirePlatform(image.config, this.#machine, this.#source, this.#log);
      return { ...image, manifest, digest, byLevel: false };
    }
    const found = await this.#index(manifest, digest === undefined ? [] : [digest], 1);
    if (found !== undefined) return { ...found, byLevel: this.#byLevel };
    throw this.#failure ?? noPlatform(this.#offered, this.#machine, this.#source);
  }

  async #index(
    index: ImageIndex,
    above: readonly Digest[],
    depth: number,
  ): Promise<FoundImage<R> | undefined> {
    if (depth > MAX_INDEX_DEPTH) throw this.#bad(`indexes nest deeper than ${MAX_INDEX_DEPTH} levels`);
    for (const { platform } of index.entries.filter(mayBeImage)) {
      if (platform !== undefined) this.#offered.push(formatPlatform(platform));
      this.#byLevel ||= isAboveBaseline(platform);
    }
    for (const entry of candidates(index.entries, this.#machine)) {
      if (this.#seen.has(entry.digest)) continue;
      if (this.#seen.size >= MAX_FETCHES) {
        this.#spent = this.#bad(`more than ${MAX_FETCHES} manifests to look through`);
        throw this.#spent;
      }
      this.#seen.add(entry.digest);
      const found = await this.#orNext(entry, above, depth);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async #orNext(
    entry: IndexEntry,
    above: readonly Digest[],
    depth: number,
  ): Promise<FoundImage<R> | undefined> {
    try {
      return await this.#entry(entry, above, depth);
    } catch (error) {
      if (error === this.#spent || !isPluginError(error) || !SKIPS_ENTRY.has(error.code)) throw error;
      this.#log.info('index-entry-passed-over', {
        image: this.#source,
        digest: entry.digest,
        code: error.code,
      });
      this.#failure ??= error;
      return undefined;
    }
  }

  async #entry(
    entry: IndexEntry,
    above: readonly Digest[],
    depth: number,
  ): Promise<FoundImage<R> | undefined> {
    if (entry.size > MAX_MANIFEST_BYTES)
      throw this.#bad(`a manifest of ${entry.size} bytes, more than the ${MAX_MANIFEST_BYTES} allowed`);
    const manifest = await this.#reader.manifest(entry);
    if (manifest.kind === 'index') return this.#index(manifest, [...above, entry.digest], depth + 1);
    const image = await this.#reader.image(manifest, { digest: entry.digest, indexes: above });
    if (!this.#fits(entry, image.config)) return undefined;
    return { ...image, manifest, digest: entry.digest, byLevel: false };
  }

  /** Where the index names no platform, the configuration decides, if it names one. */
  #fits(entry: IndexEntry, config: ImageConfig): boolean {
    const platform = platformIn(config);
    this.#byLevel ||= entry.platform === undefined && isAboveBaseline(platform);
    const fits =
      entry.platform !== undefined || config.architecture === ''
        ? !isOtherSystem(config, this.#machine)
        : rankOf(config.os === '' ? { ...platform, os: this.#machine.os } : platform, this.#machine) !==
          undefined;
    if (!fits) this.#offered.push(formatPlatform(platform));
    return fits;
  }

  #bad(reason: string): PluginError {
    return new PluginError('IMAGE_BAD_MANIFEST', { source: this.#source, reason });
  }
}
