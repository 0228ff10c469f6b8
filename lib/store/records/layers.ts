import { byteName } from '../../base/bytes.ts';
import { DISK_BLOCK, inBlocks } from '../../base/disk-blocks.ts';
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { silentLogger } from '../../base/log.ts';
import type { UnpackResult } from '../../layer/tree/types.ts';
import { publishQuickly } from '../../sys/files/durable.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, fsync, mkdirAt, openAt, readlinkAt, symlinkAt, syncfs } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { exists, listNames } from '../../sys/kernel/look.ts';
import { utf8 } from '../../sys/kernel/utf8.ts';
import { MAX_LAYER_RECORD_BYTES, MAX_NAMES_BYTES } from '../layout/ceilings.ts';
import type { LayerForm } from '../layout/layer-form.ts';
import { type LayerKey, layerKeyOrUndefined, shortName, type VolumeName } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { readRecord, readRecordBytes } from '../layout/read-file.ts';
import { discardStaged, removeName, stageDirectory, writeSmall } from '../layout/staging.ts';
import { appendGrant, encodeGrant, type Grant, readGrants } from './grants.ts';
import { decodeNames, encodeNames, type LayerNames } from './layer-names.ts';
import { decodeLayerRecord, encodeLayerRecord, type LayerRecord } from './layer-record.ts';
import { addToTotals } from './totals.ts';
import { layerSize, writeShimSize } from './volume-size.ts';

export type { LayerRecord } from './layer-record.ts';

/** A layer that is being written: fill `tree` or write `image`, then call `publish` or `discard`. */
export interface StagedLayer {
  readonly directory: string;
  readonly tree: string;
  readonly manifest: string;
  /** The file of a layer that becomes an image. */
  readonly image: string | undefined;
}

/** A layer that is complete and not yet published. */
export interface NewLayer {
  readonly staged: StagedLayer;
  readonly record: LayerRecord;
  /** How the layer was delivered, and so which callers may use it. */
  readonly grant: Grant;
}

/** The file of the layer's grants (lib/store/records/grants.ts). */
const ACCESS = 'access';

/** The layers of one store. Readers take no lock: a directory under a layer's final name is complete. */
export class Layers {
  readonly #layout: Layout;

  constructor(layout: Layout) {
    this.#layout = layout;
  }

