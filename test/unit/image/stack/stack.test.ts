import { expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { atOnce } from '../../../../lib/base/turns.ts';
import { toStackLayer } from '../../../../lib/image/pull/assemble.ts';
import { applyAttributes } from '../../../../lib/image/stack/attributes.ts';
import { HollowDirectories } from '../../../../lib/image/stack/hollow-directories.ts';
import { MergedNames } from '../../../../lib/image/stack/merged-names.ts';
import { PlanningWork } from '../../../../lib/image/stack/planning-work.ts';
import { needsLower, planStack, showingLayers } from '../../../../lib/image/stack/stack.ts';
import type { StackLayer } from '../../../../lib/image/stack/stack-view.ts';
import { mountImage } from '../../../../lib/plugin/mount-image.ts';
import { parseImageId } from '../../../../lib/store/layout/image-id.ts';
import { type LayerKey, shimOf, stackKey } from '../../../../lib/store/layout/layer-key.ts';
import { newOwnerName } from '../../../../lib/store/layout/owner-name.ts';
import type { StackPlan } from '../../../../lib/store/records/stacks.ts';
import type { Store } from '../../../../lib/store/store.ts';
import { lsetxattr, mknodAt } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../../../lib/sys/kernel/libc.ts';
import { names, publishLayer, scratchStore } from '../../../support/stores/scratch-store.ts';

function plan(store: Store, layers: readonly LayerKey[]): StackPlan {
  const stack = layers.map((key) => toStackLayer(store, key));
  return atOnce(planStack(store, { key: stackKey(layers), layers: stack }));
}

/** Whether a layer can stand alone on these, topmost first. */
function needsBelow(layer: StackLayer, topFirst: readonly StackLayer[]): boolean {
  const work = new PlanningWork();
  const below = new MergedNames(work, true);
  for (const one of [...topFirst].reverse()) below.add(one);
  return atOnce(needsLower(layer, below, new HollowDirectories(work)));
}

/** The merged tree, really mounted. */
function mounted(store: Store, layers: readonly LayerKey[]): string {
  const id = parseImageId(`image-${readdirSync(store.layout.images).length}`);
  const { lowers, root, layerBytes } = plan(store, layers);
  const staged = store.images.stage({
    owner: store.owner,
    mounted: true,
    layerBytes,
    quota: undefined,
    lease: newOwnerName(),
  });
  applyAttributes(Buffer.from(`${staged.directory}/diff`), root);
  store.images.publish(staged, id);
  mountImage(store, id, { lowers });
  return store.layout.rootfs(id);
}

function whiteout(path: string): void {
  mknodAt(AT_FDCWD, path, 0o20000);
}

function opaque(path: string): void {
  lsetxattr(path, 'trusted.overlay.opaque', Buffer.from('y'));
}

test('the same layer twice counts once, at its topmost place', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const write = (content: string) => (tree: string) => writeFileSync(`${tree}/file`, content);
  const [a, b] = [publishLayer(store, 'a', write('a')), publishLayer(store, 'b', write('b'))];
  expect(plan(store, [a, b, a]).lowers).toEqual([a, b]);
  expect(readFileSync(`${mounted(store, [a, b, a])}/file`, 'utf8')).toBe('a');
});

test('a whiteout in a directory that no lower layer has leaves no ghost in readdir', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base');
  const ghosts = publishLayer(
    store,
    'ghosts',
    (tree) => {
      mkdirSync(`${tree}/a/b`, { recursive: true });
      whiteout(`${tree}/a/b/ghost`);
    },
    { whiteoutDirs: names('a/b') },
  );
  expect(plan(store, [base, ghosts]).lowers).toEqual([ghosts, shimOf(ghosts), base]);
  expect(readdirSync(`${mounted(store, [base, ghosts])}/a/b`)).toEqual([]);
});

test('no shim where a lower layer has the directory; one where an opaque directory or a file is in between', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const dir = (tree: string) => {
    mkdirSync(`${tree}/d`);
    writeFileSync(`${tree}/d/victim`, '');
  };
  const bottom = publishLayer(store, 'bottom', dir);
  const top = publishLayer(
    store,
    'top',
    (tree) => {
      mkdirSync(`${tree}/d`);
      whiteout(`${tree}/d/victim`);
    },
    { whiteoutDirs: names('d') },
  );
  const file = publishLayer(store, 'file', (tree) => writeFileSync(`${tree}/d`, ''));
  const gone = publishLayer(store, 'gone', (tree) => whiteout(`${tree}/d`), { whiteoutDirs: names('') });
  expect(plan(store, [bottom, top]).lowers).toEqual([top, bottom]);
  expect(plan(store, [bottom, file, top]).lowers).toEqual([top, shimOf(top), file, bottom]);
  expect(plan(store, [bottom, gone, top]).lowers).toEqual([top, shimOf(top), gone, bottom]);
  for (const layers of [
    [bottom, top],
    [bottom, file, top],
    [bottom, gone, top],
  ]) {
    expect(readdirSync(`${mounted(store, layers)}/d`)).toEqual([]);
  }
});

