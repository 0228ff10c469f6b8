/**
 * `publish` into a directory, killed after its state-changing calls, and with each of them failing. No reader sees a half
 * layer or an image without its layers, and the next run finishes what was begun.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { digestFromHex } from '../../lib/base/digest.ts';
import { parseDuccManifest } from '../../lib/cvmfs/records.ts';
import { PublishedRepository } from '../../lib/publish/repository/published.ts';
import { countPoints, type FaultPoint, graftWithFault, pointName } from '../support/faults/faults.ts';
import { faultSample, sampled, sampleName } from '../support/faults/todays-points.ts';
import { graftMust } from '../support/graft.ts';
import { layerOf, layoutImage, type PublishedImage } from '../support/images/published-image.ts';
import { tar } from '../support/images/tar-writer.ts';
import { listTree } from '../support/images/unpack.ts';
import { must } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const NAME = 'registry.example.org/team/app:v1';
const MINUTES = 60_000;
/** ENOSPC. */
const NO_SPACE = 28;
const LAYERS = [
  layerOf(
    tar([
      { name: 'etc/', type: '5' },
      { name: 'etc/one', content: '1', uid: 7 },
      { name: 'opt/', type: '5' },
    ]),
  ),
  layerOf(
    tar([
      { name: 'etc/.wh.one' },
      { name: 'opt/', type: '5' },
      { name: 'opt/.wh..wh..opq' },
      { name: 'opt/new', content: 'new' },
    ]),
  ),
];

let dir: TempDir;
let old: PublishedImage;
let image: PublishedImage;
let points: FaultPoint[];
let reference: Record<string, string>;
beforeAll(async () => {
  dir = tempDir();
  old = layoutImage(dir, LAYERS.slice(0, 1), { config: { Env: ['OLD=1'] } });
  image = layoutImage(dir, LAYERS);
  points = await countPoints(publishArguments(await prepared('counted'), image), dir.at('points'));
  reference = treeOf(dir.at('counted'));
}, 2 * MINUTES);
afterAll(() => dir.remove());

function publishArguments(root: string, { url }: PublishedImage): string[] {
  return ['publish', '--to', `directory:${root}`, '--name', NAME, url];
}

/** A directory in which the tag has an older image. */
async function prepared(name: string): Promise<string> {
  const root = dir.at(name);
  rmSync(root, { recursive: true, force: true });
  if (!existsSync(dir.at('before'))) {
    mkdirSync(dir.at('before'));
    await graftMust(publishArguments(dir.at('before'), old));
  }
  await must('cp', ['-a', dir.at('before'), root]);
  return root;
}

/** Without what says when it was published. */
function treeOf(root: string): Record<string, string> {
  return Object.fromEntries(
    Object.entries(listTree(root)).flatMap(([path, what]) => {
      if (path.startsWith('.graft-publish')) return [];
      const isTimed = path.endsWith('/layers.json') || path.includes('.kept/');
      return [[path.replace(/\.kept\/[^/]+/, '.kept/TIME'), isTimed ? 'timed' : what]];
    }),
  );
}

/** Whatever a reader finds is whole. */
function requireWhole(root: string): void {
  const repository = new PublishedRepository(root);
  for (const two of repository.list('.layers').filter((name) => name.length === 2)) {
    for (const hex of repository.list(`.layers/${two}`).filter((name) => name.length === 64))
      if (!repository.hasLayer(digestFromHex(hex), undefined)) throw new Error(`layer ${hex} is not whole`);
  }
  const path = join(root, '.metadata', NAME, 'manifest.json');
  const { config, layers } = parseDuccManifest(readFileSync(path), path);
  expect([old.config, image.config]).toContain(config.digest);
  for (const { digest } of layers)
    if (!repository.hasLayer(digest, undefined)) throw new Error(`${digest} of the image is not there`);
}

async function atPoints(
  plan: (point: FaultPoint) => string,
  wanted: (point: FaultPoint) => boolean,
  shift: number,
) {
  const sample = faultSample();
  const complaints: string[] = [];
  for (const point of sampled(points.filter(wanted), sample, shift)) {
    const root = await prepared('tried');
    const ran = await graftWithFault(publishArguments(root, image), plan(point));
    try {
      requireWhole(root);
      const again = await graftWithFault(publishArguments(root, image));
      expect(again).toMatchObject({ code: 0 });
      expect(treeOf(root)).toEqual(reference);
      expect(readdirSync(join(root, '.graft-publish'))).toEqual(['stage']);
      expect(readdirSync(join(root, '.graft-publish/stage'))).toEqual([]);
    } catch (error) {
      complaints.push(`${sampleName(sample)} ${pointName(point)}: ${error} ${ran.stdout}`);
    }
  }
  return complaints;
}

test(
  'a killed publication is never half seen, and the next run finishes it',
  async () => {
    expect(points.length).toBeGreaterThan(60);
    expect(points.some(({ path }) => path.includes('manifest.json'))).toBe(true);
    const kill = ({ thread, number }: FaultPoint) => `kill:${thread}:${number}`;
    expect(await atPoints(kill, ({ done }) => done, 0)).toEqual([]);
  },
  10 * MINUTES,
);

test(
  'a publication on a disk that is full leaves the image before it',
  async () => {
    const fail = ({ thread, number }: FaultPoint) => `fail:${thread}:${number}:${NO_SPACE}`;
    expect(await atPoints(fail, ({ syscall }) => syscall !== 'unlinkat', 3)).toEqual([]);
  },
  10 * MINUTES,
);
