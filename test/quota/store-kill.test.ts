/**
 * SIGKILL and failures around project quotas: after the sweep no project id keeps a limit, blocks or a name. A sample
 * of the points, since starting a process takes long in the quota kernel; test/faults has all of them, without limits.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { listProjects } from '../../lib/sys/mounts/quota.ts';
import { countPoints, type FaultPoint, graftWithFault, pointName } from '../support/faults/faults.ts';
import { makeFaultImage } from '../support/faults/image.ts';
import { faultSample, sampled } from '../support/faults/todays-points.ts';
import { graft, graftMust } from '../support/graft.ts';
import { unfinished } from '../support/stores/names.ts';
import { quotaDir } from '../support/stores/quota.ts';
import type { TempDir } from '../support/temp.ts';

const MINUTES = 60_000;
const LIMIT = String(8 * 1024 * 1024);
let dir: TempDir;
let store: string;
let create: readonly string[];
let erase: readonly string[];

beforeAll(async () => {
  dir = quotaDir();
  store = dir.at('store');
  const image = await makeFaultImage(dir.at('layout'));
  create = ['--store', store, 'create', '--disk-limit-size-bytes', LIMIT, image, 'victim'];
  erase = ['--store', store, 'delete', 'victim'];
  await graftMust(['--store', store, 'init-store']);
  await graftMust(['--store', store, 'create', image, 'keeps-the-layers']);
}, 2 * MINUTES);
afterAll(() => dir.remove());

/** The first call of each name and place, and everything that is about project ids. */
function sample(points: readonly FaultPoint[]): FaultPoint[] {
  const seen = new Set<string>();
  return points.filter(({ done, syscall, path }) => {
    if (!done) return false;
    if (/quotactl|ioctl|symlinkat/.test(syscall) || path.includes('projectid')) return true;
    const kind = /renameat2|mount|umount2|unlinkat/.test(syscall)
      ? `${syscall} ${path.split('/').at(-2)}`
      : '';
    if (kind === '' || seen.has(kind)) return false;
    seen.add(kind);
    return true;
  });
}

/** Ids of this store that the kernel still limits or charges, once XFS has given back what was removed. */
async function charged(): Promise<number[]> {
  const marker = JSON.parse(readFileSync(`${store}/meta/graft.json`, 'utf8')) as Record<string, number>;
  const first = marker['first-project-id'] ?? 0;
  const deadline = performance.now() + 20_000;
  for (;;) {
    // Other tests have ids of their own on this filesystem; a store hands out 65,536 from its first one on.
    const projects = [...listProjects({ path: store })].filter(
      ({ id }) => id >= first && id < first + 0x10000,
    );
    const limited = projects.filter(({ usage }) => usage.limitBytes > 0);
    const left = projects.filter(({ usage }) => usage.limitBytes > 0 || usage.usedBytes > 0);
    // A limit does not go by itself.
    if (left.length === 0 || limited.length > 0 || performance.now() > deadline)
      return left.map(({ id }) => id);
    await Bun.sleep(20);
  }
}

async function sweptClean(point: FaultPoint): Promise<void> {
  const clean = async () => {
    const ran = await graft(['--store', store, 'clean']);
    expect([pointName(point), ran.code]).toEqual([pointName(point), 0]);
  };
  await clean();
  expect([pointName(point), await charged()]).toEqual([pointName(point), []]);
  // An id whose blocks XFS was slow to free is given back by the next sweep.
  if (readdirSync(`${store}/projectids`).length > 0) await clean();
  expect([pointName(point), readdirSync(`${store}/projectids`)]).toEqual([pointName(point), []]);
  expect([pointName(point), unfinished(store)]).toEqual([pointName(point), []]);
}

test(
  'a create with a limit can be killed anywhere',
  async () => {
    const points = sample(await countPoints(create, dir.at('count')));
    await graftMust(erase);
    expect(points.map(({ syscall }) => syscall)).toEqual(
      expect.arrayContaining(['symlinkat', 'ioctl FS_IOC_FSSETXATTR', 'quotactl', 'renameat2', 'mount']),
    );
    for (const point of sampled(points, faultSample())) {
      const ran = await graftWithFault(create, `kill:${point.thread}:${point.number}`);
      expect([pointName(point), ran.signal]).toEqual([pointName(point), 'SIGKILL']);
      // Past its record it is whole, whoever killed its maker.
      if (readdirSync(`${store}/meta/images`).includes('victim')) await graftMust(erase);
      await sweptClean(point);
    }
  },
  5 * MINUTES,
);

test(
  'a delete of an image with a limit can be killed anywhere',
  async () => {
    await graftMust(create);
    const points = sample(await countPoints(erase, dir.at('count')));
    expect(points.map(({ syscall }) => syscall)).toEqual(
      expect.arrayContaining(['umount2', 'renameat2', 'symlinkat', 'quotactl', 'unlinkat']),
    );
    for (const point of sampled(points, faultSample())) {
      await graftMust(create);
      const ran = await graftWithFault(erase, `kill:${point.thread}:${point.number}`);
      expect([pointName(point), ran.signal]).toEqual([pointName(point), 'SIGKILL']);
      await sweptClean(point);
    }
  },
  5 * MINUTES,
);

test(
  'a limit that cannot be set leaves no image and no id',
  async () => {
    const points = (await countPoints(create, dir.at('count'))).filter(
      ({ syscall, path }) => /quotactl|ioctl/.test(syscall) || path.includes('projectids'),
    );
    await graftMust(erase);
    expect(points.length).toBeGreaterThanOrEqual(3);
    for (const [i, point] of points.entries()) {
      const errno = [5, 28, 24][i % 3];
      const ran = await graftWithFault(create, `fail:${point.thread}:${point.number}:${errno}`);
      expect([pointName(point), ran.code]).toEqual([pointName(point), 1]);
      expect([pointName(point), readdirSync(`${store}/images`)]).toEqual([
        pointName(point),
        ['keeps-the-layers'],
      ]);
      expect([pointName(point), unfinished(store)]).toEqual([pointName(point), []]);
      expect([pointName(point), await charged()]).toEqual([pointName(point), []]);
    }
  },
  2 * MINUTES,
);
