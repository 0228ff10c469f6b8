/** The queue on disk, and the worker that empties it. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { PluginError } from '../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../lib/base/log.ts';
import { type Job, Queue } from '../../../lib/publisher/queue.ts';
import { Worker, type WorkerDeps } from '../../../lib/publisher/worker.ts';
import { temporaryPath } from '../../../lib/sys/files/temporary.ts';
import { formatOwner, owner } from '../../../lib/sys/kernel/process.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

const digest = (n: number) => `sha256:${String(n).padStart(64, '0')}`;
const wish = (n: number) => ({
  registry: 'registry.test',
  repository: 'team/app',
  tag: `v${n}`,
  digest: digest(n),
});
const open = (max = 10) => new Queue(dir.path, max, silentLogger);
const states = (queue: Queue, ...numbers: number[]) => numbers.map((n) => queue.of(digest(n))[0]?.state);

test('keeps its order and its states over a restart, and what was under way is queued again', () => {
  const queue = open();
  for (const n of [1, 2, 3]) expect(queue.add(wish(n))).toBe(true);
  const first = queue.next(0) as Job;
  expect(first.tag).toBe('v1');
  queue.change(queue.change(first, { state: 'publishing' }), { state: 'done' });
  queue.change(queue.next(0) as Job, { state: 'publishing', attempts: 1 });
  const again = open();
  expect(states(again, 1, 2, 3)).toEqual(['done', 'queued', 'queued']);
  expect([again.next(0)?.tag, again.next(0)?.attempts]).toEqual(['v2', 1]);
  again.add(wish(4));
  expect(again.of(digest(4))[0]?.order).toBe(3);
});

test('an image that waits is not added again, one that is done is', () => {
  const queue = open();
  queue.add(wish(1));
  queue.add(wish(1));
  expect([queue.count('queued'), readdirSync(dir.at('jobs')).length]).toEqual([1, 1]);
  queue.change(queue.next(0) as Job, { state: 'done' });
  queue.add(wish(1));
  expect([queue.count('queued'), queue.count('done')]).toEqual([1, 0]);
});

test('is bounded', () => {
  const queue = open(2);
  expect([1, 2, 3, 1].map((n) => queue.add(wish(n)))).toEqual([true, true, false, true]);
});

test('files that are no jobs go, whatever is in them', () => {
  open().add(wish(1));
  const [name = ''] = readdirSync(dir.at('jobs'));
  const job = readFileSync(dir.at(`jobs/${name}`), 'utf8');
  const other = `${'f'.repeat(64)}.json`;
  for (const [file, text] of [
    [other, job],
    ['.graft-tmp-abc', job],
    ['x.json', '{}'],
    [`${'e'.repeat(64)}.json`, '{"state":"queued"'],
    [`${'d'.repeat(64)}.json`, 'x'.repeat(20_000)],
  ] as const)
    writeFileSync(dir.at(`jobs/${file}`), text);
  expect(open().count('queued')).toBe(1);
  expect(readdirSync(dir.at('jobs'))).toEqual([name]);
});

test('without its directory it does not begin', () => {
  expect(() => new Queue(dir.at('none'), 1, silentLogger)).toThrow('PUBLISHER_BAD_FILE');
});

/** Runs a worker until `until` of its jobs were tried. */
async function work(
  queue: Queue,
  until: number,
  publish: WorkerDeps['publish'],
  more: Partial<WorkerDeps> = {},
) {
  const stop = new AbortController();
  const tried: string[] = [];
  const worker = new Worker({
    queue,
    maxPerHour: 100,
    publish: async (job) => {
      tried.push(job.tag);
      if (tried.length === until) stop.abort();
      await publish(job);
    },
    explain: (error) => String((error as PluginError).code),
    log: silentLogger,
    now: () => Date.now(),
    pauseMs: 1,
    ...more,
  });
  await worker.run(stop.signal);
  return { tried, worker };
}

