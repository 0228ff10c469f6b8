/**
 * Makes the artefacts of test/unit/trust/fixtures anew: ci/sigstore-fixtures. The signers are the real programs; the log and
 * the authority that they ask are those of services.ts, and the certificate of an operator's authority is x509.ts's.
 */

import { createPublicKey } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { REPOSITORY } from '../../unit/trust/sigstore/fixtures.ts';
import { imageDocuments, LocalRegistry, MANIFEST } from './local-registry.ts';
import { LOGIN, startServices } from './services.ts';
import { keyPem } from './signer.ts';
import { CODE_SIGNING, certificate, extensions, newPair, pem } from './x509.ts';

const [cosign2 = '', cosign3 = '', out = ''] = process.argv.slice(2);
const MAX_FIXTURE = 2048;

const work = mkdtempSync(join(tmpdir(), 'sigstore-fixtures.'));
const at = (name: string) => join(work, name);
const put = (name: string, text: string | Uint8Array): string => {
  writeFileSync(at(name), text);
  return at(name);
};

function keep(name: string, text: string | Uint8Array): void {
  const bytes = Buffer.from(text);
  if (bytes.length > MAX_FIXTURE)
    throw new Error(`${name} has ${bytes.length} bytes, more than ${MAX_FIXTURE}`);
  const path = join(out, name);
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, bytes);
}

async function run(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<void> {
  const child = Bun.spawn([program, ...args], {
    env: { ...process.env, COSIGN_PASSWORD: 'fixture', ...env },
    cwd: work,
    stdout: 'pipe',
    stderr: 'pipe',
  });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(`${program} ${args.join(' ')}: ${said.slice(-500)}`);
}

const registry = new LocalRegistry();
const INDEX = 'application/vnd.oci.image.index.v1+json';

interface Found {
  readonly digest: string;
  readonly annotations?: Readonly<Record<string, string>>;
}
const list = (bytes: Buffer, key: string) =>
  (JSON.parse(bytes.toString()) as Record<string, Found[]>)[key] ?? [];

/** An image of its own for each signature, so that each has one. */
async function image(number: number): Promise<{ digest: string; hex: string }> {
  const documents = imageDocuments();
  const layer = await registry.upload(documents.layer);
  const config = await registry.upload(documents.config(layer.digest));
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: MANIFEST,
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers: [{ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer }],
      annotations: { number: String(number) },
    }),
  );
  const hex = new Bun.CryptoHasher('sha256').update(manifest).digest('hex');
  await registry.uploadManifest(`sha256:${hex}`, manifest);
  keep(`image-${number}`, manifest);
  return { digest: `sha256:${hex}`, hex };
}

/** Keeps a signature of the old scheme: the payload, and each annotation but the log's body as a file. */
async function keepAttached(name: string, hex: string): Promise<void> {
  const [layer] = list(await registry.fetch(`manifests/sha256-${hex}.sig`, MANIFEST), 'layers');
  if (layer === undefined) throw new Error(`${name}: no signature`);
  keep(`${name}/payload`, await registry.fetch(`blobs/${layer.digest}`, '*/*'));
  for (const [key, value] of Object.entries(layer.annotations ?? {})) {
    const file = `${name}/${key.split('/')[1]}`;
    if (!key.endsWith('/bundle')) keep(file, value);
    else {
      const receipt = JSON.parse(value) as { Payload: { body: string } };
      keep(`${name}/log-body`, Buffer.from(receipt.Payload.body, 'base64'));
      receipt.Payload.body = '';
      keep(file, JSON.stringify(receipt));
    }
  }
}

/** Keeps a bundle, and the body of its log entry as a file of its own. */
async function keepBundle(name: string, hex: string): Promise<void> {
  const [entry] = list(await registry.fetch(`manifests/sha256-${hex}`, INDEX), 'manifests');
  const [layer] = list(await registry.fetch(`manifests/${entry?.digest}`, MANIFEST), 'layers');
  const bundle = JSON.parse((await registry.fetch(`blobs/${layer?.digest}`, '*/*')).toString()) as {
    verificationMaterial: { tlogEntries?: { canonicalizedBody: string }[] };
  };
  const [logged] = bundle.verificationMaterial.tlogEntries ?? [];
  if (logged !== undefined) {
    keep(`${name}/log-body`, Buffer.from(logged.canonicalizedBody, 'base64'));
    logged.canonicalizedBody = '';
  }
  keep(`${name}/bundle`, JSON.stringify(bundle));
}

const now = Date.now();
const iso = (time: number) => new Date(time).toISOString().slice(0, 19);
const services = startServices(iso(now - 60_000), iso(now + 540_000));