test('an opaque directory above hides what is below, so a whiteout under it needs the shim', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const bottom = publishLayer(store, 'bottom', (tree) => mkdirSync(`${tree}/a/d`, { recursive: true }));
  const cut = publishLayer(
    store,
    'cut',
    (tree) => {
      mkdirSync(`${tree}/a`);
      opaque(`${tree}/a`);
    },
    { opaqueDirs: names('a') },
  );
  const top = publishLayer(
    store,
    'top',
    (tree) => {
      mkdirSync(`${tree}/a/d`, { recursive: true });
      whiteout(`${tree}/a/d/ghost`);
    },
    { whiteoutDirs: names('a/d') },
  );
  expect(plan(store, [bottom, cut, top]).lowers).toEqual([top, shimOf(top), cut, bottom]);
  expect(readdirSync(`${mounted(store, [bottom, cut, top])}/a/d`)).toEqual([]);
});

test('a directory that a layer only implies shows the mode, owner and time of the lower one', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base', (tree) => {
    mkdirSync(`${tree}/var/tmp`, { recursive: true });
    chmodSync(`${tree}/var/tmp`, 0o1777);
    chownSync(`${tree}/var/tmp`, 7, 8);
    utimesSync(`${tree}/var/tmp`, 1000, 1000);
    chmodSync(`${tree}/var`, 0o750);
    utimesSync(`${tree}/var`, 2000, 2000);
  });
  const careless = publishLayer(
    store,
    'careless',
    (tree) => {
      mkdirSync(`${tree}/var/tmp`, { recursive: true });
      writeFileSync(`${tree}/var/tmp/x`, 'x');
    },
    { impliedDirs: names('var', 'var/tmp') },
  );
  const rootfs = mounted(store, [base, careless]);
  const [outer, inner] = [lstatSync(`${rootfs}/var`), lstatSync(`${rootfs}/var/tmp`)];
  expect([outer.mode & 0o7777, outer.mtimeMs]).toEqual([0o750, 2_000_000]);
  expect([inner.mode & 0o7777, inner.uid, inner.gid, inner.mtimeMs]).toEqual([0o1777, 7, 8, 1_000_000]);
  expect(readFileSync(`${rootfs}/var/tmp/x`, 'utf8')).toBe('x');
});

test('an implied directory that is opaque too keeps the attributes of the lower one, and hides its content', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base', (tree) => {
    mkdirSync(`${tree}/d`);
    writeFileSync(`${tree}/d/old`, '');
    chmodSync(`${tree}/d`, 0o700);
  });
  const top = publishLayer(
    store,
    'top',
    (tree) => {
      mkdirSync(`${tree}/d`);
      opaque(`${tree}/d`);
      writeFileSync(`${tree}/d/new`, '');
    },
    { impliedDirs: names('d'), opaqueDirs: names('d') },
  );
  const rootfs = mounted(store, [base, top]);
  expect(lstatSync(`${rootfs}/d`).mode & 0o7777).toBe(0o700);
  expect(readdirSync(`${rootfs}/d`)).toEqual(['new']);
});

test('what a whiteout removed gives no attributes to a directory implied above it', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base', (tree) => mkdirSync(`${tree}/d`, { mode: 0o700 }));
  const gone = publishLayer(store, 'gone', (tree) => whiteout(`${tree}/d`), { whiteoutDirs: names('') });
  const again = publishLayer(
    store,
    'again',
    (tree) => {
      mkdirSync(`${tree}/d`);
      writeFileSync(`${tree}/d/x`, '');
    },
    { impliedDirs: names('d') },
  );
  expect(lstatSync(`${mounted(store, [base, gone, again])}/d`).mode & 0o7777).toBe(0o755);
});

test('the root has the attributes of the topmost layer that names it', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base', (tree) => chmodSync(tree, 0o555));
  const silent = publishLayer(store, 'silent', undefined, { explicitRoot: false });
  expect(lstatSync(mounted(store, [base, silent])).mode & 0o7777).toBe(0o555);
  expect(lstatSync(mounted(store, [silent])).mode & 0o7777).toBe(0o755);
});

