/** Whom we believe, host by host, and what is said about those we do not. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { RegistryPolicy } from '../../../lib/registry/policy.ts';
import { defaultHost } from '../../../lib/registry/policy.ts';
import { issue, makeAuthority, type Pair, pemOf } from '../../support/certificates.ts';
import { contentAnswer, fakeImage, fakeRegistry, noise } from '../../support/fake-registry.ts';
import { rawServer } from '../../support/raw-server.ts';
import { RecordingLog, readImage, registrySource, rejection } from '../../support/registry-client.ts';
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

/** A registry with this certificate, under the name that goes with it. */
function serve(pair: Pair, hostname = 'localhost') {
  const registry = fakeRegistry(image, { tls: pemOf(pair) });
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
    // One question without a path, a name or a secret, to tell the two apart.
    expect(registry.requests.map(({ method, target }) => `${method} ${target}`)).toEqual(['HEAD /']);
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

  test('half a pair', async () => {
    const { host } = serve(good);
    const certsDirs = [certsDir(host, { 'client.cert': client.certificate })];
    const error = await rejection(pull(host, { certsDirs }));
    expect([error.code, String(error.subject['path'])]).toEqual([
      'CONFIG_INVALID',
      `${certsDirs[0]}/${host}/client.cert`,
    ]);
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
