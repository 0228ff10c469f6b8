/** Whom we believe, host by host, and what is said about those we do not. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { generateKeyPairSync } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import type { RegistryPolicy } from '../../../lib/registry/policy/policy.ts';
import { defaultHost } from '../../../lib/registry/policy/policy.ts';
import {
  issue,
  makeAuthority,
  makeIntermediate,
  type Pair,
  pemOf,
} from '../../support/registries/certificates.ts';
import { contentAnswer, fakeImage, fakeRegistry, noise } from '../../support/registries/fake-registry.ts';
import { rawServer } from '../../support/registries/raw-server.ts';
import {
  RecordingLog,
  readImage,
  registrySource,
  rejection,
} from '../../support/registries/registry-client.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const image = fakeImage([noise(1000)]);

let dir: TempDir;
let authority: Pair;
let good: Pair;
let client: Pair;
beforeAll(async () => {
  dir = tempDir();
  authority = await makeAuthority(dir.path);
  good = await issue(dir.path, authority, 'localhost', ['DNS:localhost', 'IP:127.0.0.1']);
  client = await issue(dir.path, authority, 'client', ['DNS:client']);
});
afterAll(() => dir.remove());

const started: { stop(): unknown }[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

/** A registry with this certificate, under the name that goes with it. @param chain is sent along */
function serve(pair: Pair, hostname = 'localhost', chain = '') {
  const { cert, key } = pemOf(pair);
  const registry = fakeRegistry(image, { tls: { cert: cert + chain, key } });
  started.push(registry);
  return { host: `${hostname}:${registry.port}`, registry };
}

/** One that wants a certificate of `authority` from its clients. */
function serveMutual(pair: Pair): string {
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    tls: {
      ...pemOf(pair),
      ca: readFileSync(authority.certificate, 'utf8'),
      requestCert: true,
      rejectUnauthorized: true,
    },
    fetch(request) {
      const name = new URL(request.url).pathname.split('/').at(-1);
      const blob =
        [image.manifest, image.config, ...image.layers].find(({ digest }) => digest === name) ??
        image.manifest;
      const headers = { 'content-type': blob.mediaType, 'docker-content-digest': blob.digest };
      return new Response(request.method === 'HEAD' ? null : blob.bytes, { headers });
    },
  });
  started.push({ stop: () => server.stop(true) });
  return `localhost:${server.port}`;
}

const pull = (host: string, policy: Partial<RegistryPolicy> = {}, log = new RecordingLog()) =>
  readImage(`docker://${host}/app:latest`, { policy, log });
const trusting = (host: string, more = {}): Partial<RegistryPolicy> => ({
  hosts: { [host]: { ...defaultHost, ca: [authority.certificate], ...more } },
});
const failure = async (promise: Promise<unknown>) => {
  const { code, subject } = await rejection(promise);
  return [code, subject['reason']];
};
/** A certs.d directory with these files for a host. */
function certsDir(host: string, files: Record<string, string>): string {
  const base = dir.at(`certs-${Math.random()}`);
  mkdirSync(`${base}/${host}`, { recursive: true });
  for (const [name, from] of Object.entries(files)) cpSync(from, `${base}/${host}/${name}`);
  return base;
}

describe('an authority of the operator’s own', () => {
  test('is believed for the host it is set for', async () => {
    const { host } = serve(good);
    expect((await pull(host, trusting(host))).length).toBe(1);
  });

  test('is not believed for another host or port', async () => {
    const { host } = serve(good);
    expect((await failure(pull(host, trusting('localhost'))))[0]).toBe('REGISTRY_UNTRUSTED');
    expect((await failure(pull(host, trusting(host.replace('localhost', '127.0.0.1')))))[0]).toBe(
      'REGISTRY_UNTRUSTED',
    );
  });

  test('is found in a certs.d directory, by host and port', async () => {
    const { host } = serve(good);
    const certsDirs = [dir.at('none'), certsDir(host, { 'ca.crt': authority.certificate })];
    expect((await pull(host, { certsDirs })).length).toBe(1);
    const elsewhere = [certsDir('localhost:1', { 'ca.crt': authority.certificate })];
    expect((await failure(pull(host, { certsDirs: elsewhere })))[0]).toBe('REGISTRY_UNTRUSTED');
  });

  test('comes from the first directory that has the host, not from a later one', async () => {
    const { host } = serve(good);
    const other = await makeAuthority(dir.at('other'), 'other');
    const certsDirs = [
      certsDir(host, { 'ca.crt': other.certificate }),
      certsDir(host, { 'ca.crt': authority.certificate }),
    ];
    expect((await failure(pull(host, { certsDirs })))[0]).toBe('REGISTRY_UNTRUSTED');
  });

  test('is the system’s where SSL_CERT_FILE or SSL_CERT_DIR says so', async () => {
    const { host } = serve(good);
    expect(
      (await pull(host, { roots: { file: authority.certificate, directories: undefined } })).length,
    ).toBe(1);
    const directory = certsDir('x', { 'any-name.pem': authority.certificate });
    writeFileSync(`${directory}/x/README`, 'no certificate');
    const roots = { file: dir.at('none.pem'), directories: `${dir.at('none')}:${directory}/x` };
    expect((await pull(host, { roots })).length).toBe(1);
  });
});