test('an opaque root hides what is below, links that files would go through too, and leaves what the root is', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base', (tree) => {
    chmodSync(tree, 0o700);
    chownSync(tree, 7, 8);
    symlinkSync('usr/lib', `${tree}/lib`);
    utimesSync(tree, 1000, 1000);
  });
  const empties = publishLayer(store, 'empties', (tree) => opaque(tree), {
    explicitRoot: false,
    opaqueDirs: names(''),
  });
  const through = publishLayer(store, 'through', (tree) => mkdirSync(`${tree}/lib`), {
    explicitRoot: false,
    impliedDirs: names('lib'),
  });
  const rootfs = mounted(store, [base, empties, through]);
  const { mode, uid, gid, mtimeMs } = lstatSync(rootfs);
  expect([mode & 0o7777, uid, gid, mtimeMs]).toEqual([0o700, 7, 8, 1_000_000]);
  expect(readdirSync(rootfs)).toEqual(['lib']);
  const look = (key: LayerKey) => toStackLayer(store, key);
  expect(showingLayers([look(base), look(empties)]).map(({ lower }) => lower)).toEqual([empties]);
  expect(needsBelow(look(through), [look(empties), look(base)])).toBe(false);
  expect(needsBelow(look(through), [look(base)])).toBe(true);
});

test('knows a layer whose files would have gone through a link of a lower one', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base', (tree) => {
    mkdirSync(`${tree}/usr/lib`, { recursive: true });
    symlinkSync('usr/lib', `${tree}/lib`);
  });
  const through = publishLayer(store, 'through', (tree) => mkdirSync(`${tree}/lib`), {
    impliedDirs: names('lib'),
  });
  const replaces = publishLayer(store, 'replaces', (tree) => mkdirSync(`${tree}/lib`));
  const look = (key: LayerKey) => toStackLayer(store, key);
  expect(needsBelow(look(through), [look(base)])).toBe(true);
  expect(needsBelow(look(replaces), [look(base)])).toBe(false);
  expect(needsBelow(look(through), [look(replaces), look(base)])).toBe(false);
});

test('500 lower directories mount, 501 are refused before anything is mounted', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const layers = Array.from({ length: 501 }, (_, i) => publishLayer(store, `layer-${i}`));
  const rootfs = mounted(store, layers.slice(0, 500));
  expect(readdirSync(rootfs).length).toBe(500);
  let thrown: unknown;
  try {
    plan(store, layers);
  } catch (error) {
    thrown = error;
  }
  expect(isPluginError(thrown, 'IMAGE_TOO_MANY_LAYERS')).toBe(true);
  rmSync(`${store.layout.volumes}/nothing`, { force: true });
});

test('a directory that a layer has for its whiteouts alone comes not into being', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base', (tree) => {
    mkdirSync(`${tree}/usr`, { mode: 0o750 });
    mkdirSync(`${tree}/there`);
    writeFileSync(`${tree}/there/x`, '');
  });
  const careless = publishLayer(
    store,
    'careless',
    (tree) => {
      for (const name of ['usr/nowhere/deep', 'there']) {
        mkdirSync(`${tree}/${name}`, { recursive: true });
        whiteout(`${tree}/${name}/x`);
      }
    },
    {
      impliedDirs: names('usr', 'usr/nowhere', 'usr/nowhere/deep', 'there'),
      whiteoutDirs: names('usr/nowhere/deep', 'there'),
    },
  );
  const rootfs = mounted(store, [base, careless]);
  expect(readdirSync(rootfs).sort()).toEqual(['there', 'usr']);
  expect(readdirSync(`${rootfs}/usr`)).toEqual([]);
  expect(readdirSync(`${rootfs}/there`)).toEqual([]);
  expect(lstatSync(`${rootfs}/usr`).mode & 0o7777).toBe(0o750);
  mkdirSync(`${rootfs}/usr/nowhere`);
  writeFileSync(`${rootfs}/usr/nowhere/made`, '');
  expect(readdirSync(`${rootfs}/usr/nowhere`)).toEqual(['made']);
});

test('a whiteout below what is a file in a lower layer makes the layer one that needs the lower ones', async () => {
  await using scratch = await scratchStore();
  const { store } = scratch;
  const base = publishLayer(store, 'base', (tree) => writeFileSync(`${tree}/d`, 'a file'));
  const below = publishLayer(
    store,
    'below',
    (tree) => {
      mkdirSync(`${tree}/d`);
      whiteout(`${tree}/d/x`);
    },
    { impliedDirs: names('d'), whiteoutDirs: names('d') },
  );
  const full = publishLayer(
    store,
    'full',
    (tree) => {
      mkdirSync(`${tree}/d`);
      writeFileSync(`${tree}/d/y`, '');
    },
    { impliedDirs: names('d') },
  );
  const look = (key: LayerKey) => toStackLayer(store, key);
  expect(needsBelow(look(below), [look(base)])).toBe(true);
  expect(needsBelow(look(full), [look(base)])).toBe(false);
});
