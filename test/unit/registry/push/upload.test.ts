/** Blobs on their way to a registry, most of which misbehave. */
import { afterEach, expect, test } from 'bun:test';
import { digestOf } from '../../../../lib/base/digest.ts';
import type { RegistryPolicy } from '../../../../lib/registry/policy/policy.ts';
import { PushClient } from '../../../../lib/registry/push/push-client.ts';
import { errorAnswer, noise } from '../../../support/registries/fake-registry.ts';
import {
  type PushRegistry,
  type PushRegistryOptions,
  pushRegistry,
} from '../../../support/registries/push-registry.ts';
import { type RawAnswer, type RawRequest, rawServer, whole } from '../../../support/registries/raw-server.ts';
import {
  login,
  NEVER,
  RecordingLog,
  registryReference,
  rejection,
  testPolicy,
} from '../../../support/registries/registry-client.ts';

const SMALL = noise(100_000);
/** More than is sent with the request that completes an upload. */
const LARGE = noise(4_300_000, 2);

const running: { stop(): Promise<void> | void }[] = [];
afterEach(async () => {
  for (const one of running.splice(0)) await one.stop();
});

interface Setting {
  readonly options?: PushRegistryOptions;
  readonly policy?: Partial<RegistryPolicy>;
  readonly mountFrom?: readonly string[];
}

function start({ options = {}, policy = {}, mountFrom = [] }: Setting = {}) {
  const registry = pushRegistry(options);
  running.push(registry);
  return { registry, client: clientOf(registry, policy, mountFrom) };
}

function clientOf(
  registry: Pick<PushRegistry, 'host'>,
  policy: Partial<RegistryPolicy>,
  mountFrom: readonly string[] = [],
) {
  const client = new PushClient({
    reference: registryReference(`docker://${registry.host}/app`),
    credentials: undefined,
    policy: testPolicy({ insecure: [registry.host], ...policy }),
    mountFrom,
    log: new RecordingLog(),
  });
  running.push({ stop: () => client.close() });
  return client;
}

function blobOf(bytes: Uint8Array, digest = digestOf(bytes)) {
  const opened: number[] = [];
  return {
    digest,
    size: bytes.length,
    opened,
    open: async function* (from: number) {
      opened.push(from);
      for (let at = from; at < bytes.length; at += 100_000) yield bytes.subarray(at, at + 100_000);
    },
  };
}

const send = (client: PushClient, bytes: Uint8Array, signal = NEVER) =>
  client.blob(blobOf(bytes), () => {}, signal);
const parts = (registry: PushRegistry) => registry.requests.filter(({ method }) => method === 'PATCH');
const isPart = ({ method }: { method: string }) => method === 'PATCH';

test('a small blob goes with one request, a large one in one part, and neither twice', async () => {
  const { registry, client } = start();
  let told = 0;
  expect(await client.blob(blobOf(SMALL), (bytes) => (told += bytes), NEVER)).toBe('uploaded');
  expect(told).toBe(SMALL.length);
  expect(registry.done()).toEqual(['HEAD blobs', 'POST uploads', 'PUT uploads']);
  expect(await send(client, LARGE)).toBe('uploaded');
  expect(registry.done().slice(3)).toEqual(['HEAD blobs', 'POST uploads', 'PATCH uploads', 'PUT uploads']);
  expect(parts(registry)[0]?.headers.get('content-range')).toBeNull();
  expect(Buffer.compare(registry.blobs.get(digestOf(LARGE)) ?? Buffer.alloc(0), LARGE)).toBe(0);
  expect(await send(client, LARGE)).toBe('there');
  expect(registry.done().slice(7)).toEqual(['HEAD blobs']);
});

test('an empty blob is sent', async () => {
  const { registry, client } = start();
  expect(await send(client, new Uint8Array())).toBe('uploaded');
  expect([...registry.blobs.values()].map(({ length }) => length)).toEqual([0]);
});

test('a blob is sent where no repository has it or mounts are refused', async () => {
  const { registry, client } = start({
    mountFrom: ['other', 'third'],
    options: {
      override: async (request, answer) => {
        if (!request.target.includes('from=other')) return false;
        await answer.write(errorAnswer(405, 'UNSUPPORTED'));
        return true;
      },
    },
  });
  expect(await send(client, SMALL)).toBe('uploaded');
  const asked = registry.requests.flatMap(({ target }) => /from=\w+/.exec(target) ?? []);
  expect(asked.map(String)).toEqual(['from=other', 'from=third']);
  expect(registry.uploads.size).toBe(0);
});

