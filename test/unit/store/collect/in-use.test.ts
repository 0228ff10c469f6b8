/** A container that is mounted or has a process is no rubbish, whatever became of its record. */
import { expect, test } from 'bun:test';
import { existsSync, lstatSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { silentLogger } from '../../../../lib/base/log.ts';
import { checkStore } from '../../../../lib/plugin/check.ts';
import { cleanStore } from '../../../../lib/plugin/clean.ts';
import { sweep } from '../../../../lib/store/collect/recover.ts';
import { parseImageId } from '../../../../lib/store/layout/image-id.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { mountOverlay } from '../../../../lib/sys/mounts/overlay.ts';
import { publishLayer, scratchStore } from '../../../support/stores/scratch-store.ts';

const ID = parseImageId('x');

/** Without a record. */
function container(store: Store): string {
  const path = store.layout.image(ID);
  for (const name of ['diff', 'workdir', 'rootfs']) mkdirSync(`${path}/${name}`, { recursive: true });
  writeFileSync(`${path}/diff/mine`, 'written');
  return path;
}

/** A process of `sh` that has done `words` and waits. */
async function holding(words: string, cwd: string): Promise<AsyncDisposable & { readonly pid: number }> {
  const child = Bun.spawn(['unshare', '-m', 'sh', '-ec', `${words}; echo up; read line`], {
    cwd,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const { value } = await child.stdout.getReader().read();
  expect(Buffer.from(value ?? []).toString()).toBe('up\n');
  return {
    pid: child.pid,
    async [Symbol.asyncDispose]() {
      child.stdin.end();
      await child.exited;
    },
  };
}

const HOLDS: Readonly<Record<string, (image: string) => Promise<AsyncDisposable>>> = {
  'a working directory': (image) => holding('true', `${image}/diff`),
  'an open file': (image) => holding(`exec 3<${image}/diff/mine`, '/'),
  'a mount that another namespace has': (image) =>
    holding(
      `mount -t overlay -o lowerdir=${image}/rootfs,upperdir=${image}/diff,workdir=${image}/workdir none /mnt`,
      '/',
    ),
};

for (const [what, hold] of Object.entries(HOLDS)) {
  test(`${what} keeps a container without a record from every sweep`, async () => {
    await using scratch = await scratchStore();
    const { store, path } = scratch;
    const image = container(store);
    {
      await using _held = await hold(image);
      expect((await sweep(store, silentLogger)).images).toBe(0);
      const before = await checkStore(store, false, silentLogger);
      expect(before.map(({ kind, what: at }) => [kind, at])).toEqual([['image-in-use', 'images/x']]);
      expect(await checkStore(store, true, silentLogger)).toHaveLength(1);
      await cleanStore({ storePath: path, thresholdBytes: 0, dryRun: false }, silentLogger);
      expect(readFileSync(`${image}/diff/mine`, 'utf8')).toBe('written');
    }
    expect((await sweep(store, silentLogger)).images).toBe(1);
    expect(existsSync(image)).toBe(false);
  });
}

test('a mounted one keeps its layers, and its record is made of the mount', async () => {
  await using scratch = await scratchStore();
  const { store, path } = scratch;
  const layer = publishLayer(store, 'layer');
  const image = container(store);
  const [upper, work, target] = [`${image}/diff`, `${image}/workdir`, `${image}/rootfs`];
  mountOverlay({ lowers: [store.layout.tree(layer)], upper, work, target, flags: {} });
  const clean = () => cleanStore({ storePath: path, thresholdBytes: 0, dryRun: false }, silentLogger);
  expect(await clean()).toMatchObject({ kind: 'cleaned', volumes: 0 });
  expect(readFileSync(`${target}/layer`, 'utf8')).toBe('layer');
  const found = await checkStore(store, true, silentLogger);
  expect(found.map(({ kind, state }) => [kind, state])).toContainEqual(['image-in-use', 'repaired']);
  expect(store.images.record(ID)?.uses).toEqual([layer]);
  expect(await clean()).toMatchObject({ kind: 'cleaned', volumes: 0 });
});

test('check without --repair changes nothing, whatever it finds', async () => {
  await using scratch = await scratchStore();
  const { store, path } = scratch;
  container(store);
  publishLayer(store, 'layer');
  mkdirSync(`${store.layout.tmp}/nobody/below`, { recursive: true });
  mkdirSync(`${store.layout.volumes}/gc.aside`);
  mkdirSync(`${store.layout.volumes}/strange`);
  writeFileSync(store.layout.imageRecord(parseImageId('gone')), '{}');
  writeFileSync(`${store.layout.leases}/1.1.4026531836.00000000-0000-0000-0000-000000000000.1`, 'image q\n');
  const before = listing(path);
  const found = await checkStore(store, false, silentLogger);
  expect(listing(path)).toEqual(before);
  expect(found.map(({ kind }) => kind).sort()).toEqual([
    'image-half',
    // The layers of scratch stores have an empty manifest.
    'layer-changed',
    'lease-dead',
    'record-orphan',
    'staged-abandoned',
    'volume-set-aside',
    'volume-unknown',
  ]);
  expect((await checkStore(store, true, silentLogger)).filter(({ state }) => state !== 'repaired')).toEqual(
    [],
  );
  expect(await checkStore(store, false, silentLogger)).toEqual([]);
});

/** Every name with all that lstat(2) says but the times of access, and its bytes. */
function listing(path: string): string[] {
  return readdirSync(path, { recursive: true, encoding: 'utf8' })
    .sort()
    .map((name) => {
      const stat = lstatSync(`${path}/${name}`, { bigint: true });
      const { ino, mode, nlink, uid, gid, size, mtimeNs, ctimeNs } = stat;
      const bytes = stat.isFile() ? readFileSync(`${path}/${name}`, 'latin1') : '';
      return [name, ino, mode, nlink, uid, gid, size, mtimeNs, ctimeNs, bytes].join(' ');
    });
}
