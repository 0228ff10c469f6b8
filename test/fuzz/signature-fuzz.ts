/**
 * Damaged signatures through every reader of lib/trust/sigstore. None may make it throw, and none may count that says
 * something else than an original one. Half of the cases are signed again after the damage, since readers behind a check
 * of a signature are reached in no other way.
 */
import { X509Certificate } from 'node:crypto';
import type { Material, SigstoreSigned } from '../../lib/trust/policy/requirement.ts';
import type { SigstoreArtefact } from '../../lib/trust/sigstore/artefact.ts';
import { whyUnusable } from '../../lib/trust/sigstore/materials.ts';
import { verifySigstore } from '../../lib/trust/sigstore/verify-sigstore.ts';
import { Random } from '../property/random.ts';
import {
  ANNOTATIONS,
  attached,
  base64,
  bundle,
  bundleOf,
  envelope,
  hashedrekord,
  keyPem,
  payloadFor,
  receipt,
  signAttached,
  signBy,
  statementFor,
} from '../support/sigstore/signer.ts';
import { issue, newPair, pem } from '../support/sigstore/x509.ts';
import { attachedFixture, bundleFixture, fixture, imageFixture } from '../unit/trust/sigstore/fixtures.ts';
import {
  Authority,
  DIGEST,
  EMAIL,
  IMAGE,
  keyRequirement,
  logMaterial,
  NOW,
  pkiRequirement,
  REPOSITORY,
} from '../unit/trust/sigstore/support.ts';
import { damaged } from './signature-damage.ts';

export interface Counts {
  counted: number;
  refused: Record<string, number>;
}

export const noCounts = (): Counts => ({ counted: 0, refused: {} });

const file = (name: string): Material => ({ from: name, bytes: fixture(name) });
const common = {
  type: 'sigstoreSigned',
  signedIdentity: { type: 'matchRepository' },
  acceptsUnnamed: true,
} as const;
const keys: SigstoreSigned = { ...common, trusted: { kind: 'keys', keys: [file('cosign.pub')] }, rekor: [] };
const logged: SigstoreSigned = { ...keys, rekor: [file('rekor.pub')] };
const login: SigstoreSigned = {
  ...logged,
  trusted: {
    kind: 'fulcio',
    ca: file('cosign2-login/chain'),
    oidcIssuer: 'https://login.example',
    subjectEmail: EMAIL,
    identities: [],
  },
};
const pki: SigstoreSigned = {
  ...keys,
  trusted: {
    kind: 'pki',
    roots: file('pki-root.pem'),
    intermediates: undefined,
    subjectEmail: EMAIL,
    subjectHostname: undefined,
  },
};

const FIXTURES = [
  { image: 1, requirement: keys, artefact: attachedFixture('cosign2-key') },
  { image: 2, requirement: logged, artefact: attachedFixture('cosign2-log') },
  { image: 3, requirement: login, artefact: attachedFixture('cosign2-login') },
  { image: 4, requirement: pki, artefact: attachedFixture('cosign2-pki') },
  { image: 1, requirement: keys, artefact: bundleFixture('cosign3-key') },
  { image: 2, requirement: logged, artefact: bundleFixture('cosign3-log') },
  { image: 3, requirement: login, artefact: bundleFixture('cosign3-login') },
];

const pair = newPair();
const log = newPair();
const authority = new Authority();
const byKey = keyRequirement([pair]);
const byLog = keyRequirement([pair], { rekor: [logMaterial(log)] });
const byAuthority = pkiRequirement(authority);
const payload = payloadFor(DIGEST, REPOSITORY);

/** @throws when a case went wrong */
export function signatureCase(seed: number, number: number, counts: Counts): void {
  const random = new Random(seed, number);
  random.pick([
    damagedFixture,
    damagedFixture,
    damagedFixture,
    signedPayload,
    signedStatement,
    signedLog,
    issuedLeaf,
    material,
  ])(random, counts);
}

function judged(
  requirement: SigstoreSigned,
  artefact: SigstoreArtefact,
  counts: Counts,
  image = IMAGE,
): boolean {
  const verdict = verifySigstore(requirement, artefact, image, NOW);
  if (verdict.ok) {
    counts.counted += 1;
    return true;
  }
  const { code, detail } = verdict.refusal;
  counts.refused[code] = (counts.refused[code] ?? 0) + 1;
  if (detail.length > 200 || /[\x00-\x1f\x7f]/.test(detail))
    throw new Error(`a detail is no line: ${JSON.stringify(detail)}`);
  return false;
}

function require(holds: boolean, what: string): void {
  if (!holds) throw new Error(what);
}

