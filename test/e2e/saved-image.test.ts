/** Tars that hold an image as a file are refused; root filesystems that look a little like one are not. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync, writeFileSync } from 'node:fs';
import { makeBusyboxImage } from '../support/images/images.ts';
import { type EntrySpec, tar } from '../support/images/tar-writer.ts';
import { must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

let store: TestStore;
beforeAll(async () => {
  store = await testStore();
});
afterAll(() => store.dir.remove());

async function expectRefused(path: string, format: string): Promise<void> {
  const ran = await store.graft(['create', path, 'box']);
  expect(ran.code).toBe(1);
  expect(ran.stdout).toBe(
    `${path} is a saved image (${format}), not the tar of a root filesystem; its reference is ${format}:${path}\n`,
  );
  for (const name of ['images', 'volumes', 'tmp', 'meta/sources'])
    expect([name, readdirSync(`${store.path}/${name}`)]).toEqual([name, []]);
}

test('archives that skopeo made, compressed or not, and the reference of the sentence helps', async () => {
  const image = await makeBusyboxImage(store.dir.at('layout'));
  for (const format of ['docker-archive', 'oci-archive']) {
    const path = store.dir.at(`${format}.tar`);
    await must('skopeo', ['copy', '-q', '--insecure-policy', `oci:${image.name}`, `${format}:${path}:app:1`]);
    await expectRefused(path, format);
    await must('gzip', ['-1', '-k', path]);
    await expectRefused(`${path}.gz`, format);
  }
  for (const format of ['docker-archive', 'oci-archive']) {
    await store.must(['create', `${format}:${store.dir.at(`${format}.tar.gz`)}`, 'helped']);
    await store.must(['delete', 'helped']);
    await store.must(['clean']);
  }
});

const HEX = 'a'.repeat(64);
const LIST = JSON.stringify([{ Config: `${HEX}.json`, RepoTags: null, Layers: [`${HEX}/layer.tar`] }]);
const DOCKER: readonly EntrySpec[] = [
  { name: `${HEX}.json`, content: '{}' },
  { name: `${HEX}/layer.tar`, type: '2', link: `../${HEX}.tar` },
  { name: `${HEX}.tar`, content: 'x' },
  { name: 'manifest.json', content: LIST },
];
const OCI: readonly EntrySpec[] = [
  { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
  { name: 'index.json', content: `{"manifests":[{"digest":"sha256:${HEX}"}]}` },
  { name: `blobs/sha256/${HEX}`, content: '{}' },
];

function written(entries: readonly EntrySpec[]): string {
  const path = store.dir.at(`tar-${Bun.nanoseconds()}`);
  writeFileSync(path, tar(entries));
  return path;
}

describe('refused', () => {
  test.each<[string, string, readonly EntrySpec[]]>([
    ['with links to layers', 'docker-archive', DOCKER.slice(1)],
    ['in another order', 'docker-archive', [...DOCKER].reverse()],
    ['below ./', 'docker-archive', DOCKER.map((entry) => ({ ...entry, name: `./${entry.name}` }))],
    ['that Docker 25 writes', 'docker-archive', [...DOCKER, ...OCI]],
    ['of a layout', 'oci-archive', OCI],
    [
      'of an empty layout',
      'oci-archive',
      [
        { name: 'oci-layout', content: '{"imageLayoutVersion":"1.0.0"}' },
        { name: 'index.json', content: '{"manifests":[]}' },
        { name: 'blobs/', type: '5' },
      ],
    ],
  ])('an archive %s', (_what, format, entries) => expectRefused(written(entries), format));
});

describe('a root filesystem', () => {
  test.each<[string, readonly EntrySpec[]]>([
    ['with a manifest of something else', [{ name: 'manifest.json', content: '{"name":"app"}' }]],
    ['with a list whose files it has not', [{ name: 'manifest.json', content: LIST }]],
    [
      'with a list that is none',
      [
        { name: 'manifest.json', content: '[]' },
        { name: 'app', content: '' },
      ],
    ],
    [
      'with JSON that is broken',
      [
        { name: 'manifest.json', content: '[{' },
        { name: 'oci-layout', content: '' },
      ],
    ],
    [
      'with a list that leads out',
      [
        {
          name: 'manifest.json',
          content: JSON.stringify([{ Config: '/etc/passwd', Layers: ['../../../../etc/passwd'] }]),
        },
      ],
    ],
    [
      'with a FIFO in place of the list',
      [
        { name: 'manifest.json', type: '6' },
        { name: 'oci-layout', type: '6' },
      ],
    ],
    ['with a directory in place of the list', [{ name: 'manifest.json/', type: '5' }]],
    ['that has an image unpacked at its root', [...DOCKER, { name: 'etc/hostname', content: 'x' }]],
    ['that keeps a layout below', [...OCI.map((entry) => ({ ...entry, name: `srv/${entry.name}` }))]],
  ])('%s', async (_what, entries) => {
    await store.must(['create', written(entries), 'box']);
    await store.must(['delete', 'box']);
  });
});
