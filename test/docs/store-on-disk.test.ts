/** docs/store-on-disk.md draws the store as it is: nothing is missing, and nothing is drawn that is not there. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { STORE_DIRECTORIES, STORE_VERSION } from '../../lib/store/layout/layout.ts';
import { must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { allBlocks, readPage } from './page.ts';

let store: TestStore;
beforeAll(async () => {
  store = await testStore();
  await must('tar', ['-C', '/etc', '-cf', store.dir.at('image.tar'), 'passwd']);
  await store.must(['create', store.dir.at('image.tar'), 'web']);
  // A second layer, which is an image.
  await store.must(['init-store', '--layers', 'images']);
  await must('tar', ['-C', '/etc', '-cf', store.dir.at('second.tar'), 'group']);
  await store.must(['pull', store.dir.at('second.tar')]);
});
afterAll(() => store?.[Symbol.asyncDispose]());

/** `images/ID/diff` and so on, from the lines of the drawing. */
function drawn(): string[] {
  const [drawing] = allBlocks('docs/store-on-disk.md').filter(({ text }) => text.includes('├──'));
  const above: string[] = [];
  return (drawing?.text ?? '').split('\n').flatMap((line) => {
    const [, branch = '', name = ''] = /^((?:│ {3}| {4})*[├└]── )(\S+)/.exec(line) ?? [];
    if (name === '') return [];
    const depth = branch.length / 4;
    above.splice(depth - 1, above.length, name.replace(/\/$/, ''));
    return [above.join('/')];
  });
}

const PATHS = drawn();
/** Only when there is something to keep there. */
const SOMETIMES = ['images/ID/image_quota', 'volumes/….shim,'];

test('every directory that init-store makes is drawn', () => {
  const tops = PATHS.map((path) => path.replace(/\/(ID|LAYER)$/, ''));
  expect(STORE_DIRECTORIES.filter((path) => !tops.includes(path))).toEqual([]);
  expect(readPage('docs/store-on-disk.md')).toContain(`This is version ${STORE_VERSION} of the format`);
});

test('every name in a store with a container is drawn', () => {
  const places: readonly (readonly [string, string])[] = [
    ['', ''],
    ['meta', 'meta'],
    ['images/ID', 'images/web'],
    ...readdirSync(join(store.path, 'volumes')).map(
      (layer) => ['volumes/LAYER', `volumes/${layer}`] as const,
    ),
  ];
  for (const [place, path] of places)
    for (const name of readdirSync(join(store.path, path))) {
      const wanted = place === '' ? name : `${place}/${name}`;
      expect([wanted, PATHS.some((one) => one === wanted || one.startsWith(`${wanted}/`))]).toEqual([
        wanted,
        true,
      ]);
    }
});

test('everything that is drawn is there', () => {
  const layers = readdirSync(join(store.path, 'volumes'));
  for (const path of PATHS.filter((one) => !SOMETIMES.includes(one))) {
    const isThere = layers.some((layer) => {
      const real = path
        .replace('images/ID', 'images/web')
        .replace('volumes/LAYER', `volumes/${layer}`)
        .replace('/ID', '/web');
      const name = real.split('/').at(-1) ?? '';
      return readdirSync(join(store.path, real, '..')).includes(name);
    });
    expect([path, isThere]).toEqual([path, true]);
  }
});
