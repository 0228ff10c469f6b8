/** Every small file of a store, empty, cut, nonsense, gone or a directory: clear sentences, and a store that mends. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { faultLayers, makeFaultImage } from '../support/faults/image.ts';
import { contents, unfinished } from '../support/stores/names.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const MINUTES = 60_000;
let dir: TempDir;
let image: string;
let tar: string;
beforeAll(async () => {
  dir = tempDir();
  image = await makeFaultImage(dir.at('layout'));
  tar = dir.at('layer.tar');
  writeFileSync(tar, (await faultLayers())[0] ?? '');
});
afterAll(() => dir.remove());

const DAMAGE: Readonly<Record<string, (path: string) => void>> = {
  empty: (path) => writeFileSync(path, ''),
  nonsense: (path) => writeFileSync(path, Buffer.from([0, 255, 10, 123, 34, 1])),
  cut: (path) => writeFileSync(path, readFileSync(path).subarray(0, statSync(path).size >> 1)),
  'JSON of another kind': (path) =>
    writeFileSync(path, '{"version":1,"uses":5,"lowers":[7],"fileBytes":"x"}\n'),
  'a directory': (path) => {
    rmSync(path);
    mkdirSync(path);
    writeFileSync(`${path}/file`, '');
  },
  missing: (path) => rmSync(path),
  'a file': (path) => {
    rmSync(path);
    writeFileSync(path, 'something');
  },
};

/** The first name in a directory of the store. */
const first =
  (directory: string, under = '') =>
  ({ path }: TestStore) =>
    `${path}/${directory}/${
      readdirSync(`${path}/${directory}`)
        .filter((name) => !name.endsWith('.shim'))
        .sort()[0]
    }${under}`;
const at =
  (name: string) =>
  ({ path }: TestStore) =>
    `${path}/${name}`;
const DEAD = '1.1.4026531836.00000000-0000-0000-0000-000000000000.1';

const EVERY = Object.keys(DAMAGE).filter((damage) => damage !== 'a file');
const PRESENT = EVERY.filter((damage) => damage !== 'missing');
/** What is read as a fact that can be found out again is read in one way, whatever it is. */
const TWO = ['nonsense', 'a directory'];

/** What is damaged, and the verbs that cannot work until it is mended. */
const FILES: readonly {
  readonly name: string;
  readonly of: (store: TestStore) => string;
  readonly damages: readonly string[];
  readonly stops: readonly string[];
}[] = [
  // Its mount tells what the container runs on. One without a record is half made.
  { name: "an image's record", of: at('meta/images/x'), damages: PRESENT, stops: ['check'] },
  { name: "a layer's record", of: first('volumes', '/layer.json'), damages: EVERY, stops: ['check'] },
  { name: "a layer's manifest", of: first('volumes', '/tree'), damages: EVERY, stops: ['check'] },
  {
    name: 'the marker',
    of: at('meta/graft.json'),
    damages: EVERY,
    stops: ['list', 'usage', 'create', 'clean', 'check', 'stats'],
  },
  { name: 'a plan', of: first('meta/stacks'), damages: TWO, stops: [] },
  { name: 'what a tar gave', of: first('meta/sources'), damages: TWO, stops: [] },
  { name: 'the running total', of: at('meta/totals'), damages: TWO, stops: [] },
  { name: 'the mark of the boot', of: at('meta/boot'), damages: TWO, stops: [] },
  { name: "a dead owner's lease", of: at(`meta/leases/${DEAD}`), damages: TWO, stops: [] },
  { name: 'the size of the layers', of: at('images/x/image_info'), damages: TWO, stops: ['check'] },
  {
    name: 'the short link of a layer',
    of: first('l'),
    damages: ['a file', 'a directory', 'missing'],
    stops: ['check'],
  },
];

/** A layer whose record or manifest is bad goes; its container runs on, and `check` goes on saying so. */
const GOES = ["a layer's record", "a layer's manifest"];

