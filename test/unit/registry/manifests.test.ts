/** Tags, digests, configurations: how few requests they cost, and what is believed (hostile rows 43, 49, 57). */
import { afterEach, describe, expect, test } from 'bun:test';
import { sha256Hex } from '../../../lib/base/digest.ts';
import { OCI_INDEX, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import type { RegistryRule } from '../../../lib/registry/policy/policy.ts';
import {
  blobOf,
  descriptor,
  errorAnswer,
  type FakeRegistry,
  type FakeRegistryOptions,
  fakeImage,
  fakeRegistry,
  noise,
  type Override,
} from '../../support/registries/fake-registry.ts';
import { head, type RawServer, rawServer, whole } from '../../support/registries/raw-server.ts';
import {
  everSeen,
  login,
  MemoryCache,
  NEVER,
  RecordingLog,
  readImage,
  registrySource,
  rejection,
  type TestSourceOptions,
} from '../../support/registries/registry-client.ts';

const image = fakeImage([noise(2000, 1), noise(2000, 2)]);
const { manifest, config } = image;

const started: RawServer[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});
function registry(options: FakeRegistryOptions = {}, of = image): FakeRegistry {
  const made = fakeRegistry(of, options);
  started.push(made);
  return made;
}

async function resolve(of: FakeRegistry, suffix = ':latest', options: TestSourceOptions = {}) {
  const source = registrySource(of.image(suffix), {
    ...options,
    policy: { insecure: [of.host], ...options.policy },
  });
  try {
    return await source.resolve(NEVER);
  } finally {
    await source.close();
  }
}

/** The requests without the question whether there is TLS. */
const asked = (of: FakeRegistry) =>
  of.requests
    .filter(({ target }) => target.startsWith('/v2/app/'))
    .map(({ method, target }) => `${method} ${target.slice(8)}`);

describe('what an image costs', () => {
  test('a tag of which nothing is remembered: manifest, configuration', async () => {
    const of = registry();
    expect((await resolve(of)).manifestDigest).toBe(manifest.digest as never);
    expect(asked(of)).toEqual(['GET manifests/latest', `GET blobs/${config.digest}`]);
  });

  test('a tag whose manifest has changed: one HEAD, manifest, configuration', async () => {
    const of = registry();
    expect((await resolve(of, ':latest', { seen: everSeen })).manifestDigest).toBe(manifest.digest as never);
    expect(asked(of)).toEqual([
      'HEAD manifests/latest',
      `GET manifests/${manifest.digest}`,
      `GET blobs/${config.digest}`,
    ]);
  });

  test('a tag whose manifest is in the cache: one HEAD', async () => {
    const [of, cache, names] = [registry(), new MemoryCache(), new Set<string>()];
    const seen = { has: (name: string) => names.has(name), add: (name: string) => names.add(name) };
    const first = await resolve(of, ':latest', { cache, seen });
    const before = asked(of).length;
    expect(await resolve(of, ':latest', { cache, seen })).toEqual(first);
    expect(asked(of).slice(before)).toEqual(['HEAD manifests/latest']);
  });

  test('a digest that is in the cache: nothing, not even a connection', async () => {
    const [of, cache] = [registry(), new MemoryCache()];
    await resolve(of, `@${manifest.digest}`, { cache });
    const before = of.connections();
    expect((await resolve(of, `@${manifest.digest}`, { cache })).layers.length).toBe(2);
    expect((await resolve(of, `:whatever@${manifest.digest}`, { cache })).layers.length).toBe(2);
    expect(of.connections()).toBe(before);
  });

  const stranger = `sha256:${'0'.repeat(64)}`;
  const without = { 'content-length': manifest.bytes.length, 'content-type': OCI_MANIFEST };
  const named = (digest: string) => head(200, { ...without, 'docker-content-digest': digest });
  const heads: readonly [string, () => string][] = [
    ['no digest', () => head(200, without)],
    ['a digest of another kind', () => named('sha512:00')],
    ['garbage for a digest', () => named('garbage')],
    ['a digest in capitals', () => named(`sha256:${'A'.repeat(64)}`)],
    ['two digests', () => named(`${stranger}\r\ndocker-content-digest: ${manifest.digest}`)],
    ['the digest of what is no longer there', () => named(stranger)],
    ['the digest of something else', () => named(config.digest)],
    ['nothing, and hangs up', () => 'cut'],
    ...[400, 403, 404, 405, 429, 500, 502, 503, 504].map((status): [string, () => string] => [
      String(status),
      () => head(status, { 'content-length': 0 }),
    ]),
  ];
  test.each(heads)('a registry whose answer to HEAD is %s: a GET of the tag', async (_what, make) => {
    const of = registry({
      override: async (request, answer) => {
        if (request.method !== 'HEAD') return false;
        const bytes = make();
        if (bytes === 'cut') answer.cut();
        else await answer.write(bytes);
        return true;
      },
    });
    expect((await resolve(of, ':latest', { seen: everSeen })).manifestDigest).toBe(manifest.digest as never);
    expect(asked(of).filter((line) => line.startsWith('HEAD'))).toEqual(['HEAD manifests/latest']);
    expect(asked(of)).toContain('GET manifests/latest');
  });

  test('connections are kept: one serves all small requests', async () => {
    const of = registry();
    await resolve(of);
    // One for the question whether there is TLS, which the server closes; one to see that it speaks HTTP.
    expect(of.connections()).toBeLessThanOrEqual(3);
  });

  test('with tag and digest the digest decides', async () => {
    const of = registry();
    expect((await resolve(of, `:other@${manifest.digest}`)).manifestDigest).toBe(manifest.digest as never);
    expect(asked(of)[0]).toBe(`GET manifests/${manifest.digest}`);
  });

  test('a tag is refused where digests are required, before any request', async () => {
    const of = registry();
    const error = await rejection(
      resolve(of, ':latest', { policy: { insecure: [of.host], requireDigest: true } }),
    );
    expect([error.code, error.subject['reference']]).toEqual(['REGISTRY_NOT_PINNED', of.image(':latest')]);
    expect(of.requests.length).toBe(0);
    const pinned = { policy: { insecure: [of.host], requireDigest: true } };
    expect((await resolve(of, `@${manifest.digest}`, pinned)).layers.length).toBe(2);
  });
});

