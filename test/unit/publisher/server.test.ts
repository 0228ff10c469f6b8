/** The HTTP surface of the agent: what registries and people send, and what attackers do. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { chmodSync, writeFileSync } from 'node:fs';
import { silentLogger } from '../../../lib/base/log.ts';
import { type Job, Queue } from '../../../lib/publisher/queue.ts';
import { listen, type RunningAgent } from '../../../lib/publisher/server.ts';
import { publisherSettings, refuseRoot } from '../../../lib/publisher/settings.ts';
import { tokenFrom } from '../../../lib/publisher/token.ts';
import { Worker } from '../../../lib/publisher/worker.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const TOKEN = 'a-token-that-nobody-guesses';
const DIGEST = `sha256:${'a'.repeat(64)}`;
const FILE = {
  listen: '127.0.0.1:0',
  queue: '/x',
  token_file: '/x',
  allow: [
    { registry: 'registry.test:5000', repository: 'team/app', targets: ['cvmfs:a.test'] },
    { registry: 'other.test', repository: 'team/*', targets: ['cvmfs:b.test'] },
  ],
};

let dir: TempDir;
let queue: Queue;
let agent: RunningAgent;
beforeEach(() => {
  dir = tempDir();
  writeFileSync(dir.at('token'), `${TOKEN}\n`, { mode: 0o600 });
  queue = new Queue(dir.path, 3, silentLogger);
  const worker = new Worker({
    queue,
    maxPerHour: 1,
    publish: () => Promise.resolve(),
    explain: String,
    log: silentLogger,
    now: () => 0,
    pauseMs: 1,
  });
  const settings = publisherSettings(FILE);
  const hasToken = tokenFrom(dir.at('token'), process.geteuid?.() ?? 0);
  agent = listen({ settings, hasToken, queue, worker, log: silentLogger, bodyMs: 300 });
});
afterEach(async () => {
  await agent.stop();
  await dir.remove();
});

async function ask(path: string, init: RequestInit = {}, token: string | undefined = TOKEN) {
  const headers = new Headers(init.headers);
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  const answer = await fetch(`http://127.0.0.1:${agent.port}${path}`, { ...init, headers });
  return { status: answer.status, text: await answer.text() };
}
const post = (path: string, body: unknown, token?: string) =>
  ask(path, { method: 'POST', body: typeof body === 'string' ? body : JSON.stringify(body) }, token);
const names = () =>
  queue.of(DIGEST).map(({ registry, repository, tag, state }) => `${registry}/${repository}:${tag} ${state}`);

const docker = (action: string, target: Record<string, unknown>) => ({
  events: [
    {
      id: '320678d8',
      timestamp: '2026-11-30T00:00:00Z',
      action,
      target: { mediaType: 'application/vnd.oci.image.manifest.v1+json', size: 708, length: 708, ...target },
      request: { id: '6df24a34', addr: '10.0.0.1:42', host: 'evil.test', method: 'PUT' },
      source: { addr: 'registry:5000' },
    },
  ],
});
const harbor = (type: string, name: string) => ({
  type,
  occur_at: 1586922308,
  operator: 'admin',
  event_data: {
    resources: [{ digest: DIGEST, tag: 'latest', resource_url: 'evil.test/team/app:latest' }],
    repository: {
      date_created: 1586922308,
      name: 'app',
      namespace: 'team',
      repo_full_name: name,
      repo_type: 'private',
    },
  },
});

test('a notification of docker-registry queues the image for each registry of the settings', async () => {
  const answer = await post('/events', docker('push', { repository: 'team/app', tag: 'v1', digest: DIGEST }));
  expect([answer.status, JSON.parse(answer.text)]).toEqual([202, { queued: 1, ignored: 0 }]);
  expect(names()).toEqual(['registry.test:5000/team/app:v1 queued', 'other.test/team/app:v1 queued']);
});

test('a notification of Harbor queues the image, and the host that it names means nothing', async () => {
  expect((await post('/events', harbor('PUSH_ARTIFACT', 'team/web'))).status).toBe(202);
  expect(names()).toEqual(['other.test/team/web:latest queued']);
});

test.each([
  docker('pull', { repository: 'team/app', tag: 'v1', digest: DIGEST }),
  docker('push', { repository: 'team/app', digest: DIGEST }),
  docker('push', { repository: 'secret/app', tag: 'v1', digest: DIGEST }),
  docker('push', { repository: 'team/../team/app', tag: 'v1', digest: DIGEST }),
  docker('push', { repository: 'team/app', tag: 'v1@x', digest: DIGEST }),
  docker('push', { repository: 'team/app', tag: 'v1', digest: 'sha512:aa' }),
  harbor('DELETE_ARTIFACT', 'team/app'),
  harbor('PUSH_ARTIFACT', 'evil.test/team/app'),
  { events: [] },
])('an event that is not for the agent is accepted and does nothing: %j', async (event) => {
  const answer = await post('/events', event);
  expect([answer.status, JSON.parse(answer.text).queued, names()]).toEqual([202, 0, []]);
});

test('a direct request is queued once, however often it is sent', async () => {
  const body = { repository: 'team/app', tag: 'v1', digest: DIGEST };
  for (let sent = 0; sent < 3; sent += 1) expect((await post('/publish', body)).status).toBe(202);
  expect(names()).toHaveLength(2);
});

test.each([
  [403, { repository: 'secret/app', tag: 'v1', digest: DIGEST }],
  [400, { repository: 'team/app', tag: 'v1', digest: 'sha256:zz' }],
  [400, { repository: 'team/app;x', tag: 'v1', digest: DIGEST }],
  [400, { repository: 'team/app', tag: 'v1', digest: DIGEST, registry: 'evil.test' }],
  [400, { repository: 'team/app', tag: 'v1', digest: DIGEST, targets: ['directory:/etc'] }],
  [400, '{"repository":"team/app","repository":"team/app","tag":"v1"}'],
  [400, '['.repeat(1000)],
  [400, 'not json'],
])('a direct request is refused with %d: %j', async (status, body) => {
  expect([(await post('/publish', body)).status, names()]).toEqual([status, []]);
});

test('a request without the token does nothing', async () => {
  const event = docker('push', { repository: 'team/app', tag: 'v1', digest: DIGEST });
  for (const token of ['', TOKEN.slice(1), `${TOKEN}x`, 'x'.repeat(9000)])
    for (const path of ['/events', '/publish'])
      expect((await post(path, event, token)).status).toBeGreaterThanOrEqual(400);
  expect([(await ask('/metrics', {}, '')).status, names()]).toEqual([401, []]);
});

test('a full queue is told, so that the registry sends again', async () => {
  for (const [n, status] of [
    [1, 202],
    [2, 202],
    [3, 202],
    [4, 503],
  ] as const) {
    const digest = `sha256:${String(n).padStart(64, '0')}`;
    expect([n, (await post('/publish', { repository: 'team/web', tag: 'v1', digest })).status]).toEqual([
      n,
      status,
    ]);
  }
});

test('the words of 2017 need no token, reasons do', async () => {
  const word = async () => (await ask(`/status/${DIGEST.slice(7)}`, {}, '')).text;
  expect(await word()).toBe('unknown');
  await post('/publish', { repository: 'team/web', tag: 'v1', digest: DIGEST });
  expect(await word()).toBe('publishing');
  queue.change(queue.next(0) as Job, { state: 'failed', reason: 'no route' });
  expect(await word()).toBe('unknown');
  const json = { headers: { accept: 'application/json' } };
  expect((await ask(`/status/${DIGEST}`, json, '')).status).toBe(401);
  expect(JSON.parse((await ask(`/status/${DIGEST}`, json)).text)).toEqual({
    digest: DIGEST,
    state: 'failed',
    images: [{ image: 'other.test/team/web:v1', state: 'failed', attempts: 0, reason: 'no route' }],
  });
  queue.change(queue.of(DIGEST)[0] as Job, { state: 'done' });
  expect(await word()).toBe('done');
});

test('metrics and health', async () => {
  expect(await ask('/healthz', {}, '')).toEqual({ status: 200, text: 'ok' });
  await post('/publish', { repository: 'team/web', tag: 'v1', digest: DIGEST });
  const { text } = await ask('/metrics');
  expect(text).toContain('graft_publisher_jobs{state="queued"} 1\n');
  expect(text).toContain('graft_publisher_answers_total{status="202"} 1\n');
});

test.each(['/', '/status/', '/status/../queue', `/status/${'A'.repeat(64)}`, '/jobs', '/publish/'])(
  '%s is not there',
  async (path) => {
    expect((await ask(path)).status).toBe(404);
  },
);

test('a body that is too large, or never ends, is refused', async () => {
  const large = await post('/events', `{"events":[],"x":"${'x'.repeat(1_100_000)}"}`);
  expect(large.status).toBe(413);
  const { promise, resolve } = Promise.withResolvers<string>();
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port: agent.port,
    socket: {
      data: (_, bytes) => resolve(bytes.toString('latin1')),
      close: () => resolve('closed'),
    },
  });
  socket.write(
    `POST /events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer ${TOKEN}\r\ncontent-length: 1000\r\n\r\n{"events"`,
  );
  expect(await promise).toStartWith('HTTP/1.1 408');
  socket.terminate();
});

test('a token that others may read, or that is too short, is refused', () => {
  const uid = process.geteuid?.() ?? 0;
  chmodSync(dir.at('token'), 0o644);
  expect(() => tokenFrom(dir.at('token'), uid)).toThrow('PUBLISHER_BAD_FILE');
  writeFileSync(dir.at('short'), 'short', { mode: 0o600 });
  expect(() => tokenFrom(dir.at('short'), uid)).toThrow('PUBLISHER_BAD_FILE');
  expect(() => tokenFrom(dir.at('none'), uid)).toThrow('PUBLISHER_BAD_FILE');
});

test('root writes into no directory, and an address in use is told', () => {
  const rule = { registry: 'registry.test', repository: '*', targets: ['cvmfs:a.test', 'directory:/srv'] };
  const settings = publisherSettings({ ...FILE, allow: [rule] });
  expect(() => refuseRoot(settings, 0)).toThrow('PUBLISHER_ROOT');
  expect(() => refuseRoot(settings, 1000)).not.toThrow();
  const again = { ...publisherSettings(FILE), port: agent.port };
  const worker = {} as Worker;
  expect(() =>
    listen({ settings: again, hasToken: () => true, queue, worker, log: silentLogger, bodyMs: 1 }),
  ).toThrow('PUBLISHER_LISTEN');
});

test('a client that sends its headers byte by byte is cut off, and others are answered meanwhile', async () => {
  const { promise: cut, resolve } = Promise.withResolvers<void>();
  const socket = await Bun.connect({
    hostname: '127.0.0.1',
    port: agent.port,
    socket: { data() {}, close: () => resolve(), error: () => resolve() },
  });
  socket.write('GET /healthz HTTP/1.1\r\nhost: agent.test\r\nx-slow: ');
  const timer = setInterval(() => socket.write('a'), 500);
  try {
    expect((await ask('/healthz')).status).toBe(200);
    await cut;
  } finally {
    clearInterval(timer);
    socket.terminate();
  }
}, 60_000);
