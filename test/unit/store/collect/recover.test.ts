import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { silentLogger } from '../../../../lib/base/log.ts';
import { sweep } from '../../../../lib/store/collect/recover.ts';
import { type ImageId, parseImageId } from '../../../../lib/store/layout/image-id.ts';
import { moveAway } from '../../../../lib/store/layout/staging.ts';
import { Lease } from '../../../../lib/store/records/leases.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';

/** A container's directory without a record: what a create or delete leaves that was stopped. */
function half(store: Store, name: string): ImageId {
  const id = parseImageId(name);
  for (const directory of ['diff', 'workdir', 'rootfs'])
    mkdirSync(`${store.layout.image(id)}/${directory}`, { recursive: true });
  return id;
}

test('sweeps what has neither a record nor a live lease', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  half(store, 'dead');
  const made = half(store, 'being-made');
  using _lease = new Lease(store.layout, made, []);
  expect((await sweep(store, silentLogger)).images).toBe(1);
  expect(readdirSync(store.layout.images)).toEqual(['being-made']);
});

test('a container made anew under the name of a half one, while that one waited to be swept, stays', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const ids = [half(store, 'a'), half(store, 'b')];
  // It has chosen both, and is at the first, whichever that is.
  const sweeping = sweep(store, silentLogger);
  const waiting = ids.filter((id) => existsSync(store.layout.image(id)));
  expect(waiting).toHaveLength(1);
  const [id = parseImageId('none')] = waiting;
  // As a delete does it; in one go, so that the sweep does not get on meanwhile.
  moveAway(store.layout, store.layout.image(id));
  half(store, id);
  const record = { image: id, manifestDigest: undefined, created: '', uses: [], lowers: [] };
  store.images.writeRecord(id, { ...record, mounted: false, layers: [] });
  const { ino } = statSync(store.layout.image(id));
  await sweeping;
  expect(statSync(store.layout.image(id)).ino).toBe(ino);
  expect(store.images.hasRecord(id)).toBe(true);
});