test('an address of IPv6 is a host like any other', async () => {
  const of = registry({ hostname: '::1' });
  expect(of.host).toStartWith('[::1]:');
  expect((await readImage(of.image(':latest'), { policy: { insecure: [of.host] } })).length).toBe(2);
  expect(of.requests.at(-1)?.headers.get('host')).toBe(of.host);
});

describe('what is not believed', () => {
  const answering =
    (match: string, make: () => Uint8Array): Override =>
    async (request, answer) => {
      if (request.method !== 'GET' || !request.target.includes(match)) return false;
      await answer.write(make());
      return true;
    };

  test('a manifest with another digest than was asked for', async () => {
    const of = registry({
      override: answering('/manifests/sha256', () =>
        whole(200, `${manifest.bytes} `, { 'content-type': OCI_MANIFEST }),
      ),
    });
    const error = await rejection(resolve(of, `@${manifest.digest}`));
    expect([error.code, error.subject['expected']]).toEqual(['IMAGE_DIGEST_MISMATCH', manifest.digest]);
  });

  describe('schema 1, whose digest is of what was signed', () => {
    /** As distribution signs: the signatures stand before the last brace, and the header says how it was without. */
    function signed(unsigned: string) {
      const header = {
        formatLength: unsigned.length - 2,
        formatTail: Buffer.from('\n}').toString('base64url'),
      };
      const protectedHeader = Buffer.from(JSON.stringify(header)).toString('base64url');
      const signatures = JSON.stringify([{ header: {}, signature: 'x', protected: protectedHeader }]);
      const bytes = `${unsigned.slice(0, -2)},\n"signatures": ${signatures}\n}`;
      return { bytes, digest: blobOf(unsigned, '').digest };
    }
    const old = signed(
      '{\n"schemaVersion": 1,\n"name": "app",\n"tag": "latest",\n"fsLayers": [],\n"history": []\n}',
    );
    const type = 'application/vnd.docker.distribution.manifest.v1+prettyjws';
    const serving = (bytes: string) =>
      registry({ override: answering('/manifests/', () => whole(200, bytes, { 'content-type': type })) });
    const failing = async (bytes: string, suffix: string) =>
      (await rejection(resolve(serving(bytes), suffix))).code;

    test('is called that, by digest and by tag', async () => {
      expect(await failing(old.bytes, `@${old.digest}`)).toBe('IMAGE_SCHEMA1');
      expect(await failing(old.bytes, ':latest')).toBe('IMAGE_SCHEMA1');
    });

    test('is something else when what was signed is something else', async () => {
      const changed = old.bytes.replace('"app"', '"bad"');
      expect(await failing(changed, `@${old.digest}`)).toBe('IMAGE_DIGEST_MISMATCH');
      for (const header of [
        '',
        'null',
        '{}',
        '{"formatLength":-1,"formatTail":""}',
        '{"formatLength":1e9,"formatTail":""}',
      ]) {
        const bytes = JSON.stringify({
          schemaVersion: 1,
          signatures: [{ protected: Buffer.from(header).toString('base64url') }],
        });
        expect(await failing(bytes, `@${old.digest}`)).toBe('IMAGE_DIGEST_MISMATCH');
      }
      expect(await failing('{"schemaVersion":1,"signatures":[null]}', `@${old.digest}`)).toBe(
        'IMAGE_DIGEST_MISMATCH',
      );
    });
  });

  describe('headers', () => {
    const content = (more: string) => () =>
      Buffer.concat([
        Buffer.from(`HTTP/1.1 200 OK\r\ncontent-type: ${OCI_MANIFEST}\r\n${more}\r\n`),
        Buffer.from(manifest.bytes),
      ]);
    const length = `content-length: ${manifest.bytes.length}\r\n`;
    const other = `content-length: ${manifest.bytes.length + 1}\r\n`;
    const digest = `docker-content-digest: ${manifest.digest}\r\n`;

    test('that come twice and are equal are one', async () => {
      const more = `${length}${length}${digest}${digest}content-type: ${OCI_MANIFEST}\r\n`;
      const of = registry({ override: answering('/manifests/', content(more)) });
      expect((await resolve(of)).manifestDigest).toBe(manifest.digest as never);
    });

    test.each([
      ['two lengths', `${length}${other}`],
      ['two digests', `${length}${digest}docker-content-digest: ${config.digest}\r\n`],
    ])('that come twice and differ are refused: %s', async (_what, more) => {
      const of = registry({ override: answering('/manifests/', content(more)) });
      expect((await rejection(resolve(of))).code).toBe('REGISTRY_BAD_RESPONSE');
    });
  });

  test('a configuration with another digest', async () => {
    const changed = Buffer.from(config.bytes);
    changed[0] = 0x20;
    const of = registry({ override: answering(`/blobs/${config.digest}`, () => whole(200, changed)) });
    const error = await rejection(resolve(of));
    expect([error.code, error.subject['actual']]).toEqual([
      'IMAGE_DIGEST_MISMATCH',
      `sha256:${sha256Hex(changed)}`,
    ]);
  });

  test('a cache with other bytes than it should have: it is asked for again', async () => {
    const [of, cache] = [registry(), new MemoryCache()];
    cache.put(manifest.digest, { bytes: Buffer.from('{"rotten":true}'), grade: 'everybody' });
    cache.put(config.digest, { bytes: new Uint8Array(), grade: 'everybody' });
    expect((await resolve(of, `@${manifest.digest}`, { cache })).layers.length).toBe(2);
    expect(cache.get(manifest.digest)?.bytes).toEqual(manifest.bytes);
    expect(cache.get(config.digest)?.bytes).toEqual(config.bytes);
  });

  test('a manifest that was refused does not come out of the cache the next time', async () => {
    const [of, cache] = [
      registry({
        override: answering('/manifests/sha256', () =>
          whole(200, manifest.bytes, { 'content-type': OCI_INDEX }),
        ),
      }),
      new MemoryCache(),
    ];
    for (let i = 0; i < 2; i += 1) {
      expect((await rejection(resolve(of, `@${manifest.digest}`, { cache }))).code).toBe(
        'IMAGE_BAD_MANIFEST',
      );
      expect(cache.kept.size).toBe(0);
    }
  });

  test('a manifest without an end is read up to 4 MiB', async () => {
    let wrote = 0;
    const of = registry({
      override: async (request, answer) => {
        if (request.method !== 'GET' || !request.target.includes('/manifests/')) return false;
        await answer.write(head(200, { 'content-type': OCI_MANIFEST, 'transfer-encoding': 'chunked' }));
        const chunk = Buffer.alloc(65536, ' ');
        let gone = false;
        answer.gone.then(() => {
          gone = true;
        });
        for (; !gone && wrote < 256 * 1024 * 1024; wrote += chunk.length) {
          await answer.write(`${chunk.length.toString(16)}\r\n`);
          await answer.write(chunk);
          await answer.write('\r\n');
        }
        return true;
      },
    });
    const error = await rejection(resolve(of));
    expect([error.code, error.subject['what'], error.subject['limit']]).toEqual([
      'REGISTRY_BODY_TOO_LARGE',
      'a manifest',
      4194304,
    ]);
    expect(wrote).toBeLessThan(32 * 1024 * 1024);
  });

  test('a configuration is read up to its declared size', async () => {
    const of = registry({
      override: answering(`/blobs/${config.digest}`, () => whole(200, Buffer.alloc(config.bytes.length + 1))),
    });
    const error = await rejection(resolve(of));
    expect([error.code, error.subject['limit']]).toEqual(['REGISTRY_BODY_TOO_LARGE', config.bytes.length]);
  });

  test('a compressed answer is taken as it is: digests are of the bytes on the wire', async () => {
    const packed = Bun.gzipSync(Buffer.from(manifest.bytes));
    const of = registry({
      override: answering('/manifests/sha256', () =>
        whole(200, packed, { 'content-type': OCI_MANIFEST, 'content-encoding': 'gzip' }),
      ),
    });
    const error = await rejection(resolve(of, `@${manifest.digest}`));
    expect([error.code, error.subject['actual']]).toEqual([
      'IMAGE_DIGEST_MISMATCH',
      `sha256:${sha256Hex(packed)}`,
    ]);
    expect(of.requests.at(-1)?.headers.get('accept-encoding')).toBe('identity');
  });

  test('the number of bytes an index promises for a manifest', async () => {
    const entry = {
      ...descriptor(manifest),
      size: manifest.bytes.length + 1,
      platform: { os: 'linux', architecture: 'amd64' },
    };
    const index = blobOf(
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [entry] }),
      OCI_INDEX,
    );
    const pinned = registry({
      override: async (request, answer) => {
        if (!request.target.endsWith(index.digest)) return false;
        await answer.write(whole(200, index.bytes, { 'content-type': OCI_INDEX }));
        return true;
      },
    });
    expect((await rejection(resolve(pinned, `@${index.digest}`))).code).toBe('IMAGE_BAD_MANIFEST');
  });
});

