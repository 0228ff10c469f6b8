import { PluginError } from '../../base/errors/error.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { isLower, type Lower } from '../layout/layer-key.ts';
import { isCount, isOptional, isRecord, isStrings, isText, parseOwn } from '../layout/own-json.ts';

/** The origin of a layer of an image, for `list --json` and for operators. */
export interface LayerProvenance {
  /** The key of the layer in the store, or the path of a lower directory outside the store (CVMFS). */
  readonly layer: string;
  readonly diffId: string | undefined;
  readonly digest: string | undefined;
  readonly source: 'store' | 'registry' | 'oci' | 'archive' | 'tar' | 'cvmfs';
  /** Why this source was chosen, where there was a choice. */
  readonly reason?: string;
  /** For a layer on CVMFS: the repository, with its revision and root hash when the image was made. */
  readonly cvmfs?: { readonly repository: string; readonly revision: string; readonly rootHash: string };
}

/** Why an image may run, where there is a policy for signatures (lib/trust). */
export interface TrustRecord {
  /** The path of the policy. */
  readonly policy: string;
  /** The digest of the policy, of the settings for places of signatures and of all keys, in hex. */
  readonly configuration: string;
  /** Where in the policy the requirements are: `docker registry.example/team`, `default`. */
  readonly scope: string;
  /** A line for each requirement: which it is, and by whose signature it holds. */
  readonly accepted: readonly string[];
  /** The digests that are signed: the image's manifest, or an index that names it. Absent where no signature was demanded. */
  readonly signed?: readonly string[];
  /** Milliseconds since 1970 from which on the verdict does not count any more. */
  readonly until?: number;
  /** Set only for `inspect`: the policy refuses the image, and why. Never on the disk. */
  readonly refused?: { readonly demanded: string | undefined; readonly found: string };
}

export function isTrustRecord(value: unknown): value is TrustRecord {
  return (
    isRecord(value) &&
    [value['policy'], value['configuration'], value['scope']].every(isText) &&
    isStrings(value['accepted']) &&
    isOptional(value['signed'], isStrings) &&
    isOptional(value['until'], isCount) &&
    value['refused'] === undefined
  );
}

/**
 * The record `meta/images/<id>`: written when the image is complete. A `clean` reads it to learn which layers are in
 * use.
 */
export interface ImageRecord {
  /** The reference that the image was made from, without credentials. */
  readonly image: string;
  readonly manifestDigest: string | undefined;
  /** The outermost index that the image was chosen from. */
  readonly index?: string | undefined;
  /** `linux/amd64`, as the configuration says; absent for a tar. */
  readonly platform?: string | undefined;
  /** The claims of the manifest about its origin (lib/oci/origin-annotations.ts). */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  /** The limits that were asked for; absent without any. */
  readonly limits?: RecordedLimits | undefined;
  readonly created: string;
  /** Keys of the layers and stacks in use, written as in a lease. */
  readonly uses: readonly string[];
  /** Lower directories, topmost first: names below volumes/, or absolute paths outside the store. */
  readonly lowers: readonly Lower[];
  /** The same as in the plan (stacks.ts). */
  readonly idmapRoots?: readonly string[] | undefined;
  readonly mounted: boolean;
  /** A delete has begun and could not end: some of the container is left, and nothing but deleting helps. */
  readonly deleting?: boolean | undefined;
  readonly trust?: TrustRecord | undefined;
  /** The registry could not answer, and the image is the one that it gave at this time. */
  readonly lastKnown?: { readonly resolved: string } | undefined;
  readonly layers: readonly LayerProvenance[];
}

function isLastKnown(value: unknown): value is { resolved: string } {
  return isRecord(value) && isText(value['resolved']);
}

interface RecordedLimits {
  /** 0: bytes are not limited. */
  readonly bytes: number;
  /** False: the layers count too. */
  readonly exclusive: boolean;
  readonly inodes?: number | undefined;
}

/**
 * Fields are only added to version 1, and each that was added may be missing: records of earlier versions of graft stay
 * readable, and earlier versions read these.
 */
export function encodeImageRecord(record: ImageRecord): Uint8Array {
  return bytesOfText(`${JSON.stringify({ version: 1, ...record })}\n`);
}

/** @throws STORE_DAMAGED */
export function decodeImageRecord(text: string, path: string): ImageRecord {
  const damaged = (reason: string) => new PluginError('STORE_DAMAGED', { path, reason });
  const raw = parseOwn(text);
  if (raw === undefined) throw damaged('it is not JSON');
  if (!isRecord(raw)) throw damaged('it is not an object');
  if (raw['version'] !== 1) throw damaged('its version is not 1');
  const whole =
    isText(raw['image']) &&
    isOptional(raw['manifestDigest'], isText) &&
    isText(raw['created']) &&
    [raw['index'], raw['platform']].every((text) => isOptional(text, isText)) &&
    isOptional(raw['annotations'], isTexts) &&
    isOptional(raw['limits'], isLimits) &&
    isStrings(raw['uses']) &&
    isLowers(raw['lowers']) &&
    isOptional(raw['idmapRoots'], isStrings) &&
    typeof raw['mounted'] === 'boolean' &&
    isOptional(raw['deleting'], isFlag) &&
    isOptional(raw['trust'], isTrustRecord) &&
    isOptional(raw['lastKnown'], isLastKnown) &&
    Array.isArray(raw['layers']) &&
    raw['layers'].every(isProvenance);
  if (!whole) throw damaged('fields are missing');
  return raw as unknown as ImageRecord;
}

export function isTexts(value: unknown): value is Readonly<Record<string, string>> {
  return isRecord(value) && Object.values(value).every(isText);
}

function isLimits(value: unknown): value is RecordedLimits {
  return (
    isRecord(value) &&
    isCount(value['bytes']) &&
    isOptional(value['inodes'], isCount) &&
    typeof value['exclusive'] === 'boolean'
  );
}

function isFlag(value: unknown): value is boolean {
  return typeof value === 'boolean';
}

function isLowers(value: unknown): boolean {
  return Array.isArray(value) && value.every(isLower);
}

function isProvenance(value: unknown): boolean {
  return (
    isRecord(value) &&
    isText(value['layer']) &&
    isText(value['source']) &&
    [value['diffId'], value['digest'], value['reason']].every((text) => isOptional(text, isText)) &&
    isOptional(value['cvmfs'], isRecord)
  );
}
