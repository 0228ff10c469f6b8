/** Reads what a repository of DUCC's layout has. */
import { type DiffId, type Digest, digestOf } from '../../base/digest.ts';
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { MAX_MANIFEST_BYTES, MiB } from '../../base/limits.ts';
import { type LayerRecord, parseDuccManifest, parseLayerRecord } from '../../cvmfs/records.ts';
import type { ImageManifest } from '../../oci/manifest.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { isDirectoryAt, listNames, lookIfThere } from '../../sys/kernel/look.ts';
import { readOwnFile } from '../../sys/kernel/read.ts';
import { isDirectory } from '../../sys/kernel/stat.ts';
import { DOCUMENTS, layerPath, METADATA, metadataPath } from './paths.ts';

const MAX_RECORD = MiB;

export class PublishedRepository {
  /** Absolute. */
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  /**
   * Whether a layer is published whole: its tree and the record that the publisher writes after the tree. A tree without a
   * record may be the first half of a layer.
   */
  hasLayer(digest: Digest, diffId: DiffId | undefined): boolean {
    const path = layerPath(digest);
    if (!isDirectoryAt(`${this.root}/${path}/layerfs`)) return false;
    const record = this.#layerRecord(path);
    return record?.digest === digest && (diffId === undefined || record.diffId === diffId);
  }

  /** The names below a layer's directory exist, whole or not. */
  hasAnyOf(digest: Digest): boolean {
    return isDirectoryAt(`${this.root}/${layerPath(digest)}`);
  }

  /** The documents of an image, by the digest of their bytes. */
  document(name: string, digest: Digest): Uint8Array | undefined {
    for (const file of [DOCUMENTS.index, DOCUMENTS.manifest, DOCUMENTS.config]) {
      const bytes = this.read(`${metadataPath(name)}/${file}`, MAX_MANIFEST_BYTES);
      if (bytes !== undefined && digestOf(bytes) === digest) return bytes;
    }
    return undefined;
  }

  /** DUCC's form of an image's manifest; undefined where the image is not published. @throws CVMFS_BAD_RECORD */
  manifest(name: string): ImageManifest | undefined {
    return this.manifestAt(`${metadataPath(name)}/${DOCUMENTS.complete}`);
  }

  manifestAt(path: string): ImageManifest | undefined {
    const bytes = this.read(path, MAX_MANIFEST_BYTES);
    if (bytes === undefined) return undefined;
    try {
      return parseDuccManifest(bytes, path);
    } catch (error) {
      if (!isPluginError(error) || error.code === 'CVMFS_BAD_RECORD') throw error;
      throw new PluginError('CVMFS_BAD_RECORD', { path, reason: error.code }, { cause: error });
    }
  }

  /** Every file `manifest.json` below `.metadata`, also beside and below others. Paths are relative to the root. */
  manifestPaths(): string[] {
    const found: string[] = [];
    const todo = [METADATA];
    for (let path = todo.pop(); path !== undefined; path = todo.pop()) {
      for (const name of this.list(path)) {
        if (name === DOCUMENTS.complete) found.push(`${path}/${name}`);
        else if (this.#isOwnDirectory(`${path}/${name}`)) todo.push(`${path}/${name}`);
      }
    }
    return found.sort();
  }

  /** The names in a directory; none where it is missing. */
  list(path: string): string[] {
    return isDirectoryAt(`${this.root}/${path}`) ? listNames(`${this.root}/${path}`).sort() : [];
  }

  /** A file's bytes, undefined where there is none. */
  read(path: string, limit = MAX_RECORD): Uint8Array | undefined {
    try {
      return readOwnFile(`${this.root}/${path}`, limit);
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
      throw error;
    }
  }

  /** A link is no part of the records. */
  #isOwnDirectory(path: string): boolean {
    const stat = lookIfThere(`${this.root}/${path}`);
    return stat !== undefined && isDirectory(stat);
  }

  #layerRecord(path: string): LayerRecord | undefined {
    const file = `${path}/.metadata/layers.json`;
    const bytes = this.read(file);
    if (bytes === undefined) return undefined;
    try {
      return parseLayerRecord(Buffer.from(bytes).toString(), file);
    } catch (error) {
      if (isPluginError(error, 'CVMFS_BAD_RECORD')) return undefined;
      throw error;
    }
  }
}
