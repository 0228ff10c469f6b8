/** The agent beside a real registry: from a push to a published image without a person between. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { chownSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { digestOf } from '../../lib/base/digest.ts';
import { executable, graft } from '../support/graft.ts';
import { makeNoiseImage, type NoiseImage } from '../support/images/noise-image.ts';
import { type RunningServer, startServer } from '../support/programs/server.ts';
import { startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { cleanEnv } from '../support/shell.ts';
import { freePort, type TempDir, tempDir } from '../support/temp.ts';

const TOKEN = 'a-token-that-nobody-guesses';
const BEARER = { authorization: `Bearer ${TOKEN}` };
const USER = 1000;

let dir: TempDir;
let registry: TestRegistry;
let agent: RunningServer;
let port: number;
let image: NoiseImage;
const cleanup = new AsyncDisposableStack();
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  port = await freePort();
  const notifies = { url: `http://127.0.0.1:${port}/events`, authorization: BEARER.authorization };
  registry = cleanup.use(await startRegistry(dir.at('registry'), { notifies }));
  image = makeNoiseImage(dir.at('image'), 'v1', [20_000]);
  for (const name of ['agent', 'agent/queue', 'agent/published']) {
    mkdirSync(dir.at(name));
    chownSync(dir.at(name), USER, USER);
  }
  writeFileSync(dir.at('agent/token'), TOKEN, { mode: 0o600 });
  chownSync(dir.at('agent/token'), USER, USER);
  writeFileSync(dir.at('agent/settings.yml'), JSON.stringify({ publisher: settings(100) }));
  agent = await startAgent();
});
afterAll(async () => {
  await agent?.stop();
  await cleanup.disposeAsync();
});

const settings = (perHour: number) => ({
  listen: `127.0.0.1:${port}`,
  token_file: '/mnt/agent/token',
  queue: '/mnt/agent/queue',
  max_per_hour: perHour,
  allow: [{ registry: registry.host, repository: 'team/*', targets: ['directory:/mnt/agent/published'] }],
});

/** The test's directories are closed to other users, so those that the agent needs are bound elsewhere. */
const AS_USER = `mount -t tmpfs tmpfs /mnt; mkdir /mnt/agent; touch /mnt/graft
mount --bind "$1" /mnt/agent; mount --bind "$2" /mnt/graft; shift 2
exec setpriv --reuid ${USER} --regid ${USER} --clear-groups /mnt/graft --extra-config /mnt/agent/settings.yml "$@"`;

function startAgent(): Promise<RunningServer> {
  const words = ['publisher', '--insecure-registry', registry.host];
  const command = [
    'unshare',
    '--mount',
    '/bin/sh',
    '-euc',
    AS_USER,
    'sh',
    dir.at('agent'),
    executable(),
    ...words,
  ];
  return startServer(command, {
    cwd: dir.path,
    env: cleanEnv({ HOME: '/nonexistent' }),
    ports: [],
    says: /listening on/,
  });
}

async function push(made: NoiseImage, name: string): Promise<string> {
  const target = `docker://${registry.host}/${name}`;
  const ran = await graft(['push', '--insecure-registry', registry.host, made.url, target]);
  expect([ran.code, ran.stderr]).toEqual([0, '']);
  return made.manifest.digest;
}

interface Status {
  readonly state: string;
  readonly images: readonly { readonly image: string; readonly state: string; readonly reason?: string }[];
}

async function statusOf(digest: string): Promise<Status> {
  const headers = { ...BEARER, accept: 'application/json' };
  return (await (await fetch(`http://127.0.0.1:${port}/status/${digest}`, { headers })).json()) as Status;
}

/** Waits as a client does. */
async function until(digest: string, state: string): Promise<Status> {
  for (;;) {
    const status = await statusOf(digest);
    if (status.state === state) return status;
    if (status.state === 'failed') throw new Error(JSON.stringify(status));
    await Bun.sleep(20);
  }
}

const ask = (repository: string, tag: string, digest: string) =>
  fetch(`http://127.0.0.1:${port}/publish`, {
    method: 'POST',
    headers: BEARER,
    body: JSON.stringify({ repository, tag, digest }),
  });

const manifestOf = (name: string) =>
  dir.at(`agent/published/.metadata/${registry.host}/${name}/oci-manifest.json`);
const published = (name: string) => digestOf(readFileSync(manifestOf(name)));

test('an image that is pushed is published, and no other repository', async () => {
  await push(image, 'secret/app:v1');
  const digest = await push(image, 'team/app:v1');
  expect((await until(digest, 'done')).images).toEqual([
    { image: `${registry.host}/team/app:v1`, state: 'done', attempts: 1 },
  ] as never);
  expect((await fetch(`http://127.0.0.1:${port}/status/${digest.slice(7)}`)).status).toBe(200);
  expect(published('team/app:v1') as string).toBe(digest);
  expect(existsSync(dir.at(`agent/published/.metadata/${registry.host}/secret`))).toBe(false);
});

test('a request for an image that the tag does not name any more publishes nothing', async () => {
  const old = image.manifest.digest;
  const newer = makeNoiseImage(dir.at('newer'), 'v1', [21_000]);
  await until(await push(newer, 'team/app:v1'), 'done');
  const before = readFileSync(manifestOf('team/app:v1'), 'utf8');
  expect((await ask('team/app', 'v1', old)).status).toBe(202);
  const { images } = await until(old, 'failed').catch(() => statusOf(old));
  expect(images[0]?.reason).toContain(`names ${newer.manifest.digest} now`);
  expect(readFileSync(manifestOf('team/app:v1'), 'utf8')).toBe(before);
});

test('what is queued survives a kill, and SIGTERM ends the agent', async () => {
  await agent.stop();
  expect(agent.output()).not.toContain('does not expect');
  writeFileSync(dir.at('agent/settings.yml'), JSON.stringify({ publisher: settings(1) }));
  agent = await startAgent();
  const [first, second] = [30_000, 31_000].map((size, at) =>
    makeNoiseImage(dir.at(`kill-${at}`), 'v1', [size]),
  );
  if (first === undefined || second === undefined) throw new Error('no image');
  await until(await push(first, 'team/first:v1'), 'done');
  const digest = await push(second, 'team/second:v1');
  await until(digest, 'queued');
  await agent.kill();
  agent = await startAgent();
  await until(digest, 'done');
  expect(published('team/second:v1') as string).toBe(digest);
  expect(readdirSync(dir.at('agent/queue')).sort()).toContain('jobs');
});

test('a second agent, root, and settings without a publisher are refused in one sentence', async () => {
  await expect(startAgent()).rejects.toThrow('queue');
  const token = { token_file: dir.at('agent/token'), queue: dir.at('agent/queue') };
  writeFileSync(dir.at('root.yml'), JSON.stringify({ publisher: { ...settings(1), ...token } }));
  writeFileSync(dir.at('empty.yml'), JSON.stringify({ registries: {} }));
  for (const [file, words] of [
    ['root.yml', 'does not write into directory:/mnt/agent/published as root'],
    ['empty.yml', 'say nothing about a publisher'],
  ] as const) {
    const ran = await graft(['--extra-config', dir.at(file), 'publisher']);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
  }
});
