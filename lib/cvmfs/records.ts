/**
 * The records that publishers leave in a repository: parsed into typed values, and written in the publishers' own form.
 */
import { type DiffId, type Digest, hexOf, parseDiffId, parseDigest } from '../base/digest.ts';
import { isPluginError, PluginError } from '../base/errors/error.ts';
import { MAX_MANIFEST_BYTES, MiB } from '../base/limits.ts';
import { printable } from '../base/text.ts';
import { isDuccLayers, isOverlayRecord, isThinImage, type Validator } from '../oci/generated/validators.js';
import { JsonRefused, parseJson } from '../oci/json.ts';
import { type ImageManifest, parseManifest } from '../oci/manifest.ts';
import { describeSchemaError } from '../oci/schema-error.ts';

/** The content of `.metadata/layers.json` for a layer. */
export interface LayerRecord {
  readonly digest: Digest;
  readonly diffId: DiffId;
  /** Bytes of the uncompressed tar; undefined where the record has none. */
  readonly tarBytes: number | undefined;
}

/** DUCC's record is under 400 bytes. */
const MAX_LAYER_RECORD = 64 * 1024;
/** An entry has about 200 bytes, and no image has 500 layers. */
export const MAX_THIN_BYTES = MiB;
/** Room for the names of a million whiteouts and directories, far more than any image has. */
export const MAX_OVERLAY_RECORD = 64 * MiB;

/** @throws CVMFS_BAD_RECORD */
export function parseLayerRecord(text: string, path: string): LayerRecord {
  const [raw] = checked<readonly RawLayer[]>(Buffer.from(text), MAX_LAYER_RECORD, isDuccLayers, path);
  if (raw === undefined) throw bad(path, 'it names no layer');
  return {
    digest: digestIn(raw['compressed-diff-digest'], path),
    diffId: parseDiffId(digestIn(raw['diff-digest'], path)),
    tarBytes: raw['diff-size'],
  };
}
interface RawLayer {
  readonly 'compressed-diff-digest': string;
  readonly 'diff-digest': string;
  readonly 'diff-size'?: number;
}

/**
 * Writes the record exactly as DUCC does: Go's json.MarshalIndent with one blank, an array of one object. The empty
 * layer of an image has a size of zero, which Go's `omitempty` would drop; DUCC's field has no `omitempty`.
 */
export function formatLayerRecord(
  record: LayerRecord & { readonly tarBytes: number },
  created: string,
): string {
  const entry = {
    id: hexOf(record.diffId),
    created,
    'compressed-diff-digest': record.digest,
    'diff-digest': record.diffId,
    'diff-size': record.tarBytes,
  };
  return JSON.stringify([entry], undefined, 1);
}

/** `.metadata/origin.json`: the image configurations whose conversion used the layer. */
export function formatOrigin(configs: readonly Digest[]): string {
  return JSON.stringify({ origin: configs });
}

/** The configurations in a layer's `origin.json`. The record decides nothing, so a damaged one counts as empty. */
export function parseOrigin(bytes: Uint8Array | undefined): Digest[] {
  if (bytes === undefined) return [];
  try {
    const { origin } = (parseJson(bytes, MAX_LAYER_RECORD * 16) ?? {}) as { readonly origin?: unknown };
    return Array.isArray(origin) ? origin.filter((text) => typeof text === 'string').map(parseDigest) : [];
  } catch (error) {
    if (error instanceof JsonRefused || isPluginError(error, 'BAD_DIGEST')) return [];
    throw error;
  }
}

/** The keys of a manifest as the specification writes them. Go readers ignore case, and DUCC writes CamelCase. */
const MANIFEST_KEYS = new Map(
  [
    'schemaVersion',
    'mediaType',
    'config',
    'layers',
    'manifests',
    'fsLayers',
    'digest',
    'size',
    'urls',
    'annotations',
    'artifactType',
  ].map((key) => [key.toLowerCase(), key]),
);

/**
 * Parses `manifest.json` of an image in `.metadata`. DUCC decodes the registry's manifest and encodes its own struct,
 * so the bytes are others, and no digest can be compared.
 * @throws CVMFS_BAD_RECORD for bytes that are no JSON, IMAGE_BAD_MANIFEST and others for JSON that is no manifest
 */
export function parseDuccManifest(bytes: Uint8Array, path: string): ImageManifest {
  const document = json(bytes, MAX_MANIFEST_BYTES, path);
  const manifest = parseManifest(Buffer.from(JSON.stringify(folded(document, path))), undefined, path);
  if (manifest.kind !== 'image') throw bad(path, 'it is an index, not the manifest of an image');
  return manifest;
}

function folded(value: unknown, path: string): unknown {
  if (Array.isArray(value)) return value.map((item) => folded(item, path));
  if (typeof value !== 'object' || value === null) return value;
  const result: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const name = MANIFEST_KEYS.get(key.toLowerCase()) ?? key;
    if (Object.hasOwn(result, name)) throw bad(path, `it has the key "${printable(name)}" twice`);
    result[name] = name === 'annotations' ? item : folded(item, path);
  }
  return result;
}

/** The manifest as DUCC keeps it: Go's encoding of a struct without tags, without annotations and urls. */
export function formatDuccManifest(manifest: ImageManifest): string {
  const descriptor = ({ mediaType, size, digest }: ImageManifest['config']) => ({
    MediaType: mediaType,
    Size: size,
    Digest: digest,
  });
  return JSON.stringify({
    SchemaVersion: 2,
    MediaType: manifest.mediaType,
    Config: descriptor(manifest.config),
    Layers: manifest.layers.map(descriptor),
  });
}

