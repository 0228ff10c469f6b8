/** The tree that a create gives is the one that umoci unpacks: names, types, modes, owners, times, links, xattrs, content. */
import { expect, test } from 'bun:test';
import { compareTrees } from '../support/images/compare-trees.ts';
import { baseSystemImages, makeBusyboxImage, umociRootfs, zstdTwin } from '../support/images/images.ts';
import { must } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';

const MINUTES = 60_000;

function rootfsOf(printed: string): string {
  return (JSON.parse(printed) as { root: { path: string } }).root.path;
}

test(
  'a base system with a second layer that deletes and replaces',
  async () => {
    const { base, changed } = await baseSystemImages();
    await using store = await testStore({ bytes: 2048 * 1024 * 1024 });
    for (const image of [base, changed]) {
      const rootfs = rootfsOf(await store.must(['create', image.url, image.tag]));
      expect(rootfs).toBe(`${store.path}/images/${image.tag}/rootfs`);
      expect(compareTrees(await umociRootfs(image, store.dir.at(`umoci-${image.tag}`)), rootfs)).toEqual([]);
    }
  },
  5 * MINUTES,
);

test(
  'zstd layers give the tree of their gzip twin, and the same layers of the store',
  async () => {
    const { changed } = await baseSystemImages();
    await using store = await testStore({ bytes: 2048 * 1024 * 1024 });
    const twin = await zstdTwin(changed, store.dir.at('zstd'));
    const packed = rootfsOf(await store.must(['create', twin.url, 'zstd']));
    const volumes = await must('ls', [`${store.path}/volumes`]);
    const gzip = rootfsOf(await store.must(['create', changed.url, 'gzip']));
    expect(compareTrees(packed, gzip)).toEqual([]);
    expect(await must('ls', [`${store.path}/volumes`])).toBe(volumes);
  },
  5 * MINUTES,
);

test('a tar, plain, gzip and zstd, gives the tree that GNU tar extracts', async () => {
  await using store = await testStore();
  const image = await makeBusyboxImage(store.dir.at('layout'));
  const tree = await umociRootfs(image, store.dir.at('bundle'));
  const tar = store.dir.at('rootfs.tar');
  await must('tar', ['--xattrs', '--numeric-owner', '-C', tree, '-cf', tar, '.']);
  await must('gzip', ['-k', tar]);
  await must('zstd', ['-q', tar]);
  for (const [i, path] of [tar, `${tar}.gz`, `${tar}.zst`].entries()) {
    const rootfs = rootfsOf(await store.must(['create', path, `tar-${i}`]));
    // GNU tar's default format keeps whole seconds.
    expect(compareTrees(tree, rootfs)).toEqual([]);
  }
  expect((await must('ls', [`${store.path}/volumes`])).trim().split('\n').length).toBe(1);
});

test('what is written to one container is not seen in another, nor in the layer', async () => {
  await using store = await testStore();
  const image = await makeBusyboxImage(store.dir.at('layout'));
  const [first, second] = [
    rootfsOf(await store.must(['create', image.url, 'first'])),
    rootfsOf(await store.must(['create', image.url, 'second'])),
  ];
  await Bun.write(`${first}/etc/passwd`, 'changed');
  await Bun.write(`${first}/new`, 'new');
  expect(await Bun.file(`${second}/etc/passwd`).text()).toContain('root:x:0:0');
  expect(await Bun.file(`${second}/new`).exists()).toBe(false);
});