describe('every certificate that the operator names is an anchor', () => {
  let middle: Pair;
  let leaf: Pair;
  beforeAll(async () => {
    middle = await makeIntermediate(dir.path, authority, 'middle');
    leaf = await issue(dir.path, middle, 'below', ['DNS:localhost']);
  });
  const anchors: readonly [string, () => Pair][] = [
    ['the authority at the top', () => authority],
    ['one below it', () => middle],
    ['the server’s own certificate', () => leaf],
  ];

  test.each(anchors)(
    '%s, in a certs.d directory, in the settings and in the system’s list',
    async (_name, of) => {
      const { host } = serve(leaf, 'localhost', readFileSync(middle.certificate, 'utf8'));
      const { certificate } = of();
      const certsDirs = [certsDir(host, { 'ca.crt': certificate })];
      expect((await pull(host, { certsDirs })).length).toBe(1);
      expect((await pull(host, { hosts: { [host]: { ...defaultHost, ca: [certificate] } } })).length).toBe(1);
      expect((await pull(host, { roots: { file: certificate, directories: '' } })).length).toBe(1);
    },
  );

  test('of another authority’s it is none', async () => {
    const { host } = serve(leaf, 'localhost', readFileSync(middle.certificate, 'utf8'));
    const other = await makeIntermediate(dir.at('other'), await makeAuthority(dir.at('other')), 'other');
    const hosts = { [host]: { ...defaultHost, ca: [other.certificate] } };
    expect((await failure(pull(host, { hosts })))[0]).toBe('REGISTRY_UNTRUSTED');
  });

  test('does not stand for another name, nor for longer than it is valid', async () => {
    const { host } = serve(leaf, '127.0.0.1');
    const hosts = { [host]: { ...defaultHost, ca: [leaf.certificate] } };
    expect(await failure(pull(host, { hosts }))).toEqual(['REGISTRY_CERTIFICATE', 'it names another host']);
    const dates = { from: '20200101000000Z', to: '20200102000000Z' };
    const old = await issue(dir.path, authority, 'old', ['DNS:localhost'], dates);
    const stale = serve(old).host;
    const ca = [old.certificate];
    expect(await failure(pull(stale, { hosts: { [stale]: { ...defaultHost, ca } } }))).toEqual([
      'REGISTRY_CERTIFICATE',
      'it has expired',
    ]);
  });
});

describe('one broken certificate does not spoil the others', () => {
  /** Not even DER; and what looks like it from outside and is none. */
  const broken = [
    '-----BEGIN CERTIFICATE-----\nMIIBhTCCASugAwIBAgIQ\n-----END CERTIFICATE-----\n',
    `-----BEGIN CERTIFICATE-----\n${Buffer.from([0x30, 3, 1, 1, 1]).toString('base64')}\n-----END CERTIFICATE-----\n`,
  ];
  const places: readonly [string, (good: string, other: string, bad: string) => string][] = [
    ['in front', (good, _other, bad) => bad + good],
    ['between', (good, other, bad) => other + bad + good],
    ['behind', (good, _other, bad) => good + bad],
  ];
  test.each(places)('%s', async (_where, arrange) => {
    const { host } = serve(good);
    const other = readFileSync(client.certificate, 'utf8');
    for (const bad of broken) {
      const file = dir.at('mixed.pem');
      writeFileSync(file, arrange(readFileSync(authority.certificate, 'utf8'), other, bad));
      const log = new RecordingLog();
      expect((await pull(host, { roots: { file, directories: '' } }, log)).length).toBe(1);
      expect((await pull(host, { hosts: { [host]: { ...defaultHost, ca: [file] } } }, log)).length).toBe(1);
      expect((await pull(host, { certsDirs: [certsDir(host, { 'ca.crt': file })] })).length).toBe(1);
      expect(log.of('authorities-broken')).toEqual([{ path: file, broken: 1, used: expect.any(Number) }]);
    }
  });

  test('nor does an authority that a link in certs.d points to in vain', async () => {
    const { host } = serve(good);
    const base = certsDir(host, { 'ca.crt': authority.certificate });
    symlinkSync(dir.at('nowhere.pem'), `${base}/${host}/a.crt`);
    const log = new RecordingLog();
    expect((await pull(host, { certsDirs: [base] }, log)).length).toBe(1);
    expect(log.of('authority-missing')).toEqual([{ path: `${base}/${host}/a.crt` }]);
  });
});