/** Nothing is signed again, so whatever counts has to be signed by the original bytes. */
function damagedFixture(random: Random, counts: Counts): void {
  const { image, requirement, artefact } = random.pick(FIXTURES);
  if (artefact.kind === 'bundle') {
    const bytes = damaged(random, Buffer.from(artefact.bytes));
    if (judged(requirement, { ...artefact, bytes }, counts, imageFixture(image)))
      require(envelopeOf(bytes) === envelopeOf(artefact.bytes), 'another envelope counts');
    return;
  }
  const changed = new Map(artefact.annotations);
  const names = [...changed.keys(), 'payload'];
  const name = random.pick(names);
  const bytes = name === 'payload' ? damaged(random, Buffer.from(artefact.payload)) : artefact.payload;
  if (name !== 'payload') changed.set(name, damaged(random, Buffer.from(changed.get(name) ?? '')).toString());
  if (judged(requirement, { ...artefact, payload: bytes, annotations: changed }, counts, imageFixture(image)))
    require(Buffer.compare(bytes, artefact.payload) === 0, 'another payload counts');
}

function envelopeOf(bytes: Uint8Array): string {
  const { dsseEnvelope } = JSON.parse(Buffer.from(bytes).toString()) as { dsseEnvelope: { payload: string } };
  return dsseEnvelope.payload;
}

function signedPayload(random: Random, counts: Counts): void {
  const bytes = damaged(random, Buffer.from(payload));
  if (!judged(byKey, signAttached(bytes, pair.privateKey), counts)) return;
  const { critical } = JSON.parse(bytes.toString()) as typeof SIMPLE;
  require(critical.image['docker-manifest-digest'] === DIGEST, 'a payload for another image counts');
}
const SIMPLE = { critical: { image: { 'docker-manifest-digest': '' } } };

function signedStatement(random: Random, counts: Counts): void {
  const bytes = damaged(random, statementFor(DIGEST));
  const artefact = bundle(bundleOf(envelope(bytes, pair.privateKey), { publicKey: { hint: '' } }));
  if (judged(byKey, artefact, counts))
    require(bytes.includes(DIGEST.slice(7)), 'a statement for another image counts');
}

function signedLog(random: Random, counts: Counts): void {
  const signature = signBy(pair.privateKey, payload);
  const body = damaged(random, hashedrekord(payload, signature, keyPem(pair)));
  const entry = receipt(log, { body, time: 1_770_000_000, index: random.below(100) });
  const artefact = attached(payload, {
    [ANNOTATIONS.signature]: base64(signature),
    [ANNOTATIONS.log]: entry,
  });
  if (judged(byLog, artefact, counts))
    require(body.includes(base64(signature)), 'a log entry of another signature counts');
}

const leaf = authority.leafDer();
/** The fields that are signed, behind the tag and the length of the certificate. */
const fields = leaf.subarray(4, 8 + leaf.readUInt16BE(6));

/** Another reader, OpenSSL, has to find in a certificate what ours found. */
function issuedLeaf(random: Random, counts: Counts): void {
  const der = issue(damaged(random, Buffer.from(fields)), authority.between);
  const artefact = attached(payload, {
    [ANNOTATIONS.signature]: base64(signBy(authority.signer.privateKey, payload)),
    [ANNOTATIONS.certificate]: pem(der),
    [ANNOTATIONS.chain]: authority.chainPem(),
  });
  if (!judged(byAuthority, artefact, counts)) return;
  const other = new X509Certificate(der);
  require(other.subjectAltName?.includes(`email:${EMAIL}`) ===
    true, `OpenSSL finds another address: ${other.subjectAltName}`);
  require(Date.parse(other.validFrom) <= NOW &&
    NOW <= Date.parse(other.validTo), 'OpenSSL finds other dates');
}

/** Files of an operator. */
function material(random: Random, counts: Counts): void {
  const name = random.pick(['cosign.pub', 'rekor.pub', 'pki-root.pem', 'cosign2-login/chain']);
  const bytes = damaged(random, fixture(name));
  const one = { from: name, bytes };
  const requirement: SigstoreSigned = name.endsWith('.pub')
    ? { ...keys, trusted: { kind: 'keys', keys: [one] } }
    : {
        ...pki,
        trusted: {
          ...pkiRequirement(authority).trusted,
          kind: 'pki',
          roots: one,
        } as SigstoreSigned['trusted'],
      };
  if (whyUnusable(requirement) === undefined) counts.counted += 1;
  else counts.refused['material'] = (counts.refused['material'] ?? 0) + 1;
}