  has(volume: VolumeName): boolean {
    return exists(this.#layout.tree(volume));
  }

  /**
   * The record of a layer; undefined when there is no layer.
   * @throws STORE_DAMAGED when a published layer has no readable record
   */
  record(key: LayerKey): LayerRecord | undefined {
    const path = `${this.#layout.volume(key)}/layer.json`;
    const text = readRecord(path, MAX_LAYER_RECORD_BYTES);
    if (text !== undefined) return decodeLayerRecord(text, path, key);
    if (this.has(key)) throw new PluginError('STORE_DAMAGED', { path, reason: 'it is missing' });
    return undefined;
  }

  /** The names of a published layer that the planning of a stack needs. @throws STORE_DAMAGED */
  names(key: LayerKey): LayerNames {
    const path = `${this.#layout.volume(key)}/names`;
    const bytes = readRecordBytes(path, MAX_NAMES_BYTES);
    const names = bytes && decodeNames(bytes);
    if (names !== undefined) return names;
    throw new PluginError('STORE_DAMAGED', {
      path,
      reason: bytes ? 'it is cut or no list' : 'it is missing',
    });
  }

  /**
   * The record for callers that only sum or report: undefined also when the record is damaged, which `check` reports.
   */
  recordIfReadable(key: LayerKey): LayerRecord | undefined {
    try {
      return this.record(key);
    } catch (error) {
      if (isPluginError(error, 'STORE_DAMAGED')) return undefined;
      throw error;
    }
  }

  /** The grants of a layer. */
  grants(key: LayerKey): Grant[] {
    return readGrants(`${this.#layout.volume(key)}/${ACCESS}`);
  }

  /** Adds the grant of a further delivery. The caller's lease must name the layer. */
  addGrant(key: LayerKey, grant: Grant): void {
    appendGrant(`${this.#layout.volume(key)}/${ACCESS}`, grant);
  }

  stage(kind: LayerForm['kind'] = 'directories'): StagedLayer {
    const directory = stageDirectory(this.#layout, 'layer');
    const image = kind === 'images' ? `${directory}/fs.erofs` : undefined;
    const staged = { directory, tree: `${directory}/fs`, manifest: `${directory}/tree`, image };
    try {
      // An image's own root hides the directory that it is mounted at.
      mkdirAt(AT_FDCWD, staged.tree, image === undefined ? 0o755 : 0o700);
    } catch (error) {
      this.discard(staged);
      throw error;
    }
    return staged;
  }

  /**
   * Writes the names of a layer that is being made, and returns its record, which does not contain them. So the names
   * of an image's layers are not all in memory until the last layer is unpacked.
   */
  describe(
    staged: StagedLayer,
    { key, validated }: Pick<LayerRecord, 'key' | 'validated'>,
    result: UnpackResult,
  ) {
    const { impliedDirs, whiteoutDirs, opaqueDirs, ...facts } = result;
    const bytes = encodeNames({ impliedDirs, whiteoutDirs, opaqueDirs });
    writeSmall(`${staged.directory}/names`, bytes, 0o600);
    // The last two blocks are those of the record and of the grants.
    const diskBytes = result.diskBytes + inBlocks(bytes.length) + 2 * DISK_BLOCK;
    return { ...facts, key, validated, diskBytes, nameBytes: bytes.length } satisfies LayerRecord;
  }

  discard(staged: StagedLayer): void {
    discardStaged(staged.directory);
  }

  /**
   * Publishes layers whose trees are complete: writes the records, calls syncfs(2) once for all layers, then renames
   * each. Without the sync, a power cut could leave empty files in a published layer, since file data may reach the
   * disk after the rename. When another process has published a layer meanwhile, that layer is kept and the own one
   * is dropped. After a failure some of the layers are published, and no stage is left.
   */
  publish(batch: readonly NewLayer[]): void {
    const staged = [...batch];
    try {
      for (const { staged, record, grant } of batch) {
        writeSmall(`${staged.directory}/layer.json`, encodeLayerRecord(record), 0o644);
        writeSmall(`${staged.directory}/${ACCESS}`, encodeGrant(grant));
      }
      this.#publishSynced(staged);
    } catch (error) {
      for (const left of staged) this.discard(left.staged);
      throw error;
    }
    for (const { record } of batch) this.ensureLink(record.key);
  }

  /** Publishes the layers of `left` and removes each published one from `left`. */
  #publishSynced(left: NewLayer[]): void {
    const volumes = openAt(AT_FDCWD, this.#layout.volumes, O.RDONLY | O.DIRECTORY);
    try {
      syncfs(volumes, this.#layout.root);
      for (let next = left[0]; next !== undefined; next = left[0]) {
        const { staged, record, grant } = next;
        if (publishQuickly(staged.directory, this.#layout.volume(record.key))) {
          left.shift();
          this.#count(record);
        } else {
          this.discard(staged);
          left.shift();
          this.addGrant(record.key, grant);
        }
      }
      fsync(volumes, this.#layout.volumes);
    } finally {
      close(volumes);
    }
  }

  /**
   * Counts a layer when it is published, not when its image is complete: the layer stays on the disk even when the
   * image fails.
   */
  #count(record: LayerRecord): void {
    const sizes = { layerBytes: layerSize(record), fileBytes: record.fileBytes };
    addToTotals({ layout: this.#layout }, sizes, silentLogger);
  }

  /**
   * Publishes a shim: a small tree of directories, which is the same whichever process makes it. No sync is needed: a
   * shim holds no file data, and XFS and ext4 journal directories and attributes before the rename.
   */
  publishShim(directory: string, volume: VolumeName): void {
    writeShimSize(directory);
    if (!publishQuickly(directory, this.#layout.volume(volume))) discardStaged(directory);
    this.ensureLink(volume);
  }

  /** Makes `l/<short>` and returns its name. @throws STORE_DAMAGED when another volume has the same short name */
  ensureLink(volume: VolumeName): string {
    const short = shortName(volume);
    const path = `${this.#layout.links}/${short}`;
    try {
      symlinkAt(`../volumes/${volume}/fs`, AT_FDCWD, path);
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error;
      const found = linkedVolume(path);
      if (found === volume) return short;
      if (found !== undefined && shortName(found) === short) {
        throw new PluginError('STORE_DAMAGED', { path, reason: `it leads to ${found}, not to ${volume}` });
      }
      // Only damage leaves anything other than a link of graft under this name.
      removeName(this.#layout, path);
      return this.ensureLink(volume);
    }
    return short;
  }

  /** The keys of all published layers, without shims and without volumes that are being deleted. */
  list(): LayerKey[] {
    return listNames(this.#layout.volumes).flatMap((name) => layerKeyOrUndefined(name) ?? []);
  }
}

/** The volume that a short link points to; undefined when the file is not such a link. */
export function linkedVolume(path: string): VolumeName | undefined {
  try {
    const target = utf8(byteName(readlinkAt(AT_FDCWD, path)));
    return /^\.\.\/volumes\/([^/]+)\/fs$/.exec(target)?.[1] as VolumeName | undefined;
  } catch (error) {
    // EINVAL: the file is not a symbolic link.
    if (hasCode(error, 'EINVAL', 'ENOENT')) return undefined;
    throw error;
  }
}