test('a file of SSL_CERT_FILE that is not there is named in the log', async () => {
  const { host, registry } = serve(good);
  const log = new RecordingLog();
  const roots = { file: dir.at('nowhere.pem'), directories: '' };
  const [code] = (await failure(pull(host, { roots }, log))) as [string];
  expect([code, log.of('roots-file-missing')]).toEqual([
    'REGISTRY_UNTRUSTED',
    [expect.objectContaining({ path: roots.file })],
  ]);
  expect(registry.requests).toEqual([]);
});

describe('a certificate that names its host in the common name only', () => {
  const refused = [
    'REGISTRY_CERTIFICATE',
    'it has no subject alternative name, and its common name does not count',
  ];
  test('is refused, however its authority is believed', async () => {
    mkdirSync(dir.at('common'), { recursive: true });
    const old = await issue(dir.at('common'), authority, 'localhost', []);
    const { host, registry } = serve(old);
    expect(await failure(pull(host, trusting(host)))).toEqual(refused);
    expect(await failure(pull(host, { roots: { file: authority.certificate, directories: '' } }))).toEqual(
      refused,
    );
    expect(registry.requests).toEqual([]);
    expect((await pull(host, { insecure: [host] })).length).toBe(1);
  });

  test('is refused too when its alternative names are of another kind', async () => {
    mkdirSync(dir.at('kinds'), { recursive: true });
    const mail = await issue(dir.at('kinds'), authority, 'localhost', ['email:a@b.example']);
    const { host } = serve(mail);
    expect(await failure(pull(host, trusting(host)))).toEqual(refused);
    const address = await issue(dir.at('kinds'), authority, 'localhost', ['IP:127.0.0.1']);
    const other = serve(address).host;
    expect(await failure(pull(other, trusting(other)))).toEqual([
      'REGISTRY_CERTIFICATE',
      'it names another host',
    ]);
  });

  test('is looked for once: later connections are kept open and used again', async () => {
    const { host, registry } = serve(good);
    await pull(host, trusting(host));
    expect(registry.requests.length).toBeGreaterThan(2);
    expect(registry.connections()).toBeLessThan(registry.requests.length);
  });
});

describe('a registry that is not believed', () => {
  test('with an unknown authority: the sentence is GrootFS’s, the advice is in the log', async () => {
    const { host } = serve(good);
    const log = new RecordingLog();
    expect((await failure(pull(host, {}, log)))[0]).toBe('REGISTRY_UNTRUSTED');
    expect(String(log.of('registry-untrusted')[0]?.['advice'])).toContain(
      `/etc/docker/certs.d/${host}/ca.crt`,
    );
  });

  test('is not tried again', async () => {
    const { host, registry } = serve(good);
    const log = new RecordingLog();
    await failure(pull(host, {}, log));
    expect(registry.requests.length).toBe(0);
    expect(log.of('registry-retry')).toEqual([]);
  });

  test.each([
    ['for another name', ['DNS:other.example'], undefined, 'it names another host'],
    ['expired', ['DNS:localhost'], { from: '20200101000000Z', to: '20200102000000Z' }, 'it has expired'],
    [
      'not valid yet',
      ['DNS:localhost'],
      { from: '20980101000000Z', to: '20990102000000Z' },
      'it is not valid yet (or the clock here is wrong)',
    ],
  ])('certificate %s', async (name, names, validity, words) => {
    const pair = await issue(dir.path, authority, name.replaceAll(' ', '-'), names, validity);
    const { host } = serve(pair);
    expect(await failure(pull(host, trusting(host)))).toEqual(['REGISTRY_CERTIFICATE', words]);
  });

  test('without TLS at all', async () => {
    const registry = fakeRegistry(image);
    started.push(registry);
    const log = new RecordingLog();
    expect((await failure(pull(registry.host, {}, log)))[0]).toBe('REGISTRY_PLAIN_HTTP');
    expect(String(log.of('registry-untrusted')[0]?.['advice'])).toContain(
      `--insecure-registry ${registry.host}`,
    );
    // Nothing was asked in the clear, not even what would tell the two apart.
    expect(registry.requests).toEqual([]);
  });
});

