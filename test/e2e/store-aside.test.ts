/** A clean of very many volumes at work: a create that names layers meanwhile waits for no more than its decision. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, readFileSync } from 'node:fs';
import { sha256Hex } from '../../lib/base/digest.ts';
import { makeFaultImage } from '../support/faults/image.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

let dir: TempDir;
let image: string;
beforeAll(async () => {
  dir = tempDir();
  image = await makeFaultImage(dir.at('layout'));
});
afterAll(() => dir.remove());

/** So many volumes that the clean decides about them in many batches, for as long as a create takes. */
function crowd({ path }: TestStore, round: number): void {
  for (let i = 0; i < 3000; i += 1)
    mkdirSync(`${path}/volumes/${sha256Hex(`${round}.${i}`)}.p1.shim/fs`, { recursive: true });
}

test('a create succeeds and keeps its layers, at whatever moment of a clean it comes', async () => {
  await using store = await testStore();
  for (let round = 0; round < 16; round += 1) {
    await store.must(['pull', image]);
    crowd(store, round);
    const clean = store.graft(['clean']);
    await Bun.sleep(20 + round * 8);
    const created = await store.graft(['create', image, `r${round}`]);
    expect([round, created.code, created.code === 0 ? '' : created.stdout]).toEqual([round, 0, '']);
    expect(readFileSync(`${store.path}/images/r${round}/rootfs/etc/name`, 'utf8')).toBe('bottom');
    expect((await clean).code).toBe(0);
    await store.must(['delete', `r${round}`]);
    await store.must(['clean']);
  }
}, 120_000);
