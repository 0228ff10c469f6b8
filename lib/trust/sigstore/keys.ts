/** Public keys, and signatures made with them. */
import { constants, createPublicKey, type KeyObject, verify } from 'node:crypto';
import { Refused } from './refused.ts';

/** The smallest RSA key that NIST and the Sigstore registry of algorithms allow, and the largest that costs no time. */
const MIN_RSA_BITS = 2048;
const MAX_RSA_BITS = 8192;

/** The digest that belongs to a curve in Sigstore's registry of algorithms (PublicKeyDetails). */
const CURVES: Readonly<Record<string, string>> = {
  prime256v1: 'sha256',
  secp384r1: 'sha384',
  secp521r1: 'sha512',
};

/** A public key with its encoding (SubjectPublicKeyInfo), by which keys are compared. */
export interface PublicKey {
  readonly object: KeyObject;
  readonly der: Uint8Array;
}

/** The key of a SubjectPublicKeyInfo in DER. @throws Refused (unsupported) */
export function publicKeyOf(der: Uint8Array): PublicKey {
  let object: KeyObject;
  try {
    object = createPublicKey({ key: Buffer.from(der), format: 'der', type: 'spki' });
  } catch {
    throw new Refused(
      'unsupported',
      'its key cannot be read, or is of another type than ECDSA, RSA or Ed25519',
    );
  }
  requireKnown(object);
  // OpenSSL ignores bytes behind the key, and has one form for what others write in two.
  if (!object.export({ format: 'der', type: 'spki' }).equals(der))
    throw new Refused('malformed', 'its key is not in the form that keys have');
  return { object, der };
}

/** @throws Refused (unsupported) for other types, curves and sizes than those that count */
function requireKnown({ asymmetricKeyType: type, asymmetricKeyDetails: details }: KeyObject): void {
  switch (type) {
    case 'ed25519':
      return;
    case 'ec':
      if (CURVES[details?.namedCurve ?? ''] !== undefined) return;
      throw new Refused('unsupported', 'its key is on another curve than P-256, P-384 and P-521');
    case 'rsa': {
      const bits = details?.modulusLength ?? 0;
      if (bits >= MIN_RSA_BITS && bits <= MAX_RSA_BITS) return;
      throw new Refused(
        'unsupported',
        `its RSA key has ${bits} bits; ${MIN_RSA_BITS} to ${MAX_RSA_BITS} count`,
      );
    }
    default:
      throw new Refused('unsupported', 'its key is of another type than ECDSA, RSA or Ed25519');
  }
}

/**
 * The rules for signatures. The old scheme has one algorithm for a type of key: SHA-256, and PKCS #1 v1.5 for RSA. A bundle
 * may have the digest of the key's curve, and RSA-PSS. In both an Ed25519 key signs the bytes themselves.
 */
export type Scheme = 'simple' | 'bundle';

export function isSignedBy(key: PublicKey, data: Uint8Array, signature: Uint8Array, scheme: Scheme): boolean {
  const { asymmetricKeyType: type, asymmetricKeyDetails: details } = key.object;
  if (type === 'ed25519') return holds(null, data, key.object, signature);
  if (holds('sha256', data, key.object, signature)) return true;
  if (scheme === 'simple') return false;
  if (type === 'rsa') return holdsAsPss(data, key.object, signature);
  const digest = CURVES[details?.namedCurve ?? ''];
  return digest !== undefined && digest !== 'sha256' && holds(digest, data, key.object, signature);
}

/** A signature by a key with a given digest. */
export function holds(
  digest: string | null,
  data: Uint8Array,
  key: KeyObject,
  signature: Uint8Array,
): boolean {
  try {
    return verify(digest, data, key, signature);
  } catch {
    // The library throws for some signatures that have no form at all.
    return false;
  }
}

function holdsAsPss(data: Uint8Array, key: KeyObject, signature: Uint8Array): boolean {
  const rules = {
    key,
    padding: constants.RSA_PKCS1_PSS_PADDING,
    saltLength: constants.RSA_PSS_SALTLEN_DIGEST,
  };
  try {
    return verify('sha256', data, rules, signature);
  } catch {
    return false;
  }
}