describe('an insecure registry', () => {
  test('is spoken to over TLS that nobody verifies, by exact host and port', async () => {
    const { host, registry } = serve(good);
    expect((await pull(host, { insecure: [host] })).length).toBe(1);
    expect(registry.requests.length).toBeGreaterThan(0);
    for (const other of ['localhost', '127.0.0.1', host.replace('localhost', '127.0.0.1'), `x${host}`])
      expect((await failure(pull(host, { insecure: [other] })))[0]).toBe('REGISTRY_UNTRUSTED');
  });

  test('without TLS is spoken to without', async () => {
    const registry = fakeRegistry(image);
    started.push(registry);
    expect((await pull(registry.host, { insecure: [registry.host] })).length).toBe(1);
  });

  test('does not make the hosts it redirects to insecure', async () => {
    const { host: strict } = serve(good);
    const registry = fakeRegistry(image, {
      override: async (request, answer) => {
        if (!request.target.includes('/blobs/')) return false;
        await answer.write(`HTTP/1.1 307 x\r\nlocation: https://${strict}/x\r\ncontent-length: 0\r\n\r\n`);
        return true;
      },
    });
    started.push(registry);
    const [code, , host] = await failure(pull(registry.host, { insecure: [registry.host] }));
    expect([code, host]).toEqual(['REGISTRY_UNTRUSTED', undefined]);
  });
});

describe('a client certificate', () => {
  test('is shown to the registry it is set for', async () => {
    const host = serveMutual(good);
    const pair = { certificate: client.certificate, key: client.key };
    expect((await pull(host, trusting(host, { client: pair }))).length).toBe(1);
  });

  test('is found in a certs.d directory', async () => {
    const host = serveMutual(good);
    const files = {
      'ca.crt': authority.certificate,
      'client.cert': client.certificate,
      'client.key': client.key,
    };
    expect((await pull(host, { certsDirs: [certsDir(host, files)] })).length).toBe(1);
  });

  test('is shown to an insecure registry too', async () => {
    const host = serveMutual(good);
    const files = { 'client.cert': client.certificate, 'client.key': client.key };
    expect((await pull(host, { insecure: [host], certsDirs: [certsDir(host, files)] })).length).toBe(1);
  });

  test('that is wanted and missing is what the error speaks of', async () => {
    const host = serveMutual(good);
    expect((await failure(pull(host, trusting(host))))[0]).toBe('REGISTRY_HANDSHAKE');
  });

  test('is not shown to a host that a registry redirects to', async () => {
    const asked: string[] = [];
    const server = Bun.serve({
      hostname: '127.0.0.1',
      port: 0,
      // Asks for a certificate and takes the lack of one.
      tls: {
        ...pemOf(good),
        ca: readFileSync(authority.certificate, 'utf8'),
        requestCert: true,
        rejectUnauthorized: true,
      },
      fetch(request) {
        asked.push(request.url);
        return new Response('no');
      },
    });
    started.push({ stop: () => server.stop(true) });
    const redirect = `HTTP/1.1 307 x\r\nlocation: https://localhost:${server.port}/x\r\ncontent-length: 0\r\n\r\n`;
    const registry = fakeRegistry(image, {
      tls: pemOf(good),
      override: async (request, answer) => {
        if (request.target.includes('/blobs/')) await answer.write(redirect);
        else await answer.write(contentAnswer(request, image.manifest, undefined));
        return true;
      },
    });
    started.push(registry);
    const host = `localhost:${registry.port}`;
    const other = { ...defaultHost, ca: [authority.certificate] };
    const mine = { ...other, client: { certificate: client.certificate, key: client.key } };
    const hosts = { [host]: mine, [`localhost:${server.port}`]: other };
    expect((await failure(pull(host, { hosts })))[0]).toBe('REGISTRY_HANDSHAKE');
    expect(asked).toEqual([]);
  });
});

