/** Several `init-store --restore-mounts` at the same moment, as monit and an operator may start them. */
import { expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { must } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';
import { mountPointsBelow } from '../support/temp.ts';

const CONTAINERS = 12;
const AT_ONCE = 4;

test('every root filesystem is mounted once', async () => {
  await using store = await testStore();
  mkdirSync(store.dir.at('tree'));
  writeFileSync(store.dir.at('tree/file'), 'there');
  await must('tar', ['-C', store.dir.at('tree'), '-cf', store.dir.at('image.tar'), '.']);
  for (let i = 0; i < CONTAINERS; i += 1) await store.must(['create', store.dir.at('image.tar'), `web${i}`]);
  const mounted = mountPointsBelow(`${store.path}/images`);
  expect(mounted.length).toBe(CONTAINERS);
  await must('umount', mounted);

  const said = await Promise.all(
    Array.from({ length: AT_ONCE }, () => store.must(['init-store', '--restore-mounts'])),
  );
  const counted = said.map((text) =>
    Number(/^(\d+) root filesystems mounted again\.$/m.exec(text)?.[1] ?? 0),
  );
  expect(counted.reduce((sum, count) => sum + count)).toBe(CONTAINERS);
  expect(mountPointsBelow(`${store.path}/images`).sort()).toEqual(mounted.sort());
  for (let i = 0; i < CONTAINERS; i += 1) await store.must(['delete', `web${i}`]);
  expect(mountPointsBelow(`${store.path}/images`)).toEqual([]);
}, 120_000);
