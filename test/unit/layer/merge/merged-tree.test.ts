/** Layers merged into one tree: what a marker removes, what stays, and which attributes a directory has in the end. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { atOnce } from '../../../../lib/base/turns.ts';
import { MergedTree } from '../../../../lib/layer/merge/merged-tree.ts';
import type { Unpacked } from '../../../../lib/layer/tree/types.ts';
import { lgetxattr } from '../../../../lib/sys/kernel/files.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { Canary, codeOf, listTree, requestIn, unpack } from '../../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

const D = (name: string, rest: Partial<EntrySpec> = {}): EntrySpec => ({ name, type: '5', ...rest });
const F = (name: string, content = '', rest: Partial<EntrySpec> = {}): EntrySpec => ({
  name,
  content,
  ...rest,
});
const L = (name: string, link: string): EntrySpec => ({ name, type: '2', link });
const H = (name: string, link: string): EntrySpec => ({ name, type: '1', link });

interface Merged {
  readonly path: string;
  readonly layers: readonly Unpacked[];
  at(name: string): string;
}

/** Merges layers, the bottom one first. `before` is called before the last step. */
async function merge(
  layers: readonly EntrySpec[][],
  { attributes = 'set' as 'set' | 'own', before = (_path: string) => {} } = {},
): Promise<Merged> {
  const path = dir.at('merged');
  mkdirSync(path, { mode: 0o700 });
  const tree = new MergedTree(path, attributes === 'set' ? { uid: 0, gid: 0 } : undefined);
  const facts: Unpacked[] = [];
  for (const [i, entries] of layers.entries()) {
    const request = requestIn(dir.at(`layer-${i}`), { lowers: [path], publication: { attributes } });
    const layer = await unpack(request, tar(entries));
    atOnce(tree.add(request.target, layer));
    facts.push(layer);
  }
  before(path);
  tree.close();
  tree.finish();
  return { path, layers: facts, at: (name) => `${path}/${name}` };
}

async function namesOf(...layers: EntrySpec[][]): Promise<string[]> {
  const { path } = await merge(layers);
  return Object.keys(listTree(path)).filter((name) => name !== '/');
}

describe('a marker', () => {
  const lower = [D('etc/'), F('etc/a', 'old'), F('etc/b', 'old'), D('etc/d/'), F('etc/d/x')];

  test('removes what lower layers gave, and stays nowhere', async () => {
    expect(await namesOf(lower, [F('etc/.wh.a'), F('etc/.wh.d')])).toEqual(['etc', 'etc/b']);
  });

  test.each(['before', 'after'])('%s an entry of its own layer leaves that entry', async (order) => {
    const entries = [F('etc/a', 'new'), D('etc/d/'), F('etc/d/y')];
    const markers = [F('etc/.wh.a'), F('etc/.wh.d')];
    const layer = order === 'before' ? [...markers, ...entries] : [...entries, ...markers];
    const { path, at } = await merge([lower, layer]);
    expect(Object.keys(listTree(path)).slice(1)).toEqual(['etc', 'etc/a', 'etc/b', 'etc/d', 'etc/d/y']);
    expect(readFileSync(at('etc/a'), 'utf8')).toBe('new');
  });

  test.each(['before', 'after'])('of an opaque directory %s its entries leaves only these', async (order) => {
    const [opaque, entry] = [F('etc/.wh..wh..opq'), F('etc/d/new')];
    const layer = order === 'before' ? [opaque, entry] : [entry, opaque];
    expect(await namesOf(lower, layer)).toEqual(['etc', 'etc/d', 'etc/d/new']);
  });

  test('of the root leaves only its own layer', async () => {
    expect(await namesOf(lower, [F('.wh..wh..opq'), F('only')])).toEqual(['only']);
  });

  test('makes no directory on its way', async () => {
    expect(await namesOf([F('a')], [F('x/y/.wh.z'), F('u/.wh..wh..opq')])).toEqual(['a']);
  });

  test('below a directory that the layer makes hides nothing and leaves the directory', async () => {
    expect(await namesOf([], [D('x/'), F('x/.wh.z'), D('x/y/'), F('x/y/.wh.q'), F('x/y/f')])).toEqual([
      'x',
      'x/y',
      'x/y/f',
    ]);
  });

  test('goes through a link inside the tree and never out of it', async () => {
    const canary = new Canary(dir.path);
    const lowers = [L('out', canary.path), L('up', '../../../..'), D('real/'), F('real/f'), L('in', 'real')];
    const names = await namesOf(lowers, [
      F('out/.wh.secret'),
      F('out/.wh..wh..opq'),
      F('up/.wh.etc'),
      F('in/.wh.f'),
      F('out/written', 'x'),
    ]);
    expect(canary.changes()).toBe('');
    expect(names).not.toContain('real/f');
    expect(names).toContain('real');
    expect(names).toContain(`${canary.path.slice(1)}/written`);
  });

  test('of a file that lower layers have as a directory removes all of it', async () => {
    expect(await namesOf(lower, [F('etc', 'a file now')])).toEqual(['etc']);
  });
});