async function says(store: TestStore, args: readonly string[]): Promise<string> {
  const ran = await store.graft(args);
  expect([args, ran.code, ran.signal]).toEqual([args, ran.code === 0 ? 0 : 1, undefined]);
  expect(ran.stdout).not.toMatch(/does not expect|undefined|\[object|\n {4}at /);
  if (ran.code === 1 && args[0] !== 'check') expect(ran.stdout).toMatch(/^[^\n]{20,}\n$/);
  return ran.code === 0 ? 'works' : ran.stdout;
}

for (const file of FILES) {
  test(
    `${file.name}: damaged in every way`,
    async () => {
      await using store = await testStore();
      for (const damage of file.damages) {
        const what = `${file.name}, ${damage}`;
        await store.must(['create', image, 'x']);
        await store.must(['create', tar, 'y']);
        writeFileSync(`${store.path}/meta/leases/${DEAD}`, 'image q\nfoo\n');
        DAMAGE[damage]?.(file.of(store));
        const verbs = [['stats', 'y'], ['list'], ['usage'], ['create', image, 'new'], ['clean'], ['check']];
        for (const args of verbs) {
          const said = await says(store, args);
          const may = file.stops.includes(args[0] ?? '');
          expect([what, args, may || said]).toEqual([what, args, may || 'works']);
        }
        await store.must(['init-store']);
        const mended = await store.graft(['check', '--repair']);
        expect([what, mended.code]).toEqual([what, GOES.includes(file.name) ? 1 : 0]);
        expect(readFileSync(`${store.path}/images/x/rootfs/etc/name`, 'utf8')).toBe('bottom');
        await store.must(['create', image, 'again']);
        const check = await store.graft(['check']);
        if (!GOES.includes(file.name)) expect([what, check.stdout]).toEqual([what, 'Nothing is wrong.\n']);
        for (const id of ['x', 'y', 'new', 'again']) await store.must(['delete', id]);
        await store.must(['clean']);
        expect([what, await store.must(['check'])]).toEqual([what, 'Nothing is wrong.\n']);
        expect([what, unfinished(store.path), contents(store.path)]).toEqual([what, [], []]);
      }
    },
    3 * MINUTES,
  );
}

test('a damaged record of before this boot holds nothing up, and goes with its image', async () => {
  await using store = await testStore();
  await store.must(['create', image, 'x']);
  Bun.spawnSync(['umount', `${store.path}/images/x/rootfs`]);
  const record = `${store.path}/meta/images/x`;
  writeFileSync(record, '');
  const said = await store.must(['clean']);
  expect(said).toStartWith(`no layer is deleted: ${record} is damaged (it is not JSON)`);
  expect(readdirSync(`${store.path}/volumes`)).not.toEqual([]);
  expect((await store.graft(['check', '--repair'])).stdout).toContain('until the image is deleted');
  utimesSync(record, 1, 1);
  await store.must(['clean']);
  expect(readdirSync(`${store.path}/volumes`)).toEqual([]);
  expect(await store.must(['check', '--repair'])).toContain('repaired');
  expect(contents(store.path)).toEqual([]);
  expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
});

test('a damaged marker is written anew for the mappings that fit, and for no others', async () => {
  const mappings = ['--uid-mapping', '0:100000:65536', '--gid-mapping', '0:100000:65536'];
  await using store = await testStore({ init: mappings });
  await store.must(['create', image, 'x']);
  for (const damage of [DAMAGE['empty'], DAMAGE['missing'], DAMAGE['a directory']]) {
    damage?.(`${store.path}/meta/graft.json`);
    const refused = await store.graft(['init-store']);
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('UID mappings do not match')]);
    await store.must(['init-store', ...mappings]);
    await store.must(['create', image, 'y']);
    expect(statSync(`${store.path}/images/y/rootfs/etc/name`).uid).toBe(100_000);
    await store.must(['delete', 'y']);
  }
});