describe('a registry says in its own words what is wrong', () => {
  const failing = (status: number, body: string, headers = {}) =>
    registry({
      override: async (request, answer) => {
        if (request.target === '/') return false;
        const whole_ = whole(status, request.method === 'HEAD' ? '' : body, headers);
        await answer.write(whole_);
        return true;
      },
    });
  const errors = (...messages: unknown[]) => JSON.stringify({ errors: messages });

  test.each([
    [
      404,
      errors({ code: 'MANIFEST_UNKNOWN', message: 'manifest unknown' }),
      'REGISTRY_NOT_FOUND',
      'manifest unknown',
    ],
    [404, errors({ code: 'NAME_UNKNOWN' }), 'REGISTRY_NOT_FOUND', 'name unknown'],
    [404, '', 'REGISTRY_NOT_FOUND', 'manifest unknown'],
    [
      403,
      errors({ code: 'DENIED', message: 'not for you' }, { message: 'nor me' }),
      'REGISTRY_DENIED',
      'not for you; nor me',
    ],
    [403, '', 'REGISTRY_DENIED', 'requested access to the resource is denied'],
    [
      418,
      '<html><head><title>418 I am a teapot</title></head><body>x</body></html>',
      'REGISTRY_ERROR',
      '418 I am a teapot',
    ],
    [418, '<html><body>long</body></html>', 'REGISTRY_ERROR', 'no explanation'],
    [418, 'plain words', 'REGISTRY_ERROR', 'plain words'],
    [418, '{"message":"one message"}', 'REGISTRY_ERROR', 'one message'],
    [418, errors('text', null, 5), 'REGISTRY_ERROR', '{"errors":["text",null,5]}'],
    [418, '\u0000\u001b[31mred\u001b[0m\r\nforged: line', 'REGISTRY_ERROR', '[31mred [0m forged: line'],
  ])('status %d, %p', async (status, body, code, reason) => {
    const error = await rejection(resolve(failing(status, body)));
    expect([error.code, error.subject['reason']]).toEqual([code, reason]);
  });

  test('which are cut to a length that fits a sentence, and not read beyond 16 KiB', async () => {
    const error = await rejection(resolve(failing(418, errors({ message: 'x'.repeat(9000) }))));
    expect(String(error.subject['reason']).length).toBeLessThanOrEqual(401);
    const endless = await rejection(resolve(failing(418, 'y'.repeat(8 * 1024 * 1024))));
    expect(String(endless.subject['reason'])).toBe(`${'y'.repeat(200)}…`);
  });
});