describe('a directory', () => {
  test('that an upper layer only implies keeps what it is, its time too', async () => {
    const lower = [D('tmp/', { mode: 0o1777, uid: 3, mtime: 1_000_000_000 }), F('tmp/a')];
    const { at } = await merge([lower, [F('tmp/b'), F('tmp/.wh.a')]]);
    const { mode, uid, mtimeMs } = lstatSync(at('tmp'));
    expect([mode & 0o7777, uid, mtimeMs]).toEqual([0o1777, 3, 1_000_000_000_000]);
  });

  test('that an upper layer names becomes what that says, without earlier attributes', async () => {
    const lower = [D('d/', { mode: 0o2775, pax: { 'SCHILY.xattr.user.old': 'x' } }), F('d/a')];
    const upper = [D('d/', { mode: 0o700, gid: 9, mtime: 1_100_000_000 }), F('d/b')];
    const { at } = await merge([lower, upper]);
    const { mode, gid, mtimeMs } = lstatSync(at('d'));
    expect([mode & 0o7777, gid, mtimeMs]).toEqual([0o700, 9, 1_100_000_000_000]);
    expect(lgetxattr(at('d'), 'user.old')).toBeUndefined();
  });

  test('of the root gets owner and mode last, so that nobody enters before it is complete', async () => {
    let early: number | undefined;
    const entries = [D('./', { mode: 0o755, uid: 5 }), F('su', 'x', { mode: 0o4755 })];
    const { path } = await merge([entries], { before: (at) => (early = statSync(at).mode & 0o777) });
    expect(early).toBe(0o700);
    expect([statSync(path).mode & 0o777, statSync(path).uid]).toEqual([0o755, 5]);
  });

  test("of the root that no layer names is root's, 0755, and has the same time always", async () => {
    const { path } = await merge([[F('a')], [F('b')]]);
    const { mode, uid, mtimeMs } = statSync(path);
    expect([mode & 0o7777, uid, mtimeMs]).toEqual([0o755, 0, 0]);
  });
});

describe('a hard link', () => {
  test('holds within a layer that is moved name by name', async () => {
    const { at } = await merge([
      [D('a/'), F('a/x')],
      [F('a/one', '1'), H('b/two', 'a/one')],
    ]);
    expect(lstatSync(at('a/one')).ino).toBe(lstatSync(at('b/two')).ino);
  });

  test('into a lower layer makes one file of both names', async () => {
    const { at } = await merge([[F('low', 'content')], [H('high', 'low')]]);
    expect(lstatSync(at('low')).ino).toBe(lstatSync(at('high')).ino);
    expect(readFileSync(at('high'), 'utf8')).toBe('content');
  });

  test('to nothing is refused', async () => {
    expect(await codeOf(merge([[F('a')], [H('b', 'nowhere')]]))).toBe('LAYER_BAD_HARDLINK');
  });
});

describe("with the user's own owners", () => {
  const lower = [
    D('closed/', { mode: 0o000, uid: 7 }),
    F('closed/kept', 'x', { uid: 7, gid: 8 }),
    F('su', 'x', { mode: 0o4755, uid: 7 }),
    F('sg', 'x', { mode: 0o2755, gid: 8 }),
    F('mine', 'x', { mode: 0o6755 }),
  ];

  test('nothing is given away, and what is lost is counted', async () => {
    const { path, layers } = await merge([lower], { attributes: 'own' });
    expect(listTree(path)).toMatchObject({
      'closed/kept': 'f 644 0:0 x',
      su: 'f 755 0:0 x',
      sg: 'f 755 0:0 x',
      mine: 'f 6755 0:0 x',
    });
    expect(layers[0]?.lostOwners).toMatchObject({ entries: 4, ids: ['7:0', '7:8', '0:8'], setIdBits: 2 });
  });

  test('a closed directory takes names until the end, and is closed then', async () => {
    const upper = [F('closed/more', 'y'), D('later/', { mode: 0o400 }), F('later/f')];
    let early = 0;
    const before = (path: string) => {
      early = statSync(`${path}/closed`).mode & 0o777;
    };
    const { path } = await merge([lower, upper], { attributes: 'own', before });
    expect(early).toBe(0o700);
    expect(listTree(path)).toMatchObject({
      closed: 'd 0 0:0',
      later: 'd 400 0:0',
      'closed/more': 'f 644 0:0 y',
    });
  });

  test('a closed directory that is removed or named again is not closed', async () => {
    const upper = [F('.wh.closed'), D('other/', { mode: 0o755 })];
    const first = [...lower, D('other/', { mode: 0o100 }), D('sub/'), D('sub/deep/', { mode: 0 })];
    const { path } = await merge([first, [...upper, F('sub', 'a file now')], [D('closed/'), F('closed/x')]], {
      attributes: 'own',
    });
    expect(listTree(path)).toMatchObject({ closed: 'd 755 0:0', other: 'd 755 0:0' });
  });
});
