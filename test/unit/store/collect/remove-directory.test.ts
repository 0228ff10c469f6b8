import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { silentLogger } from '../../../../lib/base/log.ts';
import { sweep } from '../../../../lib/store/collect/recover.ts';
import { removeDirectory } from '../../../../lib/store/collect/remove-directory.ts';
import { parseImageId } from '../../../../lib/store/layout/image-id.ts';
import { moveAway } from '../../../../lib/store/layout/staging.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { mount } from '../../../../lib/sys/mounts/mount.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';
import { mountPointsBelow } from '../../../support/temp.ts';

const SOON_MS = 50;

/** A container's directory with as many mounts on its rootfs. */
function imageWithMounts(store: Store, mounts: number): string {
  const path = store.layout.image(parseImageId('x'));
  for (const name of ['diff', 'workdir', 'rootfs']) mkdirSync(`${path}/${name}`, { recursive: true });
  for (let i = 0; i < mounts; i += 1) mount('none', `${path}/rootfs`, 'tmpfs');
  return path;
}

test.each([0, 1, 2])('removes a directory with %d mounts in it', async (mounts) => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const path = imageWithMounts(store, mounts);
  expect(await removeDirectory(store, path, SOON_MS, silentLogger)).toBe(true);
  expect(mountPointsBelow(scratch.path)).toEqual([]);
  expect([readdirSync(store.layout.images), readdirSync(store.layout.tmp)]).toEqual([[], []]);
  expect(await removeDirectory(store, path, SOON_MS, silentLogger)).toBe(false);
});

test('detaches a mount that stays busy, and its files stay for whoever has them open', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const path = imageWithMounts(store, 1);
  writeFileSync(`${path}/rootfs/file`, 'still here');
  const holder = Bun.spawn(['sh', '-c', 'exec 3<file; echo up; read line; cat <&3'], {
    cwd: `${path}/rootfs`,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const reader = holder.stdout.getReader();
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('up\n');
  expect(await removeDirectory(store, path, SOON_MS, silentLogger)).toBe(true);
  expect(existsSync(path)).toBe(false);
  expect(readdirSync(store.layout.tmp)).toEqual([]);
  holder.stdin.write('\n');
  holder.stdin.end();
  expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe('still here');
  await holder.exited;
});

test('what a killed delete moved away goes with its mount in the next sweep', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const path = imageWithMounts(store, 1);
  const away = moveAway(store.layout, path) ?? '';
  expect(mountPointsBelow(scratch.path)).toEqual([`${away}/rootfs`]);
  // As if the process that moved it were dead: a place that is nobody's.
  const name = `${store.layout.tmp}/nobody`;
  Bun.spawnSync(['mv', away, name]);
  expect((await sweep(store, silentLogger)).staged).toBe(1);
  expect(mountPointsBelow(scratch.path)).toEqual([]);
  expect(readdirSync(store.layout.tmp)).toEqual([]);
});