describe('rate limits', () => {
  function limited(times: number, headers: Record<string, string | number>) {
    let left = times;
    return registry({
      override: async (request, answer) => {
        if (request.target === '/' || left === 0) return false;
        left -= 1;
        await answer.write(
          errorAnswer(429, 'TOOMANYREQUESTS', 'You have reached your pull rate limit.', headers),
        );
        return true;
      },
    });
  }

  test('are waited for as long as the registry says', async () => {
    const log = new RecordingLog();
    const of = limited(1, { 'retry-after': 0 });
    await resolve(of, ':latest', { log });
    expect(log.of('registry-retry')).toMatchObject([{ code: 'REGISTRY_RATE_LIMITED', attempt: 1 }]);
  });

  test('beyond what is waited for fail at once, naming the limit and when it ends', async () => {
    const of = limited(99, { 'retry-after': 315_360_000, 'ratelimit-limit': '100;w=21600' });
    const error = await rejection(resolve(of));
    expect(error.code).toBe('REGISTRY_RATE_LIMITED');
    expect(error.subject).toEqual({
      registry: of.host,
      reason: 'You have reached your pull rate limit.',
      limit: '100 pulls in 6 hours',
      retryAfterSeconds: 315_360_000,
    });
    expect(asked(of).length).toBe(1);
  });

  test('with a date are waited for until then', async () => {
    const of = limited(99, { 'retry-after': new Date(Date.now() + 3_600_000).toUTCString() });
    const error = await rejection(resolve(of));
    expect(Number(error.subject['retryAfterSeconds'])).toBeGreaterThan(3500);
    expect(Number(error.subject['retryAfterSeconds'])).toBeLessThanOrEqual(3600);
  });

  test('in the past, or in words nobody knows, are retried with the usual pauses', async () => {
    for (const value of ['Thu, 01 Jan 1970 00:00:00 GMT', 'soon', '-5']) {
      expect((await resolve(limited(2, { 'retry-after': value }))).layers.length).toBe(2);
      expect((await rejection(resolve(limited(99, { 'retry-after': value })))).code).toBe(
        'REGISTRY_RATE_LIMITED',
      );
    }
  });

  test('longer than the deadline of the whole image end with the deadline', async () => {
    const of = limited(99, { 'retry-after': 30 });
    const deadlines = {
      connectMs: 1000,
      answerMs: 1000,
      idleMs: 1000,
      slowWindowMs: 1000,
      slowBytesPerSecond: 0,
      totalMs: 100,
    };
    const error = await rejection(resolve(of, ':latest', { policy: { insecure: [of.host], deadlines } }));
    expect([error.code, error.subject['step']]).toEqual(['REGISTRY_DEADLINE', 'the whole image']);
  });
});

