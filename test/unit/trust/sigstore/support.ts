import { type Digest, digestOf } from '../../../../lib/base/digest.ts';
import type { Material, SignedIdentity, SigstoreSigned } from '../../../../lib/trust/policy/requirement.ts';
import type { Signable } from '../../../../lib/trust/policy/verdict.ts';
import type { SigstoreArtefact } from '../../../../lib/trust/sigstore/artefact.ts';
import { verifySigstore } from '../../../../lib/trust/sigstore/verify-sigstore.ts';
import { keyPem } from '../../../support/sigstore/signer.ts';
import {
  type CertificateFields,
  CODE_SIGNING,
  certificate,
  extensions,
  newPair,
  type Pair,
  pem,
} from '../../../support/sigstore/x509.ts';

export const REPOSITORY = 'registry.example/ns/app';
export const MANIFEST = Buffer.from('{"schemaVersion":2}');
export const DIGEST: Digest = digestOf(MANIFEST);
export const OTHER_DIGEST: Digest = digestOf('another manifest');
export const IMAGE: Signable = {
  digest: DIGEST,
  name: { repository: REPOSITORY, tag: 'v1', digest: undefined },
  document: MANIFEST,
};

export const NOW = Date.parse('2026-06-01T12:00:00Z');
export const ISSUER = 'https://login.example';
export const EMAIL = 'dev@example.org';
export const URI = 'https://ci.example/ns/app/build.yml@refs/tags/v1';

export const material = (from: string, text: string | Uint8Array): Material => ({
  from,
  bytes: Buffer.from(text),
});

const ANY_OF_REPOSITORY: SignedIdentity = { type: 'matchRepository' };

export function keyRequirement(
  pairs: readonly Pair[],
  rest: Partial<Pick<SigstoreSigned, 'rekor' | 'signedIdentity' | 'acceptsUnnamed'>> = {},
): SigstoreSigned {
  const keys = pairs.map((pair, at) => material(`/keys/${at}.pub`, keyPem(pair)));
  return {
    type: 'sigstoreSigned',
    trusted: { kind: 'keys', keys },
    rekor: [],
    signedIdentity: ANY_OF_REPOSITORY,
    acceptsUnnamed: true,
    ...rest,
  };
}

export const logMaterial = (log: Pair) => material('/keys/rekor.pub', keyPem(log));

/** The code of a refusal; `ok` when the signature counts. */
export function verdict(
  requirement: SigstoreSigned,
  artefact: SigstoreArtefact,
  image: Signable = IMAGE,
  now = NOW,
): string {
  const found = verifySigstore(requirement, artefact, image, now);
  if (found.ok) return 'ok';
  if (/[^\x20-\x7e…]/.test(found.refusal.detail) || found.refusal.detail.length > 200)
    throw new Error(`not fit for a line: ${found.refusal.detail}`);
  return found.refusal.code;
}

/** An authority with a root, an intermediate and one signer, as Fulcio and companies have them. */
export class Authority {
  readonly root = newPair();
  readonly between = newPair();
  readonly signer = newPair();

  rootDer(changes: Partial<CertificateFields> = {}): Buffer {
    return certificate({
      subject: 'root',
      issuer: 'root',
      pair: this.root,
      by: this.root,
      from: '2020-01-01T00:00:00',
      until: '2040-01-01T00:00:00',
      extensions: [extensions.authority(), extensions.keyUse(0x06)],
      ...changes,
    });
  }

  betweenDer(changes: Partial<CertificateFields> = {}): Buffer {
    return certificate({
      subject: 'between',
      issuer: 'root',
      pair: this.between,
      by: this.root,
      from: '2021-01-01T00:00:00',
      until: '2035-01-01T00:00:00',
      extensions: [extensions.authority(0), extensions.keyUse(0x06), extensions.purposes(CODE_SIGNING)],
      ...changes,
    });
  }

  leafDer(changes: Partial<CertificateFields> = {}): Buffer {
    return certificate({
      subject: 'signer',
      issuer: 'between',
      pair: this.signer,
      by: this.between,
      from: '2026-01-01T00:00:00',
      until: '2027-01-01T00:00:00',
      extensions: LEAF,
      ...changes,
    });
  }

  /** The chain annotation: what lies between, and the root, which readers drop. */
  chainPem(between = this.betweenDer()): string {
    return pem(between) + pem(this.rootDer());
  }
}

export const LEAF = [
  extensions.keyUse(0x80),
  extensions.purposes(CODE_SIGNING),
  extensions.names({ emails: [EMAIL], hosts: ['build.example.org'], uris: [URI] }),
  extensions.issuer(ISSUER),
];

export function pkiRequirement(
  authority: Authority,
  changes: Partial<Extract<SigstoreSigned['trusted'], { kind: 'pki' }>> = {},
): SigstoreSigned {
  return {
    ...keyRequirement([]),
    trusted: {
      kind: 'pki',
      roots: material('/keys/roots.pem', pem(authority.rootDer())),
      intermediates: undefined,
      subjectEmail: EMAIL,
      subjectHostname: undefined,
      ...changes,
    },
  };
}

export function fulcioRequirement(
  authority: Authority,
  log: Pair,
  changes: Partial<Extract<SigstoreSigned['trusted'], { kind: 'fulcio' }>> = {},
): SigstoreSigned {
  return {
    ...keyRequirement([], { rekor: [logMaterial(log)] }),
    trusted: {
      kind: 'fulcio',
      ca: material('/keys/fulcio.pem', pem(authority.rootDer())),
      oidcIssuer: ISSUER,
      subjectEmail: EMAIL,
      identities: [],
      ...changes,
    },
  };
}
