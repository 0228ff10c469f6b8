/** Judges one OpenPGP message against a requirement signedBy. */
import { KiB } from '../../base/limits.ts';
import { printable } from '../../base/text.ts';
import { judgeReference } from '../policy/identity.ts';
import type { SignedBy } from '../policy/requirement.ts';
import { readSimpleSigning } from '../policy/simple-signing.ts';
import type { Refusal, RefusalCode, Signable, SignatureVerdict } from '../policy/verdict.ts';
import { runGpgv, TooMuch, type Verified } from './gpgv.ts';

export interface GpgKeys {
  /** Paths of the requirement's keyrings, without armour. */
  readonly paths: readonly string[];
  /** Milliseconds since 1970 at which some key of them may end. */
  readonly ends: readonly number[];
}

/** Real payloads have 300 bytes. */
const MAX_PAYLOAD = 64 * KiB;

/** @throws TRUST_GPGV */
export async function verifyGpg(
  requirement: SignedBy,
  message: Uint8Array,
  image: Signable,
  keys: GpgKeys,
  { path, now }: { readonly path: string; readonly now: number },
  signal: AbortSignal,
): Promise<SignatureVerdict> {
  let found: Verified;
  try {
    found = await runGpgv(message, keys.paths, { path, maxPayload: MAX_PAYLOAD }, signal);
  } catch (error) {
    if (error instanceof TooMuch) return refused('malformed', 'it holds too much');
    throw error;
  }
  const signer = signerOf(found);
  if ('code' in signer) return { ok: false, refusal: signer };
  const signed = readSimpleSigning(found.payload, 'atomic container signature');
  if ('code' in signed) return { ok: false, refusal: signed };
  if (signed.digest !== image.digest) return refused('other-digest', `it is for ${signed.digest}`);
  const other = judgeReference(requirement.signedIdentity, image, signed.reference);
  if (other !== undefined) return { ok: false, refusal: other };
  const ends = [...keys.ends, ...(signer.until === undefined ? [] : [signer.until])].filter(
    (end) => end > now,
  );
  const until = ends.length === 0 ? undefined : Math.min(...ends);
  return { ok: true, until, by: `GPG key ${signer.fingerprint}` };
}

function refused(code: RefusalCode, detail: string): SignatureVerdict {
  return { ok: false, refusal: { code, detail } };
}

interface Signer {
  /** Of the primary key. */
  readonly fingerprint: string;
  /** At which the signature expires. */
  readonly until: number | undefined;
}

/** The meanings of those lines of gpgv that are no good signature (GnuPG, doc/DETAILS). */
const BAD: readonly (readonly [string, RefusalCode, string])[] = [
  ['REVKEYSIG', 'key-revoked', 'its key was revoked'],
  ['EXPKEYSIG', 'key-expired', 'its key has expired'],
  ['EXPSIG', 'signature-expired', 'it has expired'],
  ['BADSIG', 'bad-signature', 'it does not fit its content'],
  ['NO_PUBKEY', 'unknown-key', 'it is made with a key that the policy does not have'],
  ['ERRSIG', 'bad-signature', 'gpgv cannot check it'],
  ['FAILURE', 'malformed', 'gpgv cannot read it'],
];

/** Exactly one message with exactly one signature over all of its content: else part of the content would be unsigned. */
export function signerOf({ status, code }: Pick<Verified, 'status' | 'code'>): Signer | Refusal {
  const lines = (word: string) => status.filter((line) => line.split(' ', 1)[0] === word);
  for (const [word, refusal, detail] of BAD) {
    const [line] = lines(word);
    if (line === undefined) continue;
    const key = /^[0-9A-F]{16,}$/.exec(line.split(' ')[1] ?? '')?.[0];
    return { code: refusal, detail: key === undefined ? detail : `${detail} (${key})` };
  }
  const counts = ['PLAINTEXT', 'NEWSIG', 'GOODSIG', 'VALIDSIG'].map((word) => lines(word).length);
  const [valid] = lines('VALIDSIG');
  if (valid === undefined || code !== 0 || counts.some((count) => count !== 1))
    return { code: 'malformed', detail: 'it is not one signed message' };
  const words = valid.split(' ');
  const [fingerprint = '', , , expires = '0'] = words.slice(1);
  const [signatureClass, primary = fingerprint] = words.slice(9);
  if (signatureClass !== '00' && signatureClass !== '01')
    return { code: 'malformed', detail: `it is a signature of class ${printable(signatureClass ?? '')}` };
  return { fingerprint: primary, until: timeOf(expires) };
}

/** gpgv writes seconds, or a date as ISO 8601 has it; `0`: never. */
function timeOf(text: string): number | undefined {
  if (text === '0') return undefined;
  const iso = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)$/.exec(text);
  if (iso === null) return Number(text) * 1000;
  return Date.parse(text.replace(iso[0], `${iso[1]}-${iso[2]}-${iso[3]}T${iso[4]}:${iso[5]}:${iso[6]}Z`));
}
