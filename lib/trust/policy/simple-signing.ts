/** The document of a simple signature (containers-signature(5)). A stranger wrote it until its signature is verified. */
import { type Digest, parseDigest } from '../../base/digest.ts';
import { isPluginError } from '../../base/errors/error.ts';
import { KiB } from '../../base/limits.ts';
import { printable } from '../../base/text.ts';
import { JsonRefused, parseJson } from '../../oci/json.ts';
import type { Refusal } from './verdict.ts';

/** `atomic container signature` is GPG's, the other one cosign's. */
export type SimpleSigningType = 'atomic container signature' | 'cosign container image signature';

export interface SimpleSigning {
  readonly digest: Digest;
  /** As it is written. */
  readonly reference: string;
}

/** Real documents have 400 bytes; annotations of a signer are in `optional`. */
const MAX_SIMPLE_SIGNING = 64 * KiB;

type Fields = Readonly<Record<string, unknown>>;

class Malformed extends Error {}

/** Reads a document whole and strictly: each member exactly once and of its type, and no other ones in `critical`. */
export function readSimpleSigning(bytes: Uint8Array, type: SimpleSigningType): SimpleSigning | Refusal {
  try {
    return read(parseJson(bytes, MAX_SIMPLE_SIGNING), type);
  } catch (error) {
    if (!(error instanceof JsonRefused || error instanceof Malformed)) throw error;
    return { code: 'malformed', detail: `its payload is wrong: ${error.message}` };
  }
}

function read(value: unknown, type: SimpleSigningType): SimpleSigning {
  const { critical, optional } = exactly(value, 'the document', ['critical', 'optional']);
  checkOptional(optional, type);
  const members = exactly(critical, 'critical', ['type', 'image', 'identity']);
  if (text(members['type'], 'critical.type') !== type)
    throw new Malformed(`its type is '${printable(String(members['type']))}'`);
  const image = exactly(members['image'], 'critical.image', ['docker-manifest-digest']);
  const identity = exactly(members['identity'], 'critical.identity', ['docker-reference']);
  return {
    digest: digestIn(text(image['docker-manifest-digest'], 'docker-manifest-digest')),
    reference: text(identity['docker-reference'], 'docker-reference'),
  };
}

/** cosign writes `null` where a signer gave no annotations. */
function checkOptional(value: unknown, type: SimpleSigningType): void {
  if (value === null && type === 'cosign container image signature') return;
  const { creator, timestamp } = object(value, 'optional');
  if (creator !== undefined) text(creator, 'optional.creator');
  if (timestamp !== undefined && !Number.isSafeInteger(timestamp))
    throw new Malformed('optional.timestamp is not a whole number');
}

function exactly(value: unknown, where: string, members: readonly string[]): Fields {
  const fields = object(value, where);
  const names = Object.keys(fields);
  const wrong = names.find((name) => !members.includes(name));
  if (wrong !== undefined) throw new Malformed(`${where} has a member '${printable(wrong)}'`);
  const missing = members.find((name) => !names.includes(name));
  if (missing !== undefined) throw new Malformed(`${where} has no ${missing}`);
  return fields;
}

function object(value: unknown, where: string): Fields {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Fields;
  throw new Malformed(`${where} is not an object`);
}

function text(value: unknown, where: string): string {
  if (typeof value === 'string') return value;
  throw new Malformed(`${where} is not a text`);
}

function digestIn(value: string): Digest {
  try {
    return parseDigest(value);
  } catch (error) {
    if (isPluginError(error, 'BAD_DIGEST')) throw new Malformed(`its digest is '${printable(value)}'`);
    throw error;
  }
}