test('does one after the other, tries again what passes, and says why the rest failed', async () => {
  const queue = open();
  for (const n of [1, 2, 3]) queue.add(wish(n));
  let inHand = 0;
  let most = 0;
  const seen = new Set<string>();
  const { tried, worker } = await work(queue, 4, async ({ tag }) => {
    inHand += 1;
    most = Math.max(most, inHand);
    await Promise.resolve();
    inHand -= 1;
    if (tag === 'v1' && !seen.has(tag)) {
      seen.add(tag);
      throw new PluginError('REGISTRY_UNREACHABLE', { registry: 'registry.test', reason: 'test' });
    }
    if (tag === 'v2') throw new PluginError('PUBLISH_BAD_NAME', { name: 'x' });
  });
  expect([most, [...tried].sort()]).toEqual([1, ['v1', 'v1', 'v2', 'v3']]);
  expect(states(queue, 1, 2, 3)).toEqual(['done', 'failed', 'done']);
  expect(queue.of(digest(2))[0]?.reason).toBe('PUBLISH_BAD_NAME');
  expect([worker.published, worker.failures]).toEqual([2, 2]);
});

test('gives up after some attempts', async () => {
  const queue = open();
  queue.add(wish(1));
  const { tried } = await work(queue, 5, () =>
    Promise.reject(new PluginError('PUBLISH_BUSY', { target: 'x', pid: undefined })),
  );
  expect([tried.length, ...states(queue, 1)]).toEqual([5, 'failed']);
});

test('an end lets the job in hand finish, and begins no other', async () => {
  const queue = open();
  for (const n of [1, 2]) queue.add(wish(n));
  const { tried } = await work(queue, 1, () => Promise.resolve());
  expect([tried, states(queue, 1, 2)]).toEqual([['v1'], ['done', 'queued']]);
});

test('begins no more in an hour than it may', async () => {
  const queue = open();
  for (const n of [1, 2, 3]) queue.add(wish(n));
  let time = 0;
  const stop = new AbortController();
  const begun: number[] = [];
  const worker = new Worker({
    queue,
    maxPerHour: 2,
    publish: async () => {
      begun.push(time);
      if (begun.length === 3) stop.abort();
      // The worker is awake when the clock has moved on by an hour.
      else if (begun.length === 2)
        setTimeout(() => {
          time = 3_600_001;
          worker.wake();
        });
    },
    explain: String,
    log: silentLogger,
    now: () => time,
    pauseMs: 1,
  });
  await worker.run(stop.signal);
  expect(begun).toEqual([0, 0, 3_600_001]);
});

test('a queue whose disk fails ends the worker', async () => {
  const queue = open();
  queue.add(wish(1));
  await dir.remove();
  await expect(work(queue, 1, () => Promise.resolve())).rejects.toMatchObject({
    code: 'PUBLISHER_BAD_FILE',
    subject: { reason: 'no such file or directory' },
  });
  mkdirSync(dir.path);
});

test('an unfinished lock of a dead process goes, that of a living one stays', () => {
  const dead = temporaryPath(dir.path, `${formatOwner({ ...owner(), startTime: '1' })}.x`);
  const living = temporaryPath(dir.path, `${formatOwner(owner())}.x`);
  for (const path of [dead, living]) mkdirSync(path);
  open();
  expect([existsSync(dead), existsSync(living)]).toEqual([false, true]);
});

test('a job whose publication succeeded does not fail with the disk of the queue', async () => {
  const queue = open();
  queue.add(wish(1));
  const lost = async () => renameSync(dir.at('jobs'), dir.at('away'));
  await expect(work(queue, 1, lost)).rejects.toMatchObject({ code: 'PUBLISHER_BAD_FILE' });
  renameSync(dir.at('away'), dir.at('jobs'));
  expect([states(queue, 1), states(open(), 1)]).toEqual([['publishing'], ['queued']]);
});
