import { expect, test } from 'bun:test';
import { symlinkSync, writeFileSync } from 'node:fs';
import { leakedProjectIds } from '../../../../lib/store/collect/leaked-ids.ts';
import { parseImageId } from '../../../../lib/store/layout/image-id.ts';
import { newOwnerName } from '../../../../lib/store/layout/owner-name.ts';
import { Lease } from '../../../../lib/store/records/leases.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';

const DEAD = '1.1.4026531836.00000000-0000-0000-0000-000000000000.1';

function take(store: Store, id: number, target: string): void {
  symlinkSync(target, `${store.layout.projectIds}/${id}`);
}

test('an id leaks when whoever took it is dead, or has let go of its lease and left no directory', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const lease = new Lease(store.layout, parseImageId('x'), []);
  take(store, 100, lease.name);
  take(store, 101, DEAD);
  take(store, 102, `${DEAD}~delete`);
  take(store, 103, newOwnerName());
  expect(leakedProjectIds(store).sort()).toEqual([101, 102, 103]);
  lease[Symbol.dispose]();
  expect(leakedProjectIds(store).sort()).toEqual([100, 101, 102, 103]);
});

test('an id whose directory is being deleted by somebody alive does not leak, though nothing carries it', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  take(store, 100, DEAD);
  expect(leakedProjectIds(store)).toEqual([100]);
  store.projectIds.takeOver(100);
  expect(leakedProjectIds(store)).toEqual([]);
  expect(store.projectIds.ownerOf(100)).toMatch(/~delete$/);
});

test('what is no link of ours is nobody’s', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  writeFileSync(`${store.layout.projectIds}/100`, 'a file');
  take(store, 101, 'no owner at all');
  writeFileSync(`${store.layout.projectIds}/not-a-number`, '');
  expect(store.projectIds.ownerOf(100)).toBeUndefined();
  expect(store.projectIds.ownerOf(555)).toBeUndefined();
  expect(leakedProjectIds(store).sort()).toEqual([100, 101]);
});