test('a mount is all that is asked for', async () => {
  const { registry, client } = start({
    mountFrom: ['other'],
    options: {
      override: (r, a) =>
        r.method === 'HEAD'
          ? a.write('HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n').then(() => true)
          : false,
    },
  });
  registry.blobs.set(digestOf(LARGE), Buffer.from(LARGE));
  expect(await send(client, LARGE)).toBe('mounted');
  expect(registry.done()).toEqual(['HEAD blobs', 'POST uploads']);
});

test('an upload that breaks off goes on where the registry says', async () => {
  let cuts = 0;
  const { registry, client } = start({
    options: {
      early: (request, answer) => {
        if (!isPart(request) || cuts > 0 || request.body.length < 1_000_000) return false;
        cuts += 1;
        const id = /uploads\/(\w+)/.exec(request.target)?.[1] ?? '';
        registry.uploads.set(id, Buffer.from(request.body, 'latin1').subarray(0, 900_000));
        answer.cut();
        return true;
      },
    },
  });
  expect(await send(client, LARGE)).toBe('uploaded');
  expect(parts(registry).map(({ headers }) => headers.get('content-range'))).toEqual([
    null,
    `900000-${LARGE.length - 1}`,
  ]);
  expect(registry.done()).toEqual([
    'HEAD blobs',
    'POST uploads',
    'PATCH uploads',
    'GET uploads',
    'PATCH uploads',
    'PUT uploads',
  ]);
});

test('parts become smaller until they pass, and never below what the registry takes', async () => {
  const limit =
    (bytes: number) =>
    (request: RawRequest, answer: RawAnswer): boolean => {
      if (!isPart(request) || Number(request.headers.get('content-length')) <= bytes) return false;
      void answer.write(whole(413, 'too large', { connection: 'close' })).then(() => answer.end());
      return true;
    };
  const small = start({ options: { early: limit(600_000) } });
  expect(await send(small.client, LARGE)).toBe('uploaded');
  expect(
    Math.max(
      ...parts(small.registry)
        .slice(2)
        .map(({ body }) => body.length),
    ),
  ).toBeLessThanOrEqual(600_000);
  const never = start({ options: { early: limit(600_000), begins: { 'oci-chunk-min-length': '1000000' } } });
  const { code, subject } = await rejection(send(never.client, LARGE));
  expect([code, subject['status'], subject['reason']]).toEqual(['PUSH_REFUSED', 413, 'too large']);
  expect(never.registry.uploads.size).toBe(0);
});

test('a registry that takes a part of a part gets the rest', async () => {
  let taken = 0;
  const { registry, client } = start({
    options: {
      override: async (request, answer) => {
        if (!isPart(request) || taken > 0) return false;
        taken = 1_500_000;
        const id = /uploads\/(\w+)/.exec(request.target)?.[1] ?? '';
        registry.uploads.set(id, Buffer.from(request.body, 'latin1').subarray(0, taken));
        await answer.write(whole(202, '', { range: `bytes=0-${taken - 1}` }));
        return true;
      },
    },
  });
  expect(await send(client, LARGE)).toBe('uploaded');
  expect(parts(registry).map(({ headers }) => headers.get('content-range'))).toEqual([
    null,
    `1500000-${LARGE.length - 1}`,
  ]);
});

test('a registry that answers 202 for ever ends the push', async () => {
  const stuck = start({
    options: {
      override: async (request, answer) => {
        if (!isPart(request)) return false;
        await answer.write(whole(202, '', { range: '0-0' }));
        return true;
      },
    },
  });
  const { code, subject } = await rejection(send(stuck.client, LARGE));
  expect([code, subject['taken']]).toEqual(['PUSH_NO_PROGRESS', 0]);
  expect(parts(stuck.registry)).toHaveLength(testPolicy().retry.attempts);
  expect(stuck.registry.uploads.size).toBe(0);

  const never = start({
    options: { override: (r, a) => (r.method === 'PUT' ? a.write(whole(202)).then(() => true) : false) },
  });
  const end = await rejection(send(never.client, SMALL));
  expect([end.code, String(end.subject['reason'])]).toEqual([
    'PUSH_NOT_KEPT',
    'does not have it (it answers 202)',
  ]);
});

