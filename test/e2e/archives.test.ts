/** Images in archives that skopeo wrote, held against the layout that they were written from. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { compareTrees } from '../support/images/compare-trees.ts';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { must, sh } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

const OWN_XATTRS = ['trusted.', 'security.selinux'];
const TRANSPORTS = ['docker-archive', 'oci-archive'] as const;

let store: TestStore;
let image: MadeImage;
const at = (transport: string) => store.dir.at(`${transport}.tar`);
const rootfs = (id: string) => `${store.path}/images/${id}/rootfs`;

beforeAll(async () => {
  store = await testStore();
  image = await makeBusyboxImage(store.dir.at('layout'));
  for (const transport of TRANSPORTS)
    await must('skopeo', [
      'copy',
      '-q',
      '--insecure-policy',
      `oci:${image.name}`,
      `${transport}:${at(transport)}:app:1`,
    ]);
  await store.must(['create', image.url, 'layout']);
});
afterAll(() => store.dir.remove());

test.each(TRANSPORTS)('%s: the container is that of the layout, from each compression', async (transport) => {
  const path = at(transport);
  await Promise.all(['gzip', 'xz -0', 'bzip2'].map((packer) => sh(`${packer} -k "$1"`, [path])));
  const expected = JSON.parse(await store.must(['spec', 'layout']));
  for (const suffix of ['', '.gz', '.xz', '.bz2']) {
    const id = `${transport}${suffix}`;
    await store.must(['create', `${transport}:${path}${suffix}:app:1`, id]);
    expect(compareTrees(rootfs('layout'), rootfs(id), { ignoreXattrs: OWN_XATTRS })).toEqual([]);
    expect(JSON.parse(await store.must(['spec', id])).process).toEqual(expected.process);
    await store.must(['delete', id]);
  }
});

test.each(TRANSPORTS)('%s: what is cached is not read again, and a written file is', async (transport) => {
  const path = at(transport);
  const once = store.dir.at(`${transport}-once.tar`);
  await must('cp', [path, once]);
  await store.must(['create', `${transport}:${once}`, 'first']);
  // The store remembers the image of a file by its inode, size and time.
  await sh(
    'mtime=$(stat -c %y "$1"); size=$(stat -c %s "$1"); head -c "$size" /dev/zero | dd of="$1" conv=notrunc status=none; touch -d "$mtime" "$1"',
    [once],
  );
  await store.must(['create', `${transport}:${once}`, 'again']);
  expect(compareTrees(rootfs('first'), rootfs('again'), { ignoreXattrs: OWN_XATTRS })).toEqual([]);
  await sh('touch "$1"', [once]);
  const refused = await store.graft(['create', `${transport}:${once}`, 'changed']);
  expect([refused.code, refused.stdout.includes('it lacks')]).toEqual([1, true]);
  for (const id of ['first', 'again']) await store.must(['delete', id]);
  expect(readdirSync(`${store.path}/images`)).toEqual(['layout']);
});

test.each(TRANSPORTS)('%s: inspect, tree, export, publish and commit read it', async (transport) => {
  const reference = `${transport}:${at(transport)}`;
  const inspected = JSON.parse(await store.must(['inspect', '--json', reference]));
  expect(inspected.digest).toMatch(/^sha256:[0-9a-f]{64}$/);
  expect(JSON.parse(await store.must(['tree', '--json', reference])).layers).toHaveLength(
    inspected.layers.length,
  );
  const exported = store.dir.at(`exported-${transport}`);
  await store.must(['export', reference, exported]);
  expect(compareTrees(rootfs('layout'), exported, { ignoreXattrs: OWN_XATTRS })).toEqual([]);

  const target = store.dir.at(`target-${transport}`);
  mkdirSync(target);
  const name = 'registry.example/app:1';
  await store.must(['publish', reference, '--name', name, '--to', `directory:${target}`]);
  const manifest = readFileSync(`${target}/.metadata/${name}/manifest.json`, 'utf8');
  for (const { digest } of inspected.layers) expect(manifest).toContain(digest);

  await store.must(['create', reference, 'base']);
  await sh('echo more > "$1/etc/more"', [rootfs('base')]);
  const out = store.dir.at(`committed-${transport}`);
  await store.must(['commit', 'base', `oci:${out}:new`]);
  await store.must(['create', `oci://${out}:new`, 'new']);
  expect(compareTrees(rootfs('base'), rootfs('new'), { ignoreXattrs: OWN_XATTRS })).toEqual([]);
  for (const id of ['base', 'new']) await store.must(['delete', id]);
});

test('an App Container Image is the root filesystem and the process that its manifest says', async () => {
  const work = store.dir.at('aci');
  mkdirSync(work);
  const app = { exec: ['/bin/sh', '-c', 'cat /etc/hostname'], user: '0', group: '0' };
  const document = { acKind: 'ImageManifest', acVersion: '0.8.11', name: 'example.com/busybox', app };
  writeFileSync(`${work}/manifest`, JSON.stringify(document));
  const path = store.dir.at('busybox.aci');
  // The manifest comes last, as the order of entries is free.
  await sh(
    `mkdir "$1/rootfs"; cp -a "$2/." "$1/rootfs"; echo from-an-aci > "$1/rootfs/etc/hostname"
     tar --numeric-owner -C "$1" -czf "$3" rootfs manifest`,
    [work, rootfs('layout'), path],
  );
  await store.must(['create', `aci:${path}`, 'aci']);
  const rendered = { ignore: ['/etc/hostname'], directoryTimes: false, ignoreXattrs: OWN_XATTRS };
  expect(compareTrees(rootfs('layout'), rootfs('aci'), rendered)).toEqual([]);
  expect(readFileSync(`${rootfs('aci')}/etc/hostname`, 'utf8')).toBe('from-an-aci\n');
  const { process } = JSON.parse(await store.must(['spec', 'aci']));
  expect(process).toMatchObject({ args: app.exec, user: { uid: 0, gid: 0 }, cwd: '/' });
  await store.must(['delete', 'aci']);
});

test('a root filesystem in xz or bzip2 is that of the plain tar, and is unpacked once', async () => {
  const path = store.dir.at('rootfs.tar');
  await must('tar', ['-C', rootfs('layout'), '--numeric-owner', '-cf', path, '.']);
  await Promise.all(['xz -0', 'bzip2'].map((packer) => sh(`${packer} -k "$1"`, [path])));
  await store.must(['create', path, 'plain']);
  const layers = readdirSync(`${store.path}/volumes`).length;
  for (const suffix of ['xz', 'bz2']) {
    await store.must(['create', `${path}.${suffix}`, suffix]);
    expect(compareTrees(rootfs('plain'), rootfs(suffix), { ignoreXattrs: OWN_XATTRS })).toEqual([]);
  }
  expect(readdirSync(`${store.path}/volumes`)).toHaveLength(layers);
  await sh('truncate -s -50 "$1"', [`${path}.xz`]);
  const cut = await store.graft(['create', `${path}.xz`, 'cut']);
  expect(cut.code).toBe(1);
  expect(cut.stdout).toStartWith('expected blob to be of type xz: xz says: Unexpected end of input; ');
});
