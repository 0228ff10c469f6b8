/** An image may have a configuration and no layer: `FROM scratch` with labels. Its root filesystem is empty. */
import { expect, test } from 'bun:test';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { LayoutBuilder } from '../support/images/layout-builder.ts';
import { must } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';

test('an image without layers is an empty root filesystem, mounted by graft or by others', async () => {
  await using store = await testStore();
  const layout = new LayoutBuilder(store.dir.at('layout'));
  layout.write([layout.image([])]);
  const { root } = JSON.parse(await store.must(['create', layout.url(), 'mounted']));
  expect(readdirSync(root.path)).toEqual([]);
  expect(statSync(root.path).mode & 0o7777).toBe(0o755);
  writeFileSync(`${root.path}/new`, 'x');
  expect(readdirSync(`${store.path}/images/mounted/diff`)).toEqual(['new']);

  const { mounts } = JSON.parse(await store.must(['create', '--without-mount', layout.url(), 'described']));
  const target = store.dir.at('by-hand');
  mkdirSync(target);
  await must('mount', ['-t', 'overlay', 'overlay', '-o', mounts[0].options.join(','), target]);
  expect(readdirSync(target)).toEqual([]);
  await must('umount', [target]);

  // What stands in for the layers is in use while a container is, and rubbish afterwards.
  await store.must(['clean']);
  await store.must(['check']);
  expect(readdirSync(`${store.path}/volumes`)).toHaveLength(1);
  for (const id of ['mounted', 'described']) await store.must(['delete', id]);
  await store.must(['clean']);
  expect(readdirSync(`${store.path}/volumes`)).toEqual([]);
  await store.must(['pull', layout.url()]);
});