/** A thin image: a registry image whose layers lie in a repository. */
export interface ThinImage {
  /** URL of the image that was made thin, as its publisher wrote it. */
  readonly origin: string | undefined;
  /** Bottom first: all publishers use this order since October 2017. */
  readonly layers: readonly { readonly digest: Digest | undefined; readonly url: string }[];
}

/** @throws CVMFS_BAD_RECORD */
export function parseThinImage(bytes: Uint8Array, path: string): ThinImage {
  const raw = checked<RawThin>(bytes, MAX_THIN_BYTES, isThinImage, path);
  return {
    origin: raw.origin === '' ? undefined : raw.origin,
    layers: raw.layers.map(({ digest, url }) => ({ digest: thinDigest(digest, path), url })),
  };
}
interface RawThin {
  readonly origin?: string;
  readonly layers: readonly { readonly digest?: string; readonly url: string }[];
}

/** A digest of a thin image has no algorithm before it. */
function thinDigest(text: string | undefined, path: string): Digest | undefined {
  if (text === undefined || text === '') return undefined;
  return digestIn(text.startsWith('sha256:') ? text : `sha256:${text}`, path);
}

/** Writes `thin.json` as DUCC does: two blanks, layers bottom first. */
export function formatThinImage(origin: string, layers: readonly { digest: Digest; url: string }[]): string {
  const entries = layers.map(({ digest, url }) => ({ digest: hexOf(digest), url }));
  return JSON.stringify({ version: '1.0', origin, layers: entries }, undefined, 2);
}

/**
 * The content of `.metadata/overlay.json`, a record of graft's own beside a companion: facts that only the publisher
 * knows exactly. Names have one character for each byte.
 */
export interface OverlayRecord {
  readonly layer: Digest;
  readonly opaque: readonly string[];
  /** Implied directories, as the walk of the layer would find them. */
  readonly implied: readonly ImpliedRecord[];
  /**
   * Directories among `implied`, and the root, that have entries of their own which the publishing tool ignored.
   * Undefined in a record without this field, which then does not vouch for `implied`.
   */
  readonly late: readonly string[] | undefined;
  /** True when the publisher states that the owners are the image's. */
  readonly ownersKept: boolean;
  readonly explicitRoot: boolean;
  /** Paths that a container must not see. */
  readonly hidden: readonly string[];
  readonly fileBytes: number | undefined;
  readonly entries: number | undefined;
}

export interface ImpliedRecord {
  readonly path: string;
  readonly sec: number;
  readonly nsec: number;
  /** True when lower layers have no influence on the directory, since this layer deletes it there. */
  readonly own: boolean;
  /** True for a hollow directory. */
  readonly hollow: boolean;
}

/** @throws CVMFS_BAD_RECORD */
export function parseOverlayRecord(bytes: Uint8Array, path: string): OverlayRecord {
  const raw = checked<RawOverlay>(bytes, MAX_OVERLAY_RECORD, isOverlayRecord, path);
  const implied = raw.implied.map((one) => one.path);
  for (const name of [...raw.opaque, ...implied, ...(raw.late ?? []), ...raw.hidden])
    requireInside(name, path);
  return {
    layer: digestIn(raw.layer, path),
    opaque: raw.opaque,
    implied: raw.implied,
    late: raw.late,
    ownersKept: raw.owners_kept ?? false,
    explicitRoot: raw.explicit_root,
    hidden: raw.hidden,
    fileBytes: raw.file_bytes,
    entries: raw.entries,
  };
}
interface RawOverlay {
  readonly layer: string;
  readonly opaque: readonly string[];
  readonly implied: readonly ImpliedRecord[];
  readonly late?: readonly string[];
  readonly owners_kept?: boolean;
  readonly explicit_root: boolean;
  readonly hidden: readonly string[];
  readonly file_bytes?: number;
  readonly entries?: number;
}

export function formatOverlayRecord(record: OverlayRecord): string {
  return JSON.stringify({
    version: 1,
    layer: record.layer,
    opaque: record.opaque,
    implied: record.implied,
    late: record.late,
    owners_kept: record.ownersKept,
    explicit_root: record.explicitRoot,
    hidden: record.hidden,
    file_bytes: record.fileBytes,
    entries: record.entries,
  });
}

/** Refuses a name that leads out of the layer, since root writes a directory under it. */
function requireInside(name: string, path: string): void {
  const parts = name.split('/');
  const outside = name !== '' && parts.some((part) => part === '' || part === '.' || part === '..');
  if (outside || /[^\x01-\xff]/.test(name))
    throw bad(path, `the name "${printable(name)}" is no name in a layer`);
}

function checked<T>(bytes: Uint8Array, limit: number, validator: Validator, path: string): T {
  const document = json(bytes, limit, path);
  if (!validator(document)) throw bad(path, describeSchemaError(validator));
  return document as T;
}

function json(bytes: Uint8Array, limit: number, path: string): unknown {
  try {
    return parseJson(bytes, limit);
  } catch (error) {
    if (error instanceof JsonRefused) throw bad(path, error.message);
    throw error;
  }
}

function digestIn(text: string, path: string): Digest {
  try {
    return parseDigest(text);
  } catch {
    throw bad(path, `"${printable(text)}" is not sha256: and 64 lower-case hex digits`);
  }
}

function bad(path: string, reason: string): PluginError {
  return new PluginError('CVMFS_BAD_RECORD', { path, reason });
}
