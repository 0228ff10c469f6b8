/** Whether somebody whom a requirement trusts made a signature. */
import { printable } from '../../base/text.ts';
import type { SigstoreSigned, TrustedFulcio, TrustedPki } from '../policy/requirement.ts';
import { fits } from '../policy/text-rule.ts';
import type { Certificate } from './certificate.ts';
import { trustedUntil } from './chain.ts';
import type { Claim } from './claim.ts';
import { isSignedBy, type PublicKey } from './keys.ts';
import { requireAbout } from './log-body.ts';
import { type LogEntry, loggedAt } from './log-entry.ts';
import { type Trusted, type TrustedKey, trustedBy } from './materials.ts';
import { quoted, Refused } from './refused.ts';

export interface Signer {
  /** The person, program or key that signed, printable. */
  readonly by: string;
  /** Milliseconds since 1970; undefined: no end. */
  readonly until: number | undefined;
}

/** @param now milliseconds since 1970. @throws Refused */
export function signerOf(claim: Claim, requirement: SigstoreSigned, now: number): Signer {
  const trusted = trustedBy(requirement);
  switch (requirement.trusted.kind) {
    case 'keys':
      return byKey(claim, trusted);
    case 'fulcio':
      return byLogin(claim, trusted, requirement.trusted);
    case 'pki':
      return byCertificate(claim, trusted, requirement.trusted, now);
  }
}

/** The log's time does not matter here: a key has no end. */
function byKey(claim: Claim, { keys, logs }: Trusted): Signer {
  const key = keys.find((one) => made(claim, one));
  if (key === undefined)
    throw new Refused('unknown-key', `no trusted key made its signature (${namesOf(keys)})`);
  if (logs.length > 0) fromLogs(claim, key.der, logs);
  return { by: printable(key.from), until: undefined };
}

function namesOf(keys: readonly TrustedKey[]): string {
  const [first, ...more] = keys;
  const name = quoted(first?.from ?? '');
  return more.length > 0 ? `${name} and ${more.length} more` : name;
}

/** A certificate of Fulcio is valid for minutes. The certificate has to have been valid when the log took the signature. */
function byLogin(claim: Claim, { roots, logs }: Trusted, trusted: TrustedFulcio): Signer {
  const certificate = claim.certificate();
  const time = fromLogs(claim, certificate.der, logs);
  if (time === undefined)
    throw new Refused(
      'no-log-entry',
      'no promise of a log says when it was signed, which its certificate needs',
    );
  trustedUntil(certificate, { roots, between: claim.chain() }, time);
  const by = loginOf(certificate, trusted);
  requireMade(claim, certificate);
  return { by, until: undefined };
}

function byCertificate(
  claim: Claim,
  { roots, intermediates }: Trusted,
  { subjectEmail, subjectHostname }: TrustedPki,
  now: number,
): Signer {
  const certificate = claim.certificate();
  const until = trustedUntil(certificate, { roots, between: [...intermediates, ...claim.chain()] }, now);
  const { emails, hosts } = certificate.names;
  if (subjectEmail !== undefined && !emails.includes(subjectEmail))
    throw new Refused('other-subject', `its certificate names ${listed(emails, 'no address')}`);
  if (subjectHostname !== undefined && !hosts.some((host) => isHost(host, subjectHostname)))
    throw new Refused('other-subject', `its certificate names ${listed(hosts, 'no host')}`);
  requireMade(claim, certificate);
  return { by: printable([subjectEmail, subjectHostname].filter(Boolean).join(', ')), until };
}

function made({ signed, signature, scheme }: Claim, key: PublicKey): boolean {
  return isSignedBy(key, signed, signature, scheme);
}

function requireMade(claim: Claim, certificate: Certificate): void {
  if (!made(claim, certificate.key))
    throw new Refused('bad-signature', 'the key of its certificate did not make its signature');
}

/** The login that the certificate names, where the requirement trusts it. */
function loginOf({ issuer, names }: Certificate, trusted: TrustedFulcio): string {
  if (issuer === undefined) throw new Refused('other-subject', 'its certificate names no login provider');
  const { emails, uris } = names;
  if (issuer === trusted.oidcIssuer && emails.includes(trusted.subjectEmail))
    return printable(`${trusted.subjectEmail} (${issuer})`);
  for (const identity of trusted.identities) {
    const uri = fits(identity.issuer, issuer) ? uris.find((one) => fits(identity.uri, one)) : undefined;
    if (uri !== undefined) return printable(`${uri} (${issuer})`);
  }
  throw new Refused(
    'other-subject',
    `its certificate names ${listed([...emails, ...uris], 'nobody')}, by ${quoted(issuer)}`,
  );
}

function listed(names: readonly string[], none: string): string {
  const [first, ...more] = names;
  if (first === undefined) return none;
  return more.length > 0 ? `${quoted(first)} and ${more.length} more` : quoted(first);
}

/** Host names as RFC 6125 compares them: in any case, and `*` for one whole label in front. */
function isHost(pattern: string, host: string): boolean {
  const [wanted, name] = [pattern.toLowerCase(), host.toLowerCase().replace(/\.$/, '')];
  if (!wanted.startsWith('*.')) return wanted === name;
  const dot = name.indexOf('.');
  return dot > 0 && wanted.slice(1) === name.slice(dot) && wanted.slice(2).includes('.');
}

/**
 * Checks that a trusted log has the signature. A single good entry is enough, since other entries may be of logs that the
 * requirement does not know.
 * @param signer DER of the certificate, or of the key
 * @returns milliseconds since 1970 when the log took it; undefined where only a proof without time says so
 */
function fromLogs(claim: Claim, signer: Uint8Array, logs: readonly PublicKey[]): number | undefined {
  const entries = claim.logEntries();
  if (entries.length === 0) throw new Refused('no-log-entry', 'it carries no entry of a transparency log');
  let first: Refused | undefined;
  let proven = false;
  for (const entry of entries) {
    try {
      const time = fromLog(entry, claim, signer, logs);
      if (time !== undefined) return time;
      proven = true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      first ??= error;
    }
  }
  if (!proven && first !== undefined) throw first;
  return undefined;
}

function fromLog(
  entry: LogEntry,
  { logged, signature }: Claim,
  signer: Uint8Array,
  logs: readonly PublicKey[],
): number | undefined {
  const time = loggedAt(entry, logs);
  requireAbout(entry.body, { ...logged, signature, signer });
  return time;
}