describe('a file that is no certificate is named', () => {
  const cases: readonly [string, string, string][] = [
    ['empty', '', 'no certificate in PEM form'],
    ['text', 'hello', 'no certificate in PEM form'],
    ['broken', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n', 'cannot be read'],
  ];
  test.each(cases)('%s', async (name, content, words) => {
    const { host } = serve(good);
    const path = dir.at(`${name}.pem`);
    writeFileSync(path, content);
    const error = await rejection(pull(host, { hosts: { [host]: { ...defaultHost, ca: [path] } } }));
    expect([error.code, error.subject['path']]).toEqual(['CONFIG_INVALID', path]);
    expect(String(error.subject['reason'])).toContain(words);
  });

  test('missing', async () => {
    const { host } = serve(good);
    const error = await rejection(
      pull(host, { hosts: { [host]: { ...defaultHost, ca: [dir.at('nowhere.pem')] } } }),
    );
    expect([error.code, error.subject['path']]).toEqual(['CONFIG_INVALID', dir.at('nowhere.pem')]);
  });

  const pairs: readonly [
    string,
    (files: Record<string, string>) => Record<string, string>,
    string,
    string,
  ][] = [
    [
      'half a pair',
      ({ cert = '' }) => ({ 'client.cert': cert }),
      'client.cert',
      'there is no .key of the same name',
    ],
    [
      'the other half',
      ({ key = '' }) => ({ 'client.key': key }),
      'client.key',
      'there is no .cert of the same name',
    ],
    [
      'a key of another certificate',
      ({ cert = '', other = '' }) => ({ 'client.cert': cert, 'client.key': other }),
      'client.key',
      'does not belong to the certificate in',
    ],
    [
      'a key with a passphrase',
      ({ cert = '', locked = '' }) => ({ 'client.cert': cert, 'client.key': locked }),
      'client.key',
      'protected by a passphrase',
    ],
    [
      'no key',
      ({ cert = '' }) => ({ 'client.cert': cert, 'client.key': cert }),
      'client.key',
      'no private key',
    ],
    [
      'a broken key',
      ({ cert = '', broken = '' }) => ({ 'client.cert': cert, 'client.key': broken }),
      'client.key',
      'a private key that cannot be read',
    ],
    [
      'a key for a certificate',
      ({ key = '' }) => ({ 'client.cert': key, 'client.key': key }),
      'client.cert',
      'no certificate in PEM form',
    ],
  ];
  test.each(pairs)('%s', async (_what, arrange, file, words) => {
    const { host } = serve(good);
    const [locked, broken] = [dir.at('locked.key'), dir.at('broken.key')];
    const { privateKey } = generateKeyPairSync('ec', {
      namedCurve: 'P-256',
      publicKeyEncoding: { type: 'spki', format: 'pem' },
      privateKeyEncoding: { type: 'pkcs8', format: 'pem', cipher: 'aes-256-cbc', passphrase: 'x' },
    });
    writeFileSync(locked, privateKey);
    writeFileSync(broken, '-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n');
    const files = arrange({ cert: client.certificate, key: client.key, other: good.key, locked, broken });
    const base = certsDir(host, { 'ca.crt': authority.certificate, ...files });
    const error = await rejection(pull(host, { certsDirs: [base] }));
    expect([error.code, error.subject['path']]).toEqual(['CONFIG_INVALID', `${base}/${host}/${file}`]);
    expect(String(error.subject['reason'])).toContain(words);
    // The same files from the settings, where each is named by itself.
    const pair = { certificate: `${base}/${host}/client.cert`, key: `${base}/${host}/client.key` };
    const settings = { [host]: { ...defaultHost, ca: [authority.certificate], client: pair } };
    expect((await rejection(pull(host, { hosts: settings }))).code).toBe('CONFIG_INVALID');
    // An insecure registry gets the client's certificate too, so its faults are the same.
    expect((await rejection(pull(host, { insecure: [host], hosts: settings }))).code).toBe('CONFIG_INVALID');
  });
});

test('finding out whether an insecure registry has TLS does not hold up who is stopped', async () => {
  const asked = Promise.withResolvers<string>();
  const silent = rawServer(({ target }) => asked.resolve(target), { tls: pemOf(good) });
  started.push(silent);
  const source = registrySource(`docker://${silent.host}/app`, { policy: { insecure: [silent.host] } });
  const stop = new AbortController();
  const resolved = rejection(source.resolve(stop.signal));
  expect(await asked.promise).toBe('/v2/');
  const stopped = performance.now();
  stop.abort(new Error('stopped'));
  expect(String(await resolved)).toBe('Error: stopped');
  // It has 4 seconds for an answer that never comes.
  expect(performance.now() - stopped).toBeLessThan(2000);
  await source.close();
});