test('a registry that forgets every upload ends the push', async () => {
  const { registry, client } = start({
    options: {
      override: (r, a) =>
        isPart(r) ? a.write(errorAnswer(404, 'BLOB_UPLOAD_UNKNOWN')).then(() => true) : false,
    },
  });
  const { code, subject } = await rejection(send(client, LARGE));
  expect([code, subject['times']]).toEqual(['PUSH_UPLOAD_LOST', testPolicy().retry.attempts + 1]);
  expect(parts(registry)).toHaveLength(testPolicy().retry.attempts + 1);
});

test('a registry that forgets one upload gets another one', async () => {
  let forgot = false;
  const { client, registry } = start({
    options: {
      override: async (request, answer) => {
        if (!isPart(request) || forgot) return false;
        forgot = true;
        await answer.write(errorAnswer(404, 'BLOB_UPLOAD_UNKNOWN'));
        return true;
      },
    },
  });
  expect(await send(client, LARGE)).toBe('uploaded');
  expect(registry.blobs.size).toBe(1);
});

test('a registry that claims more than it got, or another digest, is not believed', async () => {
  const more = start({
    options: {
      override: (r, a) =>
        isPart(r) ? a.write(whole(202, '', { range: '0-99999999' })).then(() => true) : false,
    },
  });
  expect((await rejection(send(more.client, LARGE))).code).toBe('REGISTRY_BAD_RESPONSE');
  const other = start({
    options: {
      override: (r, a) =>
        r.method === 'PUT'
          ? a.write(whole(201, '', { 'docker-content-digest': digestOf('x') })).then(() => true)
          : false,
    },
  });
  const { code, subject } = await rejection(send(other.client, SMALL));
  expect([code, subject['reason']]).toEqual(['PUSH_NOT_KEPT', `calls it ${digestOf('x')}`]);
});

test.each([SMALL, LARGE])('a blob that is not its digest is never completed', async (bytes) => {
  const { registry, client } = start();
  const wrong = blobOf(bytes, digestOf('something else'));
  const { code, subject } = await rejection(client.blob(wrong, () => {}, NEVER));
  expect([code, subject['digest']]).toEqual(['PUSH_BLOB_DAMAGED', digestOf('something else')]);
  expect(registry.done()).not.toContain('PUT uploads');
  expect([registry.uploads.size, registry.blobs.size]).toEqual([0, 0]);
});

test('a blob that ends early is never completed', async () => {
  const { registry, client } = start();
  const short = { ...blobOf(LARGE.subarray(0, 4_200_000)), size: LARGE.length, digest: digestOf(LARGE) };
  const { code, subject } = await rejection(client.blob(short, () => {}, NEVER));
  expect([code, subject['reason']]).toEqual([
    'PUSH_BLOB_DAMAGED',
    `it has 4200000 of the ${LARGE.length} bytes of its descriptor`,
  ]);
  expect([registry.uploads.size, registry.blobs.size]).toEqual([0, 0]);
});

test('an upload at another host gets no credentials, and a forbidden address nothing at all', async () => {
  const elsewhere = rawServer(
    (request, answer) => answer.write(whole(request.method === 'PUT' ? 201 : 202)),
    { hostname: '127.0.0.2' },
  );
  running.push(elsewhere);
  const override: PushRegistryOptions['override'] = async (request, answer) => {
    if (request.headers.get('authorization') === null)
      await answer.write(whole(401, '', { 'www-authenticate': 'Basic realm="r"' }));
    else if (request.method === 'POST')
      await answer.write(whole(202, '', { location: `http://u:p@${elsewhere.host}/up?x=1` }));
    else return false;
    return true;
  };
  const registry = pushRegistry({ override });
  running.push(registry);
  const client = new PushClient({
    reference: registryReference(`docker://${registry.host}/app`),
    credentials: login('somebody', 'a long password'),
    policy: testPolicy({ insecure: [registry.host] }),
    mountFrom: [],
    log: new RecordingLog(),
  });
  running.push({ stop: () => client.close() });
  expect(await send(client, SMALL)).toBe('uploaded');
  expect(elsewhere.requests.map(({ method, target }) => `${method} ${target}`)).toEqual([
    `PUT /up?x=1&digest=${encodeURIComponent(digestOf(SMALL))}`,
  ]);
  expect(elsewhere.requests[0]?.headers.get('authorization')).toBeNull();
  expect(registry.requests.some(({ headers }) => headers.get('authorization') !== null)).toBe(true);
});

