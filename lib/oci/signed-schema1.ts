import { type Digest, digestOf } from '../base/digest.ts';

/** The members that are used here, of anything that parses. */
interface Signed {
  readonly schemaVersion?: unknown;
  readonly signatures?: readonly { readonly protected?: unknown }[] | null;
}

interface Protected {
  readonly formatLength?: unknown;
  readonly formatTail?: unknown;
}

/**
 * Whether the bytes are a signed manifest of schema 1 with this digest. Such a manifest is named by what was signed:
 * itself without its signatures, whose place the protected header of each gives (distribution, manifest-v2-1). Schema 1
 * is refused in any case; the question is only whether somebody has changed what he sends.
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

/** An object, or undefined for everything else. */
function parse(bytes: Uint8Array): object | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(bytes).toString('utf8'));
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
