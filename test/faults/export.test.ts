/**
 * `graft export` killed after state-changing system calls, and these calls failing once: a sample of them in each run, all
 * of them with `ci/faults`. The final name is never half made, and the next export sweeps what is left.
 */
import { afterAll, beforeAll, beforeEach, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { countPoints, type FaultPoint, graftWithFault, pointName } from '../support/faults/faults.ts';
import { makeFaultImage } from '../support/faults/image.ts';
import { faultSample, sampled, sampleName } from '../support/faults/todays-points.ts';
import { graftMust } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const MINUTES = 60_000;
const ENOSPC = 28;
let dir: TempDir;
let image: string;
let points: readonly FaultPoint[];
const at = () => dir.at('place');
const out = () => dir.at('place', 'out');

beforeAll(async () => {
  dir = tempDir();
  image = await makeFaultImage(dir.at('layout'));
  await graftMust(['export', image, dir.at('wanted')]);
  mkdirSync(at());
  points = await countPoints(['export', image, out()], dir.at('count'));
});
beforeEach(empty);
afterAll(() => dir.remove());

function empty(): void {
  rmSync(at(), { recursive: true, force: true });
  mkdirSync(at());
}

test('an export passes enough points', () => {
  expect(points.length).toBeGreaterThan(60);
});

test(
  'an export can be killed anywhere',
  async () => {
    const sample = faultSample();
    for (const point of sampled(
      points.filter(({ done }) => done),
      sample,
    )) {
      empty();
      const ran = await graftWithFault(['export', image, out()], `kill:${point.thread}:${point.number}`);
      const where = `${sampleName(sample)} ${pointName(point)}`;
      expect([where, ran.signal]).toEqual([where, 'SIGKILL']);
      const isMade = existsSync(out());
      if (isMade) expect([where, ...compareTrees(dir.at('wanted'), out())]).toEqual([where]);
      await graftMust(['export', image, dir.at('place', 'next')]);
      expect([where, ...readdirSync(at()).sort()]).toEqual([where, 'next', ...(isMade ? ['out'] : [])]);
      expect([where, ...compareTrees(dir.at('wanted'), dir.at('place', 'next'))]).toEqual([where]);
    }
  },
  10 * MINUTES,
);

test(
  'an export can fail anywhere, and one sentence says so',
  async () => {
    const sample = faultSample();
    for (const point of sampled(points, sample, 3)) {
      empty();
      const plan = `fail:${point.thread}:${point.number}:${ENOSPC}`;
      const ran = await graftWithFault(['export', image, out()], plan);
      const where = `${sampleName(sample)} ${pointName(point)}`;
      if (ran.code !== 0)
        expect([where, ran.stdout]).toEqual([where, expect.stringMatching(/^[^\n]{20,}\n$/)]);
      // Where a removal failed, its stage is left to the sweep of the next export.
      const left = readdirSync(at()).filter((name) => point.syscall !== 'unlinkat' || name === 'out');
      expect([where, ...left]).toEqual([where, ...(ran.code === 0 ? ['out'] : [])]);
    }
  },
  10 * MINUTES,
);