describe('mirrors', () => {
  const rule = (
    of: FakeRegistry,
    mirrors: readonly (readonly [string, RegistryRule['mirrors'][number]['pulls']])[],
  ): RegistryRule => ({
    prefix: of.host,
    location: of.host,
    insecure: true,
    blocked: false,
    mirrors: mirrors.map(([location, pulls]) => ({ location, insecure: true, pulls })),
    from: 'test',
  });
  const through = (of: FakeRegistry, mirrors: Parameters<typeof rule>[1], options: TestSourceOptions = {}) =>
    readImage(of.image(':latest'), { ...options, policy: { rules: [rule(of, mirrors)], ...options.policy } });

  test('give content; the tag is resolved by the registry', async () => {
    const [of, mirror] = [registry(), registry()];
    await through(of, [[mirror.host, 'digest-only']]);
    expect(asked(of)).toEqual(['HEAD manifests/latest']);
    expect(asked(mirror).length).toBe(4);
    expect(mirror.asked('latest').length).toBe(0);
  });

  test('that are trusted resolve tags too; the registry is not asked at all', async () => {
    const [of, mirror] = [registry(), registry()];
    await through(of, [[mirror.host, 'all']]);
    expect(of.requests.length).toBe(0);
    expect(asked(mirror)[0]).toBe('GET manifests/latest');
  });

  test('for tags alone give no content', async () => {
    const [of, mirror] = [registry(), registry()];
    await through(of, [[mirror.host, 'tag-only']]);
    expect(asked(mirror)).toEqual(['HEAD manifests/latest']);
    expect(asked(of).length).toBe(4);
  });

  test('that lie about a tag cannot, where they are not trusted', async () => {
    const other = fakeImage([noise(10, 99)]);
    const [of, mirror] = [registry(), registry({}, other)];
    expect(await through(of, [[mirror.host, 'digest-only']])).toEqual(
      image.layers.map(({ digest }) => digest),
    );
  });

  test('are asked in order, and passed over when they have nothing', async () => {
    const empty = fakeImage([noise(10, 98)]);
    const [of, first, second] = [registry(), registry({}, empty), registry()];
    const log = new RecordingLog();
    await through(
      of,
      [
        [first.host, 'digest-only'],
        [second.host, 'digest-only'],
      ],
      { log },
    );
    expect(asked(first).length).toBe(4);
    expect(asked(second).length).toBe(4);
    expect(log.of('mirror-passed-over').map(({ mirror, code }) => [mirror, code])).toEqual(
      Array.from({ length: 4 }, () => [first.host, 'REGISTRY_NOT_FOUND']),
    );
  });

  test('that cannot be reached are asked once in a run', async () => {
    const of = registry();
    const gone = registry();
    await gone.stop();
    const log = new RecordingLog();
    await through(of, [[gone.host, 'all']], { log });
    expect(log.of('mirror-passed-over').map(({ code }) => code)).toEqual(['REGISTRY_UNREACHABLE']);
  });

  test('that break in the middle of a layer are gone on from elsewhere, at the very byte', async () => {
    const layer = image.layers[0] ?? image.config;
    let cut = 0;
    const mirror = registry({
      override: async (request, answer) => {
        if (!request.target.endsWith(layer.digest)) return false;
        cut += 1;
        await answer.write(head(200, { 'content-length': layer.bytes.length }));
        if (cut === 1) await answer.write(layer.bytes.subarray(0, 700));
        answer.end();
        return true;
      },
    });
    const of = registry();
    await through(of, [[mirror.host, 'digest-only']]);
    expect(of.asked(layer.digest).length).toBe(1);
  });

  test('with other bytes for a manifest are passed over; the next one has it', async () => {
    const mirror = registry({
      override: async (request, answer) => {
        if (!request.target.includes('/manifests/sha256')) return false;
        await answer.write(whole(200, '{"forged":true}', { 'content-type': OCI_MANIFEST }));
        return true;
      },
    });
    const of = registry();
    expect((await through(of, [[mirror.host, 'digest-only']])).length).toBe(2);
  });

  test('that want a login do not get the registry’s', async () => {
    const wants: Override = async (request, answer) => {
      if (request.target === '/' || request.target === '/v2/') return false;
      await answer.write(
        errorAnswer(401, 'UNAUTHORIZED', 'log in', { 'www-authenticate': 'Basic realm="x"' }),
      );
      return true;
    };
    const [of, mirror] = [registry(), registry({ override: wants })];
    await through(of, [[mirror.host, 'all']], {
      credentials: login('me', 'S3CRET'),
    });
    expect(
      mirror.requests.map(({ headers }) => headers.get('authorization')).filter((value) => value !== null),
    ).toEqual([]);
  });

  test('that all fail leave the registry’s own error', async () => {
    const [of, mirror] = [registry({}, fakeImage([])), registry({}, fakeImage([noise(1)]))];
    const error = await rejection(
      readImage(of.image(`@${manifest.digest}`), { policy: { rules: [rule(of, [[mirror.host, 'all']])] } }),
    );
    expect([error.code, error.subject['registry']]).toEqual(['REGISTRY_NOT_FOUND', of.host]);
  });

  test('a blocked registry is not asked, and its mirrors are not either', async () => {
    const [of, mirror] = [registry(), registry()];
    const error = await rejection(
      readImage(of.image(':latest'), {
        policy: { rules: [{ ...rule(of, [[mirror.host, 'all']]), blocked: true }] },
      }),
    );
    expect([error.code, error.subject['by']]).toEqual(['REGISTRY_BLOCKED', 'test']);
    expect(of.requests.length + mirror.requests.length).toBe(0);
  });
});

test('an insecure registry with a handshake that hangs is given up like any other', async () => {
  const silent = rawServer(() => {});
  started.push(silent);
  const error = await rejection(
    readImage(`docker://${silent.host}/app:1`, {
      policy: {
        insecure: [silent.host],
        deadlines: {
          connectMs: 30,
          answerMs: 60,
          idleMs: 60,
          slowWindowMs: 100,
          slowBytesPerSecond: 0,
          totalMs: undefined,
        },
      },
    }),
  );
  expect(error.code).toBe('REGISTRY_DEADLINE');
});
