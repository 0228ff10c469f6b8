/**
 * Rekor and Fulcio, as far as cosign asks them when it signs: every login is believed and every entry is taken. Bound to
 * this machine, with keys of their own, for the artefacts in the tests' fixtures.
 */
import { createHash, createPublicKey, type KeyObject } from 'node:crypto';
import { base64, type Logged, promise, proof } from './signer.ts';
import { CODE_SIGNING, certificate, extensions, newPair, pem } from './x509.ts';

export interface Services {
  readonly url: string;
  readonly log: ReturnType<typeof newPair>;
  readonly root: string;
  stop(): void;
}

export const LOGIN = {
  email: 'dev@example.org',
  uri: 'https://ci.example/ns/app/build.yml@refs/tags/v1',
  issuer: 'https://login.example',
};

/** @param validFrom and @param validUntil of certificates of signers, ISO 8601 */
export function startServices(validFrom: string, validUntil: string): Services {
  const log = newPair();
  const authority = newAuthority(validFrom, validUntil);
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    development: false,
    routes: {
      '/api/v1/log/entries': { POST: async (request) => entryAnswer(log, await request.json()) },
      '/api/v1/signingCert': { POST: async (request) => authority.oldAnswer(await request.json()) },
      '/api/v2/signingCert': { POST: async (request) => authority.answer(await request.json()) },
    },
    fetch: (request) => new Response(`no ${request.url}`, { status: 404 }),
  });
  return { url: `http://127.0.0.1:${server.port}`, log, root: authority.root, stop: () => server.stop(true) };
}

interface Proposed {
  readonly kind: string;
  readonly spec: {
    readonly proposedContent?: { readonly envelope: string; readonly verifiers: readonly string[] };
  };
}

function entryAnswer(log: Services['log'], proposed: unknown): Response {
  const { kind, spec } = proposed as Proposed;
  const body = Buffer.from(kind === 'dsse' ? dsseEntry(spec) : sorted(proposed));
  const entry: Logged = { body, time: Math.floor(Date.now() / 1000), index: 7 };
  const { rootHash, checkpoint, ...path } = proof(log, body, 1, 1);
  const hex = (text: string) => Buffer.from(text, 'base64').toString('hex');
  const leaf = createHash('sha256').update(Buffer.of(0)).update(body).digest('hex');
  const key = createHash('sha256')
    .update(log.publicKey.export({ format: 'der', type: 'spki' }))
    .digest('hex');
  return Response.json(
    {
      [leaf]: {
        body: base64(body),
        integratedTime: entry.time,
        logID: key,
        logIndex: entry.index,
        verification: {
          signedEntryTimestamp: base64(promise(log, entry)),
          inclusionProof: {
            checkpoint: checkpoint.envelope,
            hashes: path.hashes.map(hex),
            logIndex: Number(path.logIndex),
            rootHash: hex(rootHash),
            treeSize: Number(path.treeSize),
          },
        },
      },
    },
    { status: 201, headers: { etag: leaf, location: `/api/v1/log/entries/${leaf}` } },
  );
}

/** The entry that Rekor makes of an envelope. */
function dsseEntry({ proposedContent }: Proposed['spec']): string {
  const { envelope = '{}', verifiers = [] } = proposedContent ?? {};
  const { payload, signatures } = JSON.parse(envelope) as { payload: string; signatures: { sig: string }[] };
  const hash = (bytes: Uint8Array | string) => ({
    algorithm: 'sha256',
    value: createHash('sha256').update(bytes).digest('hex'),
  });
  return sorted({
    apiVersion: '0.0.1',
    kind: 'dsse',
    spec: {
      envelopeHash: hash(envelope),
      payloadHash: hash(Buffer.from(payload, 'base64')),
      signatures: signatures.map(({ sig }, at) => ({ signature: sig, verifier: verifiers[at] })),
    },
  });
}

function sorted(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'object' && member !== null && !Array.isArray(member)
      ? Object.fromEntries(Object.entries(member).sort(([a], [b]) => (a < b ? -1 : 1)))
      : member,
  );
}

function newAuthority(from: string, until: string) {
  const [rootPair, pair] = [newPair(), newPair()];
  const long = { from: '2020-01-01T00:00:00', until: '2040-01-01T00:00:00' };
  const names = (subject: string) => ({ subject, issuer: 'root', by: rootPair, ...long });
  const use = extensions.keyUse(0x06);
  const root = pem(
    certificate({ ...names('root'), pair: rootPair, extensions: [extensions.authority(), use] }),
  );
  const between = certificate({
    ...names('between'),
    pair,
    extensions: [extensions.authority(0), use, extensions.purposes(CODE_SIGNING)],
  });
  const chainFor = (publicKey: KeyObject): string[] => {
    const leaf = certificate({
      subject: 'signer',
      issuer: 'between',
      pair: { ...pair, publicKey },
      by: pair,
      from,
      until,
      extensions: [
        extensions.keyUse(0x80),
        extensions.purposes(CODE_SIGNING),
        extensions.names({ emails: [LOGIN.email], uris: [LOGIN.uri] }),
        extensions.issuer(LOGIN.issuer),
      ],
    });
    return [pem(leaf), pem(between), root];
  };
  const answer = (asked: unknown): Response => {
    const { publicKeyRequest } = asked as { publicKeyRequest: { publicKey: { content: string } } };
    const certificates = chainFor(createPublicKey(publicKeyRequest.publicKey.content));
    return Response.json({ signedCertificateEmbeddedSct: { chain: { certificates } } });
  };
  const oldAnswer = (asked: unknown): Response => {
    const { publicKey } = asked as { publicKey: { content: string } };
    const chain = chainFor(createPublicKey(Buffer.from(publicKey.content, 'base64'))).join('');
    return new Response(chain, {
      status: 201,
      headers: { 'content-type': 'application/pem-certificate-chain' },
    });
  };
  return { root, answer, oldAnswer };
}
