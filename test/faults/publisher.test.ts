/**
 * The agent, killed after each change of its queue and with each of them failing. An image that the agent was asked for is
 * published in the end, and nothing in its queue keeps it from starting.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { chownSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { digestOf } from '../../lib/base/digest.ts';
import { type FaultPoint, pointName, readPoints } from '../support/faults/faults.ts';
import { faultSample, sampled, sampleName } from '../support/faults/todays-points.ts';
import { executable } from '../support/graft.ts';
import { tarOf } from '../support/images/noise-image.ts';
import { type FakeRegistry, fakeImage, fakeRegistry, noise } from '../support/registries/fake-registry.ts';
import { cleanEnv } from '../support/shell.ts';
import { freePort, type TempDir, tempDir } from '../support/temp.ts';

const TOKEN = 'a-token-that-nobody-guesses';
const HEADERS = { authorization: `Bearer ${TOKEN}`, accept: 'application/json' };
const USER = 1000;
const MINUTES = 60_000;
const ENOSPC = 28;
/** The test's directories are closed to other users, so those that the agent needs are bound elsewhere. */
const AS_USER = `mount -t tmpfs tmpfs /mnt; mkdir /mnt/agent; touch /mnt/graft
mount --bind "$1" /mnt/agent; mount --bind "$2" /mnt/graft; shift 2
exec setpriv --reuid ${USER} --regid ${USER} --clear-groups /mnt/graft --extra-config /mnt/agent/settings.yml "$@"`;

const image = fakeImage([tarOf('file', noise(3000))]);
const { digest } = image.manifest;
let dir: TempDir;
let registry: FakeRegistry;
let port: number;
let points: readonly FaultPoint[];

beforeAll(async () => {
  dir = tempDir();
  registry = fakeRegistry(image);
  port = await freePort();
  fresh();
  await publishedBy(`count:/mnt/agent/count`);
  points = readPoints(dir.at('agent/count')).filter(({ path }) => path.startsWith('/mnt/agent/queue'));
}, MINUTES);
afterAll(async () => {
  await registry.stop();
  await dir.remove();
});

function fresh(): void {
  rmSync(dir.at('agent'), { recursive: true, force: true });
  for (const name of ['agent', 'agent/queue', 'agent/published']) {
    mkdirSync(dir.at(name));
    chownSync(dir.at(name), USER, USER);
  }
  const settings = {
    listen: `127.0.0.1:${port}`,
    token_file: '/mnt/agent/token',
    queue: '/mnt/agent/queue',
    allow: [{ registry: registry.host, repository: 'app', targets: ['directory:/mnt/agent/published'] }],
  };
  writeFileSync(dir.at('agent/settings.yml'), JSON.stringify({ publisher: settings }));
  writeFileSync(dir.at('agent/token'), TOKEN, { mode: 0o600 });
  chownSync(dir.at('agent/token'), USER, USER);
}

function start(plan: string | undefined): Bun.Subprocess<'ignore', 'pipe', 'ignore'> {
  const program = executable('graft-faults');
  const verb = ['publisher', '--insecure-registry', registry.host];
  const shell = ['/bin/sh', '-euc', AS_USER, 'sh', dir.at('agent'), program, ...verb];
  return Bun.spawn(['unshare', '--mount', ...shell], {
    env: cleanEnv({ HOME: '/nonexistent', ...(plan && { GRAFT_FAULT: plan }) }),
    stdin: 'ignore',
    stdout: 'pipe',
    stderr: 'ignore',
  });
}

const url = (path: string) => `http://127.0.0.1:${port}${path}`;

/** The agent's answer; undefined where nobody answers. */
async function ask(path: string, body?: unknown): Promise<Response | undefined> {
  try {
    const method = body === undefined ? 'GET' : 'POST';
    return await fetch(url(path), {
      method,
      headers: { ...HEADERS, connection: 'close' },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
  } catch {
    return undefined;
  }
}

/**
 * Starts an agent, asks it for the image until it takes it, and waits until the image is published or the agent has
 * ended. Returns the agent's exit code, undefined when it had to be ended.
 */
async function publishedBy(plan?: string): Promise<{ exit: number | undefined; said: string; code: number }> {
  const agent = start(plan);
  const said = new Response(agent.stdout).text();
  const running = () => agent.exitCode === null && agent.signalCode === null;
  let taken = false;
  while (running()) {
    if (!taken) taken = (await ask('/publish', { repository: 'app', tag: 'latest', digest }))?.status === 202;
    const status = (await (await ask(`/status/${digest}`))?.json().catch(() => undefined)) as
      | { state: string }
      | undefined;
    if (status?.state === 'done') break;
    if (status?.state === 'failed') throw new Error(JSON.stringify(status));
    await Bun.sleep(5);
  }
  const exit = running() ? undefined : await agent.exited;
  agent.kill('SIGTERM');
  return { exit, code: await agent.exited, said: await said };
}

function requirePublished(where: string): void {
  const root = dir.at('agent/published/.metadata', registry.host, 'app:latest');
  const manifest = readFileSync(`${root}/oci-manifest.json`);
  expect([where, digestOf(manifest) as string]).toEqual([where, digest]);
  expect([where, readdirSync(dir.at('agent/queue/jobs')).length]).toEqual([where, 1]);
}

test('an agent changes its queue at enough points', () => {
  expect(points.length).toBeGreaterThan(12);
  expect(points.some(({ path }) => path.includes('/jobs/'))).toBe(true);
});

for (const [name, plan, shift] of [
  ['can be killed after', ({ thread, number }: FaultPoint) => `kill:${thread}:${number}`, 0],
  ['may fail at', ({ thread, number }: FaultPoint) => `fail:${thread}:${number}:${ENOSPC}`, 1],
] as const) {
  test(
    `the agent ${name} any change of its queue, and the next one finishes its work`,
    async () => {
      const sample = faultSample();
      const tried = sampled(points, sample, shift).filter(({ done }) => done);
      for (const point of tried) {
        fresh();
        const where = `${sampleName(sample)} ${name} ${pointName(point)}`;
        const { exit, said } = await publishedBy(plan(point));
        if (exit === undefined) requirePublished(where);
        else if (shift === 1) expect([where, said]).toEqual([where, expect.stringMatching(/[^\n]{20,}\n$/)]);
        const next = await publishedBy();
        expect([where, next.exit, next.code]).toEqual([where, undefined, 0]);
        requirePublished(where);
        expect([where, ...readdirSync(dir.at('agent/queue'))]).toEqual([where, 'jobs']);
      }
    },
    10 * MINUTES,
  );
}
