/**
 * The way from a signer's certificate to a trusted authority (RFC 5280, 6). Stricter than Go's verifier, which skopeo uses:
 * constraints of names are refused instead of applied, the signer's key must be for signatures where its use is limited,
 * and the signer must not be an authority.
 */
import { type Certificate, isIssuedBy, same } from './certificate.ts';
import { KeyUse } from './extensions.ts';
import { Refused } from './refused.ts';

export interface Authorities {
  readonly roots: readonly Certificate[];
  /** Certificates that may lie between, the operator's and the stranger's. */
  readonly between: readonly Certificate[];
}

const CODE_SIGNING = '1.3.6.1.5.5.7.3.3';
const ANY_PURPOSE = '2.5.29.37.0';

/** Fulcio has two authorities, companies up to four. */
const MAX_AUTHORITIES = 6;
/** Certificates of one name can be arranged in many ways, and each step of one costs a check of a signature. */
const MAX_CHECKS = 64;

/**
 * Checks that a signer's certificate is good for signing code at a moment, and leads to a trusted authority.
 * @param at milliseconds since 1970
 * @returns the end of the certificate that expires first, in milliseconds since 1970
 * @throws Refused (untrusted-chain, certificate-expired, unsupported)
 */
export function trustedUntil(leaf: Certificate, authorities: Authorities, at: number): number {
  requireValid(leaf, at);
  requireKnown(leaf);
  if (!isForCode(leaf)) throw new Refused('untrusted-chain', 'its certificate is not for code signing');
  if (leaf.keyUse !== undefined && (leaf.keyUse & KeyUse.signature) === 0)
    throw new Refused('untrusted-chain', 'the key of its certificate is not for signatures');
  if (authorities.roots.some((root) => same(root.der, leaf.der))) return leaf.notAfter;
  if (leaf.authority !== undefined)
    throw new Refused('untrusted-chain', 'its certificate is that of an authority, not of a signer');
  return new Search(authorities, at).from(leaf);
}

/** Looks for a way upwards, depth first. */
class Search {
  readonly #authorities: Authorities;
  readonly #at: number;
  #checks = 0;
  /** Why the first authority with the right name was not taken. */
  #reason: Refused | undefined;

  constructor(authorities: Authorities, at: number) {
    this.#authorities = authorities;
    this.#at = at;
  }

  from(leaf: Certificate): number {
    const until = this.#above([leaf], leaf);
    if (until !== undefined) return until;
    throw this.#reason ?? new Refused('untrusted-chain', 'no trusted authority has issued its certificate');
  }

  /** The end of the chain that expires first; undefined: no way leads up from its last certificate. */
  #above(chain: readonly Certificate[], last: Certificate): number | undefined {
    const { roots, between } = this.#authorities;
    const root = roots.find((one) => this.#mayIssue(one, chain, last));
    if (root !== undefined) return Math.min(root.notAfter, ...chain.map(({ notAfter }) => notAfter));
    if (chain.length === MAX_AUTHORITIES) return undefined;
    for (const authority of between) {
      if (chain.some((one) => same(one.der, authority.der)) || !this.#mayIssue(authority, chain, last))
        continue;
      const until = this.#above([...chain, authority], authority);
      if (until !== undefined) return until;
    }
    return undefined;
  }

  #mayIssue(authority: Certificate, chain: readonly Certificate[], last: Certificate): boolean {
    if (!same(authority.subjectName, last.issuerName)) return false;
    try {
      requireValid(authority, this.#at);
      requireKnown(authority);
      requireAuthority(authority, chain.length - 1);
      this.#checks += 1;
      if (this.#checks > MAX_CHECKS)
        throw new Refused('untrusted-chain', 'its certificates form too many chains');
      if (isIssuedBy(last, authority)) return true;
      throw new Refused('untrusted-chain', 'the authority that its certificate names has not signed it');
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      this.#reason ??= error;
      return false;
    }
  }
}

/** A certificate without the extension is for any purpose (RFC 5280, 4.2.1.12). */
function isForCode({ purposes }: Pick<Certificate, 'purposes'>): boolean {
  return purposes === undefined || purposes.includes(CODE_SIGNING) || purposes.includes(ANY_PURPOSE);
}

/** The latest moment that dates of this runtime reach. A log may sign any number as a time. */
const LAST_MOMENT = 8.64e15;

function day(time: number): string {
  return time > LAST_MOMENT ? 'a time after all dates' : new Date(time).toISOString();
}

function requireValid({ notBefore, notAfter }: Certificate, at: number): void {
  if (at < notBefore)
    throw new Refused(
      'certificate-expired',
      `a certificate is valid from ${day(notBefore)}, not at ${day(at)}`,
    );
  if (at > notAfter)
    throw new Refused(
      'certificate-expired',
      `a certificate was valid until ${day(notAfter)}, not at ${day(at)}`,
    );
}

function requireKnown({ unknown }: Certificate): void {
  if (unknown === undefined) return;
  throw new Refused('unsupported', `a certificate has the extension ${unknown}, which graft does not know`);
}

/** @param below the number of authorities between this one and the signer's certificate */
function requireAuthority({ authority, keyUse, purposes }: Certificate, below: number): void {
  if (authority === undefined || (keyUse !== undefined && (keyUse & KeyUse.certificates) === 0))
    throw new Refused('untrusted-chain', 'a certificate of its chain may not issue certificates');
  if (authority.maxBelow !== undefined && below > authority.maxBelow)
    throw new Refused('untrusted-chain', 'its chain is longer than an authority of it allows');
  if (!isForCode({ purposes }))
    throw new Refused('untrusted-chain', 'an authority of its chain is not for code signing');
}
