/** The keys and certificates of a requirement, parsed once. */
import type { Material, SigstoreSigned } from '../policy/requirement.ts';
import { type Certificate, certificatesOf } from './certificate.ts';
import { type PublicKey, publicKeyOf } from './keys.ts';
import { blocksInFile } from './pem.ts';
import { Refused } from './refused.ts';

export interface TrustedKey extends PublicKey {
  /** The file of the key, or the policy's key with the data. */
  readonly from: string;
}

export interface Trusted {
  /** Empty where certificates are demanded. */
  readonly keys: readonly TrustedKey[];
  readonly roots: readonly Certificate[];
  readonly intermediates: readonly Certificate[];
  /** Keys of transparency logs. */
  readonly logs: readonly PublicKey[];
}

/** Requirements live as long as the policy, and are asked for each signature of an image. */
const known = new WeakMap<SigstoreSigned, Trusted>();

/** @throws Refused when a key or a certificate cannot be used */
export function trustedBy(requirement: SigstoreSigned): Trusted {
  const found = known.get(requirement);
  if (found !== undefined) return found;
  const trusted = read(requirement);
  known.set(requirement, trusted);
  return trusted;
}

/** Why a key or a certificate of a requirement cannot be used; undefined when all of them can. */
export function whyUnusable(requirement: SigstoreSigned): string | undefined {
  try {
    trustedBy(requirement);
    return undefined;
  } catch (error) {
    if (error instanceof Refused) return error.refusal.detail;
    throw error;
  }
}

function read({ trusted, rekor }: SigstoreSigned): Trusted {
  const logs = rekor.map(logKey);
  const none = { keys: [], roots: [], intermediates: [], logs };
  switch (trusted.kind) {
    case 'keys':
      return { ...none, keys: trusted.keys.map((material) => ({ ...keyIn(material), from: material.from })) };
    case 'fulcio':
      return { ...none, roots: certificatesIn(trusted.ca) };
    case 'pki': {
      const { roots, intermediates, subjectHostname } = trusted;
      if (subjectHostname !== undefined && !/[a-z]/i.test(subjectHostname.split('.').at(-1) ?? ''))
        throw new Refused('unsupported', 'the subjectHostname of pki must be a host name, not an address');
      return {
        ...none,
        roots: certificatesIn(roots),
        intermediates: intermediates === undefined ? [] : certificatesIn(intermediates),
      };
    }
  }
}

/** Names the material in the reason for which it cannot be used. */
function named<T>({ from }: Material, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof Refused) throw new Refused(error.refusal.code, `${from}: ${error.refusal.detail}`);
    throw error;
  }
}

function keyIn(material: Material): PublicKey {
  return named(material, () => {
    const [block, ...more] = blocksInFile(material.bytes);
    if (block === undefined || more.length > 0)
      throw new Refused('malformed', 'it has more than one PEM block');
    if (block.label !== 'PUBLIC KEY')
      throw new Refused('unsupported', `it has a PEM block ${block.label}, not a PUBLIC KEY`);
    return publicKeyOf(block.der);
  });
}

/** containers-policy.json(5): keys of logs are ECDSA. An Ed25519 log (Rekor version 2) has other entries and no times. */
function logKey(material: Material): PublicKey {
  const key = keyIn(material);
  if (key.object.asymmetricKeyType === 'ec') return key;
  throw new Refused('unsupported', `${material.from}: the key of a transparency log must be an ECDSA key`);
}

function certificatesIn(material: Material): Certificate[] {
  return named(material, () => certificatesOf(blocksInFile(material.bytes)));
}