/** A login provider's word for the signer. Nobody checks its signature. */
function token(): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = {
    iss: LOGIN.issuer,
    sub: 'x',
    email: LOGIN.email,
    email_verified: true,
    aud: 'sigstore',
    exp: 4e9,
  };
  return `${part({ alg: 'ES256' })}.${part(claims)}.AAAA`;
}

function signingConfig(): string {
  const service = {
    url: services.url,
    majorApiVersion: 1,
    validFor: { start: '2020-01-01T00:00:00Z' },
    operator: 'test',
  };
  return JSON.stringify({
    mediaType: 'application/vnd.dev.sigstore.signingconfig.v0.2+json',
    caUrls: [service],
    rekorTlogUrls: [service],
    rekorTlogConfig: { selector: 'ANY' },
    tsaConfig: {},
  });
}

/** A certificate of an operator's authority for the key of cosign. */
function pkiFiles(): { certificate: string; chain: string } {
  const [root, between] = [newPair(), newPair()];
  const long = { from: '2020-01-01T00:00:00', until: '2049-01-01T00:00:00' };
  const use = extensions.keyUse(0x06);
  const rootPem = pem(
    certificate({
      subject: 'root',
      issuer: 'root',
      pair: root,
      by: root,
      ...long,
      extensions: [extensions.authority(), use],
    }),
  );
  const betweenPem = pem(
    certificate({
      subject: 'between',
      issuer: 'root',
      pair: between,
      by: root,
      ...long,
      extensions: [extensions.authority(0), use],
    }),
  );
  const publicKey = createPublicKey(readFileSync(at('cosign.pub')));
  const leafPem = pem(
    certificate({
      subject: 'signer',
      issuer: 'between',
      pair: { ...between, publicKey },
      by: between,
      ...long,
      extensions: [
        extensions.keyUse(0x80),
        extensions.purposes(CODE_SIGNING),
        extensions.names({ emails: [LOGIN.email], hosts: ['build.example.org'] }),
      ],
    }),
  );
  keep('pki-root.pem', rootPem);
  keep('pki-between.pem', betweenPem);
  return { certificate: put('leaf.pem', leafPem), chain: put('chain.pem', betweenPem + rootPem) };
}

async function make(): Promise<void> {
  await run(cosign2, ['generate-key-pair']);
  keep('cosign.pub', readFileSync(at('cosign.pub')));
  keep('rekor.pub', keyPem(services.log));
  keep('fulcio.pem', services.root);
  const env = {
    SIGSTORE_REKOR_PUBLIC_KEY: put('rekor.pub', keyPem(services.log)),
    SIGSTORE_ROOT_FILE: put('fulcio.pem', services.root),
  };
  const common = ['sign', '--yes', '--allow-http-registry'];
  const key = ['--key', 'cosign.key'];
  const log = ['--rekor-url', services.url];
  const login = ['--identity-token', put('token', token())];
  const unlogged = [
    '--signing-config',
    put(
      'unlogged.json',
      '{"mediaType":"application/vnd.dev.sigstore.signingconfig.v0.2+json","rekorTlogConfig":{},"tsaConfig":{}}',
    ),
  ];
  const logged = ['--signing-config', put('logged.json', signingConfig())];
  const pki = pkiFiles();
  const certificates = ['--certificate', pki.certificate, '--certificate-chain', pki.chain];

  const one = await image(1);
  const target = ({ digest }: { digest: string }) => `${REPOSITORY}@${digest}`;
  await run(cosign2, [...common, ...key, '--tlog-upload=false', target(one)], env);
  await keepAttached('cosign2-key', one.hex);
  await run(cosign3, [...common, ...key, ...unlogged, target(one)], env);
  await keepBundle('cosign3-key', one.hex);

  const two = await image(2);
  await run(cosign2, [...common, ...key, ...log, target(two)], env);
  await keepAttached('cosign2-log', two.hex);
  await run(cosign3, [...common, ...key, ...logged, target(two)], env);
  await keepBundle('cosign3-log', two.hex);

  const three = await image(3);
  await run(
    cosign2,
    [...common, ...login, ...log, '--fulcio-url', services.url, '--insecure-skip-verify', target(three)],
    env,
  );
  await keepAttached('cosign2-login', three.hex);
  await run(cosign3, [...common, ...login, ...logged, target(three)], env);
  await keepBundle('cosign3-login', three.hex);

  const four = await image(4);
  await run(cosign2, [...common, ...key, ...certificates, '--tlog-upload=false', target(four)], env);
  await keepAttached('cosign2-pki', four.hex);
}

try {
  await registry.ready();
  await make();
} finally {
  registry.stop();
  services.stop();
  rmSync(work, { recursive: true, force: true });
}
