import { type Digest, digestOf } from '../base/digest.ts';

/** The keys of a signed manifest that are read here. Each may be missing or of another type. */
interface Signed {
  readonly schemaVersion?: unknown;
  readonly signatures?: readonly { readonly protected?: unknown }[] | null;
}

interface Protected {
  readonly formatLength?: unknown;
  readonly formatTail?: unknown;
}

/**
 * True when the bytes are a signed manifest of schema 1 with this digest. The digest is of the signed payload: the manifest
 * without its signatures, whose position the protected header of each signature gives (distribution, manifest-v2-1). graft
 * refuses schema 1 in any case; this tells an old image from bytes that a server has changed.
 */
export function isSignedSchema1(bytes: Uint8Array, digest: Digest): boolean {
  const document = parse(bytes) as Signed | undefined;
  if (document?.schemaVersion !== 1 || !Array.isArray(document.signatures)) return false;
  const header: unknown = document.signatures[0]?.protected;
  const signed =
    typeof header === 'string' ? (parse(Buffer.from(header, 'base64url')) as Protected) : undefined;
  const { formatLength, formatTail } = signed ?? {};
  if (typeof formatLength !== 'number' || typeof formatTail !== 'string') return false;
  if (!Number.isInteger(formatLength) || formatLength < 0 || formatLength > bytes.length) return false;
  const payload = Buffer.concat([bytes.subarray(0, formatLength), Buffer.from(formatTail, 'base64url')]);
  return digestOf(payload) === digest;
}

/** The parsed object; undefined for other values and for broken JSON. */
function parse(bytes: Uint8Array): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
