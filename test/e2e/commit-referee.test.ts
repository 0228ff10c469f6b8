/** `umoci repack` as a referee: an image that another program makes of the tree of a container has the tree that graft's has. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
import { compareTrees } from '../support/images/compare-trees.ts';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { changeRandomly } from '../support/images/random-changes.ts';
import { must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

let store: TestStore;
let image: MadeImage;
beforeAll(async () => {
  store = await testStore();
  image = await makeBusyboxImage(store.dir.at('layout'));
});
afterAll(() => store[Symbol.asyncDispose]());

async function created(reference: string, id: string): Promise<string> {
  await store.must(['create', reference, id]);
  return `${store.path}/images/${id}/rootfs`;
}

/** umoci writes whole seconds. */
function isRounding(difference: string): boolean {
  const [, mine = '', theirs = ''] = /mtime: (\d+) and (\d+)$/.exec(difference) ?? [];
  return theirs.endsWith('000000000') && Math.abs(Number(mine) - Number(theirs)) < 1e9;
}

test.each([1, 2])('random changes %d give the tree that umoci makes of them', async (seed) => {
  const rootfs = await created(image.url, `c${seed}`);
  changeRandomly(rootfs, seed, 200);
  await store.must(['commit', `c${seed}`, `oci:${store.dir.at('mine')}:s${seed}`]);
  const bundle = store.dir.at(`bundle${seed}`);
  const theirs = store.dir.at(`theirs${seed}`);
  await must('cp', ['-a', image.layout, theirs]);
  await must('umoci', ['unpack', '--image', `${theirs}:${image.tag}`, bundle]);
  rmSync(`${bundle}/rootfs`, { recursive: true });
  await must('cp', ['-a', rootfs, `${bundle}/rootfs`]);
  await must('umoci', ['repack', '--image', `${theirs}:new`, bundle]);
  const [a, b] = [
    await created(`oci:${store.dir.at('mine')}:s${seed}`, `m${seed}`),
    await created(`oci:${theirs}:new`, `t${seed}`),
  ];
  const differences = compareTrees(a, b, {
    linkCounts: false,
    ignoreXattrs: ['trusted.', 'security.selinux'],
  });
  expect(differences.filter((difference) => !isRounding(difference))).toEqual([]);
});