test.each([
  ['http://169.254.169.254/latest', 'REGISTRY_ADDRESS'],
  ['ftp://x.test/', 'REGISTRY_BAD_RESPONSE'],
  ['http://[', 'REGISTRY_BAD_RESPONSE'],
  ['', 'REGISTRY_BAD_RESPONSE'],
])('an upload is not sent to %s', async (location, code) => {
  const { client } = start({
    options: {
      override: (r, a) =>
        r.method === 'POST' ? a.write(whole(202, '', { location })).then(() => true) : false,
    },
  });
  expect((await rejection(send(client, SMALL))).code).toBe(code);
});

test('an upload follows no redirect', async () => {
  const { client } = start({
    options: {
      override: (r, a) =>
        r.method === 'POST'
          ? a.write(whole(307, '', { location: '/v2/app/blobs/uploads/9' })).then(() => true)
          : false,
    },
  });
  expect((await rejection(send(client, SMALL))).code).toBe('REGISTRY_REDIRECT');
});

test.each([
  [whole(503), 'REGISTRY_ERROR'],
  [errorAnswer(429, 'TOOMANYREQUESTS', 'slow down', { 'retry-after': 3600 }), 'PUSH_RATE_LIMITED'],
  [errorAnswer(403, 'DENIED', 'no'), 'PUSH_DENIED'],
  [errorAnswer(400, 'NAME_INVALID'), 'PUSH_REFUSED'],
])('a refusal is the end, after attempts where they may help', async (refusal, code) => {
  const { client, registry } = start({
    options: { override: (r, a) => (r.method === 'POST' ? a.write(refusal).then(() => true) : false) },
  });
  expect((await rejection(send(client, SMALL))).code).toBe(code);
  expect(registry.requests.filter(({ method }) => method === 'POST')).toHaveLength(
    code === 'REGISTRY_ERROR' ? testPolicy().retry.attempts : 1,
  );
});

test('a 503 to the end of an upload is no end of the push', async () => {
  let refused = 0;
  const { client, registry } = start({
    options: {
      override: async (request, answer) => {
        if (request.method !== 'PUT' || refused > 0) return false;
        refused += 1;
        await answer.write(errorAnswer(503, 'UNAVAILABLE'));
        return true;
      },
    },
  });
  expect(await send(client, SMALL)).toBe('uploaded');
  expect([refused, registry.uploads.size]).toEqual([1, 0]);
});

test('a registry that takes no bytes is left after the deadline', async () => {
  const quick = { ...testPolicy().deadlines, idleMs: 200 };
  const server = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: {
      data(socket, bytes) {
        const text = bytes.toString('latin1');
        if (text.startsWith('HEAD')) socket.write('HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n');
        else if (text.startsWith('POST'))
          socket.write('HTTP/1.1 202 Yes\r\nlocation: /up\r\ncontent-length: 0\r\n\r\n');
        else if (text.startsWith('PATCH')) socket.pause();
        else socket.end('HTTP/1.1 400 No\r\ncontent-length: 0\r\n\r\n');
      },
    },
  });
  running.push({ stop: () => server.stop(true) });
  const client = clientOf(
    { host: `127.0.0.1:${server.port}` },
    { deadlines: quick, retry: { ...testPolicy().retry, attempts: 1 } },
  );
  const huge = { ...blobOf(LARGE), size: 400_000_000, open: endless };
  const { code, subject } = await rejection(client.blob(huge, () => {}, NEVER));
  expect([code, subject['step']]).toEqual(['REGISTRY_DEADLINE', 'the server to take the next bytes']);
});

async function* endless() {
  for (;;) yield SMALL;
}

test('an abort drops the upload', async () => {
  const stop = new AbortController();
  const { client, registry } = start({
    options: {
      early: (request) => {
        if (isPart(request) && request.body.length > 100_000) stop.abort(new Error('stopped by the test'));
        return false;
      },
    },
  });
  expect(String(await rejection(send(client, LARGE, stop.signal)))).toContain('stopped by the test');
  expect([registry.uploads.size, registry.blobs.size]).toEqual([0, 0]);
});
