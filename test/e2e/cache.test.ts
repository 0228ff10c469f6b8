/** A cache that operators steer: images, rmi, what is kept, and the order in which a clean takes the rest. */
import { expect, test } from 'bun:test';
import { mkdirSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { makeImage } from '../support/images/images.ts';
import { must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

interface Shown {
  version: number;
  images: {
    image: string;
    digest: string;
    bytes: number;
    ownBytes: number;
    sharedBytes: number;
    lastUsed: string;
    stays: unknown[];
  }[];
  nameless: { volumes: number; bytes: number };
  reclaimableBytes: number;
  spared: { images: number; diskBytes: number };
}

async function shown(store: TestStore, ...flags: string[]): Promise<Shown> {
  return JSON.parse(await store.must([...flags, 'images', '--json'])) as Shown;
}

/** Images of one common layer and one of their own, of some blocks. */
async function images(store: TestStore, ...names: string[]): Promise<string[]> {
  const base = store.dir.at('base');
  mkdirSync(base);
  writeFileSync(`${base}/common`, 'x'.repeat(100_000));
  const made: string[] = [];
  for (const [at, name] of names.entries()) {
    const own = store.dir.at(`own-${name}`);
    mkdirSync(own);
    writeFileSync(`${own}/${name}`, name.repeat(50_000 + at * 10_000));
    made.push((await makeImage(store.dir.at('layout'), name, [base, own])).url);
  }
  return made;
}

/** Makes the note of an image older. */
async function ago(store: TestStore, image: string, days: number): Promise<void> {
  for (const file of readdirSync(`${store.path}/meta/cached`)) {
    const path = `${store.path}/meta/cached/${file}`;
    const { name } = (await Bun.file(path).json()) as { name: string };
    if (name === image) utimesSync(path, 0, Date.now() / 1000 - days * 86_400);
  }
}

test('images says what is shared and why it stays, and rmi deletes what nothing else needs', async () => {
  await using store = await testStore();
  const [one = '', two = ''] = await images(store, 'one', 'two');
  await store.must(['create', one, 'web']);
  await store.must(['pull', two]);
  const { version, images: rows, nameless } = await shown(store);
  expect([version, rows.length, nameless.volumes]).toEqual([1, 2, 0]);
  const [first, second] = [one, two].map((name) => rows.find(({ image }) => image === name));
  expect(first?.stays).toEqual([{ reason: 'used', by: ['web'] }]);
  expect(second?.stays).toEqual([]);
  expect(first?.sharedBytes).toBe(second?.sharedBytes ?? 0);
  expect(first?.sharedBytes).toBeGreaterThan(100_000);
  for (const row of [first, second]) expect(row?.bytes).toBe((row?.ownBytes ?? 0) + (row?.sharedBytes ?? 0));
  expect((await store.must(['images', '--quiet'])).split('\n').sort()).toEqual(['', one, two].sort());

  const refused = await store.graft(['rmi', one]);
  expect([refused.code, refused.stdout]).toEqual([
    1,
    `${one} is in use by web; delete these root filesystems first\n`,
  ]);
  expect((await store.graft(['rmi', first?.digest ?? ''])).stdout).toContain('is in use by web');
  expect(readdirSync(`${store.path}/volumes`)).toHaveLength(3);
  expect(await store.must(['rmi', second?.digest ?? ''])).toContain(`removed ${two}@${second?.digest}\n`);
  expect(readdirSync(`${store.path}/volumes`)).toHaveLength(2);
  const gone = await store.graft(['rmi', two]);
  expect([gone.code, gone.stdout]).toEqual([
    1,
    `${two} is not in the cache; graft images says what is, by reference and digest\n`,
  ]);
  await store.must(['delete', 'web']);
  await store.must(['rmi', one]);
  expect(readdirSync(`${store.path}/volumes`)).toEqual([]);
  expect(readdirSync(`${store.path}/meta/cached`)).toEqual([]);
});

test('a clean spares what pull --keep and the patterns keep, and counts it, until rmi', async () => {
  await using store = await testStore();
  const [one = '', two = '', three = ''] = await images(store, 'one', 'two', 'three');
  await store.must(['pull', one]);
  await store.must(['pull', '--keep', one]);
  for (const image of [two, three]) await store.must(['pull', image]);
  const extra = store.dir.at('extra.yml');
  writeFileSync(extra, `cache:\n  keep: ["${two.replace('two', 't*o')}"]\n`);
  const before = await shown(store, '--extra-config', extra);
  expect(before.images.map(({ image, stays }) => [image, stays]).sort()).toEqual(
    [
      [one, [{ reason: 'kept' }]],
      [two, [{ reason: 'pattern', pattern: two.replace('two', 't*o') }]],
      [three, []],
    ].sort(),
  );
  expect(before.spared.images).toBe(2);
  const ran = await store.graft(['--extra-config', extra, '--log-level', 'info', 'clean']);
  expect([ran.code, ran.stdout]).toEqual([0, 'clean completed\n']);
  const said = ran.stderr.split('\n').find((line) => line.includes('groot-cleaning.freed')) ?? '';
  expect(JSON.parse(said)).toMatchObject({ data: { volumes: 1, keptImages: 2, idleBytes: 0 } });
  expect((await shown(store)).images.map(({ image }) => image).sort()).toEqual([one, two].sort());
  await store.must(['clean']);
  expect((await shown(store)).images.map(({ image }) => image)).toEqual([one]);
  await store.must(['rmi', one]);
  expect(readdirSync(`${store.path}/volumes`)).toEqual([]);
});

test('an image of which a layer went stays kept, so that its next pull makes it whole for good', async () => {
  await using store = await testStore();
  const [one = ''] = await images(store, 'one');
  await store.must(['pull', '--keep', one]);
  const [volume = ''] = readdirSync(`${store.path}/volumes`);
  rmSync(`${store.path}/volumes/${volume}`, { recursive: true });
  await store.must(['clean']);
  expect((await shown(store)).images.map(({ image, stays }) => [image, stays])).toEqual([
    [one, [{ reason: 'kept' }]],
  ]);
  await store.must(['pull', one]);
  await store.must(['clean']);
  expect(readdirSync(`${store.path}/volumes`)).toContain(volume);
});

test('a clean takes the images that were used least recently, down to a tenth below its threshold', async () => {
  await using store = await testStore();
  const names = ['a', 'b', 'c', 'd'];
  const all = await images(store, ...names);
  for (const image of all) await store.must(['pull', image]);
  for (const [at, image] of all.entries()) await ago(store, image, [3, 9, 1, 6][at] ?? 0);
  // A container that comes and goes makes the oldest image the newest.
  await store.must(['create', all[1] ?? '', 'web']);
  await store.must(['delete', 'web']);
  const { layerBytes } = JSON.parse(await store.must(['usage', '--json'])) as { layerBytes: number };
  const left = async () => (await shown(store)).images.map(({ image }) => image);
  const clean = (threshold: number, ...flags: string[]) =>
    store.must(['clean', '--threshold-bytes', String(threshold), ...flags]);
  expect(await clean(layerBytes + 1)).toBe('threshold not reached: skipping clean\n');
  expect(await clean(layerBytes + 1, '--dry-run')).toBe('would delete 0 layers and shims, 0 bytes\n');
  expect(await left()).toHaveLength(4);
  expect(await clean(layerBytes, '--dry-run')).toContain('would delete 1 layer or shim');
  expect(await clean(layerBytes)).toBe('clean completed\n');
  expect(await left()).toEqual([all[1], all[2], all[0]] as string[]);
  expect(await clean(layerBytes)).toBe('threshold not reached: skipping clean\n');
  expect(await clean(1)).toBe('clean completed\n');
  expect(await left()).toEqual([]);
});

test('pull --file fetches a list, several at a time, also with shared layers, and names what it could not', async () => {
  await using store = await testStore();
  const [one = '', two = '', three = ''] = await images(store, 'one', 'two', 'three');
  const list = store.dir.at('list');
  const missing = `oci://${store.dir.at('nowhere')}`;
  writeFileSync(list, `# the images of the cell\n${one}\n\n${missing}\n  ${two}  \n${three}\n${one}\n`);
  const ran = await store.graft(['pull', '--keep', '--file', list]);
  const lines = ran.stdout.trimEnd().split('\n');
  expect(ran.code).toBe(1);
  expect(lines.pop()).toBe(
    '1 image of 4 could not be pulled; the lines above say why, the others are in the store',
  );
  expect(lines.filter((line) => line.includes(': not pulled: '))).toHaveLength(1);
  expect(lines).toHaveLength(4);
  await store.must(['clean']);
  expect((await shown(store)).images.map(({ image }) => image).sort()).toEqual([one, two, three].sort());
  for (const args of [['pull'], ['pull', '--file', list, one], ['pull', '--file', list, '--username', 'u']])
    expect([args, (await store.graft(args)).code]).toEqual([args, 1]);
  writeFileSync(list, '# nothing\n');
  expect((await store.graft(['pull', '--file', list])).stdout).toContain('it names no image');
});

test('a store of an earlier graft has no names: nothing fails, and its layers are the oldest', async () => {
  await using store = await testStore();
  const [one = '', two = ''] = await images(store, 'one', 'two');
  await store.must(['pull', one]);
  await must('rm', ['-r', `${store.path}/meta/cached`]);
  const { images: rows, nameless } = await shown(store);
  expect([rows, nameless.volumes]).toEqual([[], 2]);
  await store.must(['create', two, 'web']);
  await store.must(['clean']);
  expect((await shown(store)).nameless.volumes).toBe(0);
  expect(await store.must(['check'])).toBeTruthy();
});
