import { isPluginError, PluginError } from '../../base/errors/error.ts';
import {
  formatIdRange,
  type IdMappings,
  type IdRange,
  parseIdRange,
  toHostId,
} from '../../base/id-mapping.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { exists } from '../../sys/kernel/look.ts';
import { statIfThere } from '../../sys/kernel/stat.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { mountAt } from '../../sys/mounts/mountinfo.ts';
import { MAX_MARKER_BYTES } from './ceilings.ts';
import { DIRECTORIES, isLayerForm, type LayerForm } from './layer-form.ts';
import type { Layout } from './layout.ts';
import { isStrings } from './own-json.ts';
import { readRecord } from './read-file.ts';
import type { StoreFormat } from './store-format.ts';
import { oldestOf, type StoreVersions, VERSIONS } from './versions.ts';

export type { StoreFormat } from './store-format.ts';

/** The host's uid and gid of the containers' root. */
export function rootOwner(mappings: IdMappings): { uid: number; gid: number } {
  return { uid: toHostId(mappings.uids, 0) ?? 0, gid: toHostId(mappings.gids, 0) ?? 0 };
}

export function encodeFormat(format: StoreFormat): Uint8Array {
  return bytesOfText(
    `${JSON.stringify({
      format: 'graft-store',
      version: format.version,
      'uid-mappings': format.mappings.uids.map(formatIdRange),
      'gid-mappings': format.mappings.gids.map(formatIdRange),
      'first-project-id': format.firstProjectId,
      layers: format.layers,
    })}\n`,
  );
}

/**
 * Reads the marker of a store that this version can use without a migration.
 * @throws STORE_TOO_OLD, STORE_NOT_MIGRATED, and all errors of `readAnyFormat`
 */
export function readFormat(layout: Layout, versions: StoreVersions = VERSIONS): StoreFormat {
  const format = readMigratable(layout, versions);
  if (format.version === versions.current) return format;
  const [found, known] = [format.version, versions.current];
  throw new PluginError('STORE_NOT_MIGRATED', { store: layout.root, found, known });
}

/**
 * Reads the marker of a store of this version, or of an older one that can be migrated.
 * @throws STORE_TOO_OLD, and all errors of `readAnyFormat`
 */
export function readMigratable(layout: Layout, versions: StoreVersions = VERSIONS): StoreFormat {
  return refuseTooOld(layout, readAnyFormat(layout, versions), versions);
}

function refuseTooOld(layout: Layout, format: StoreFormat, versions: StoreVersions): StoreFormat {
  if (format.version >= oldestOf(versions)) return format;
  throw new PluginError('STORE_TOO_OLD', { store: layout.root, found: format.version });
}

/**
 * Reads the marker of a store of this version or of any older one.
 * @throws STORE_NOT_INITIALIZED, STORE_NOT_MOUNTED, STORE_FOREIGN, STORE_VERSION, STORE_MARKER_DAMAGED, SysError
 */
export function readAnyFormat(
  layout: Layout,
  versions: StoreVersions = VERSIONS,
  marker = layout.marker,
): StoreFormat {
  const text = readMarker(layout, marker);
  if (text === undefined) throw whyNoMarker(layout);
  return decodeFormat(text, layout, versions.current);
}

/**
 * Reads the copy of the marker; undefined where it cannot be read.
 * @throws STORE_VERSION, STORE_TOO_OLD, STORE_FOREIGN
 */
export function readCopy(layout: Layout, versions: StoreVersions): StoreFormat | undefined {
  try {
    return refuseTooOld(layout, readAnyFormat(layout, versions, layout.markerCopy), versions);
  } catch (error) {
    if (isPluginError(error, 'STORE_MARKER_DAMAGED') || isPluginError(error, 'STORE_NOT_INITIALIZED')) {
      return undefined;
    }
    throw error;
  }
}

function readMarker(layout: Layout, marker: string): string | undefined {
  try {
    return readRecord(marker, MAX_MARKER_BYTES);
  } catch (error) {
    if (!isPluginError(error, 'STORE_DAMAGED')) throw error;
    // A filesystem that the kernel has shut down answers EIO for its directories too: no marker can be written then.
    statIfThere(AT_FDCWD, layout.root);
    throw damagedMarker(layout, error.subject.reason);
  }
}

function damagedMarker(layout: Layout, reason: string): PluginError {
  return new PluginError('STORE_MARKER_DAMAGED', { store: layout.root, path: layout.marker, reason });
}

/**
 * Finds out why a store has no marker. Each reason has its own error, since each needs another action of the
 * operator.
 */
export function whyNoMarker(layout: Layout): PluginError {
  const store = layout.root;
  if (exists(layout.backing) && mountAt(store) === undefined) {
    return new PluginError('STORE_NOT_MOUNTED', { store, backing: layout.backing });
  }
  if (exists(`${layout.meta}/namespace.json`) || exists(`${layout.meta}/dependencies`)) {
    return new PluginError('STORE_FOREIGN', {
      store,
      made: 'GrootFS',
      advice: 'give graft a directory of its own with --store, and delete this one with grootfs delete-store',
    });
  }
  return new PluginError('STORE_NOT_INITIALIZED', { store });
}

/** The field names of the marker are the same in every version, so that each version of graft can read all markers. */
function decodeFormat(text: string, layout: Layout, known: number): StoreFormat {
  const damaged = (reason: string) => damagedMarker(layout, reason);
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    throw damaged('it is not JSON');
  }
  if (typeof raw !== 'object' || raw === null) throw damaged('it is not an object');
  const record = raw as Record<string, unknown>;
  if (record['format'] !== 'graft-store') throw damaged('it is not a marker of graft');
  const version = record['version'];
  if (typeof version !== 'number' || !Number.isSafeInteger(version) || version < 1) throw damaged('version');
  if (version > known) throw new PluginError('STORE_VERSION', { store: layout.root, found: version, known });
  const first = record['first-project-id'];
  if (typeof first !== 'number' || !Number.isInteger(first) || first < 2) throw damaged('first-project-id');
  return {
    version,
    mappings: {
      uids: ranges(record['uid-mappings'], 'uid', damaged),
      gids: ranges(record['gid-mappings'], 'gid', damaged),
    },
    firstProjectId: first,
    layers: layersOf(record['layers'], damaged),
  };
}

/** Markers before version 3 say nothing about layers. */
function layersOf(value: unknown, damaged: (reason: string) => PluginError): LayerForm {
  if (value === undefined) return DIRECTORIES;
  if (!isLayerForm(value)) throw damaged('layers');
  return value;
}

function ranges(value: unknown, kind: 'uid' | 'gid', damaged: (reason: string) => PluginError): IdRange[] {
  if (!isStrings(value)) throw damaged(`${kind}-mappings`);
  try {
    return value.map((text) => parseIdRange(text, kind));
  } catch (error) {
    if (isPluginError(error, 'STORE_BAD_MAPPING')) throw damaged(`${kind}-mappings`);
    throw error;
  }
}
