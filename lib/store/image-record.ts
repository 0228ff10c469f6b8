import { PluginError } from '../base/errors/error.ts';
import { bytesOfText } from '../sys/utf8.ts';

/** Where a layer of an image came from, for `list --json` and for operators. */
export interface LayerProvenance {
  /** Key of the layer in the store, or the path of a lower directory that is not ours (CVMFS). */
  readonly layer: string;
  readonly diffId: string | undefined;
  readonly digest: string | undefined;
  readonly source: 'store' | 'registry' | 'oci' | 'tar' | 'cvmfs';
  /** Why it came from there, where that was a choice. */
  readonly reason?: string;
  /** CVMFS: repository, revision and root hash at the time. */
  readonly cvmfs?: { readonly repository: string; readonly revision: string; readonly rootHash: string };
}

/** `meta/images/<id>`: written when the image is complete; what `clean` reads to know which layers are in use. */
export interface ImageRecord {
  /** The reference it was made from, without credentials. */
  readonly image: string;
  readonly manifestDigest: string | undefined;
  readonly created: string;
  /** Layer and stack keys in use, as a lease names them. */
  readonly uses: readonly string[];
  /** Lower directories, topmost first: names below volumes/, or absolute paths that are not ours. */
  readonly lowers: readonly string[];
  /** As in the plan (stacks.ts). */
  readonly idmapRoots?: readonly string[] | undefined;
  readonly mounted: boolean;
  readonly layers: readonly LayerProvenance[];
}

export function encodeImageRecord(record: ImageRecord): Uint8Array {
  return bytesOfText(`${JSON.stringify({ version: 1, ...record })}\n`);
}

/** @throws STORE_DAMAGED */
export function decodeImageRecord(text: string, path: string): ImageRecord {
  const damaged = (reason: string) => new PluginError('STORE_DAMAGED', { path, reason });
  let raw: Partial<ImageRecord> & { version?: unknown };
  try {
    raw = JSON.parse(text) as typeof raw;
  } catch {
    throw damaged('it is not JSON');
  }
  if (raw.version !== 1) throw damaged(`its version is ${String(raw.version)}`);
  if (!isStrings(raw.uses) || !isStrings(raw.lowers) || !Array.isArray(raw.layers))
    throw damaged('fields are missing');
  return raw as ImageRecord;
}

function isStrings(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}
