import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { verifyTree } from '../../../../lib/layer/tree/verify-tree.ts';
import { lgetxattr } from '../../../../lib/sys/kernel/files.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { listTree, requestIn, unpack } from '../../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

const D = (name: string): EntrySpec => ({ name, type: '5' });
const F = (name: string): EntrySpec => ({ name });

function* orders<T>(items: readonly T[]): Generator<T[]> {
  if (items.length <= 1) yield [...items];
  for (const [i, item] of items.entries()) {
    for (const rest of orders([...items.slice(0, i), ...items.slice(i + 1)])) yield [item, ...rest];
  }
}

/** The tree of every order of the entries; opaque directories end in `!`. There must be one only. */
async function inAnyOrder(entries: readonly EntrySpec[]): Promise<unknown> {
  const seen = new Map<string, unknown>();
  let count = 0;
  for (const order of orders(entries)) {
    count += 1;
    const request = requestIn(dir.at(String(count)));
    const { impliedDirs, whiteoutDirs, opaqueDirs } = await unpack(request, tar(order));
    expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
    const names = Object.entries(listTree(request.target)).map(([name, what]) => {
      const opaque = lgetxattr(`${request.target}/${name}`, 'trusted.overlay.opaque') !== undefined;
      return `${name} ${what.slice(0, 1)}${opaque ? '!' : ''}`;
    });
    const result = { names, impliedDirs, whiteoutDirs, opaqueDirs };
    seen.set(JSON.stringify(result), result);
  }
  expect([...seen.keys()]).toHaveLength(1);
  return [...seen.values()][0];
}

describe('whatever the order', () => {
  const cases: Record<string, [EntrySpec[], object]> = {
    'a marker alone': [
      [D('d'), F('d/.wh.x')],
      { names: ['/ d', 'd d', 'd/x c'], whiteoutDirs: ['d'], opaqueDirs: [], impliedDirs: [] },
    ],
    'a marker twice, in a directory without an entry': [
      [F('d/.wh.x'), F('d/.wh.x')],
      { names: ['/ d', 'd d', 'd/x c'], whiteoutDirs: ['d'], impliedDirs: ['d'], opaqueDirs: [] },
    ],
    'a file of this layer survives its marker': [
      [F('.wh.x'), F('x')],
      { names: ['/ d', 'x f'], whiteoutDirs: [] },
    ],
    'a directory survives and hides what is below': [
      [F('.wh.x'), D('x'), F('x/y')],
      { names: ['/ d', 'x d!', 'x/y f'], opaqueDirs: ['x'], whiteoutDirs: [], impliedDirs: [] },
    ],
    'a child of a marked directory without an entry': [
      [F('.wh.x'), F('x/y/z')],
      { names: ['/ d', 'x d!', 'x/y d', 'x/y/z f'], opaqueDirs: ['x'], impliedDirs: [] },
    ],
    'markers below a marked directory have no meaning': [
      [F('.wh.x'), F('x/.wh.y'), F('x/s/.wh.z')],
      { names: ['/ d', 'x c'], whiteoutDirs: [''], opaqueDirs: [], impliedDirs: [] },
    ],
    'an opaque directory keeps what this layer brings, and no markers': [
      [F('d/.wh..wh..opq'), F('d/x'), F('d/.wh.y'), F('d/s/.wh.z')],
      { names: ['/ d', 'd d!', 'd/x f'], opaqueDirs: ['d'], whiteoutDirs: [], impliedDirs: ['d'] },
    ],
    'directories for markers alone come not into being where all below is hidden': [
      [F('.wh..wh..opq'), F('a/b/.wh.x'), F('a/c/d/.wh..wh..opq'), F('e/f/.wh.x'), F('e/y')],
      { names: ['/ d!', 'e d', 'e/y f'], opaqueDirs: [''], whiteoutDirs: [], impliedDirs: [] },
    ],
    'an opaque root': [
      [F('.wh..wh..opq'), F('.wh.x'), D('d'), F('d/.wh.y')],
      { names: ['/ d!', 'd d'], opaqueDirs: [''], whiteoutDirs: [] },
    ],
    'markers and entries of one name in several directories': [
      [F('a/.wh.x'), F('b/.wh.x'), F('a/x'), D('b')],
      { names: ['/ d', 'a d', 'a/x f', 'b d', 'b/x c'], whiteoutDirs: ['b'], impliedDirs: ['a'] },
    ],
    'names that only look like markers': [
      [F('foo.wh.bar'), F('x.wh.'), F('.whx'), F('.wh.wh')],
      { names: ['/ d', '.whx f', 'foo.wh.bar f', 'wh c', 'x.wh. f'], whiteoutDirs: [''] },
    ],
  };
  for (const [name, [entries, expected]] of Object.entries(cases)) {
    test(name, async () => expect(await inAnyOrder(entries)).toMatchObject(expected));
  }
});

test('a marker below a file does nothing', async () => {
  for (const [i, order] of [...orders([F('x'), F('x/.wh.y')])].entries()) {
    const request = requestIn(dir.at(String(i)));
    await unpack(request, tar(order));
    expect(Object.keys(listTree(request.target))).toEqual(['/', 'x']);
  }
});

test('an entry after the marker of another name in the way', async () => {
  const request = requestIn(dir.path);
  const result = await unpack(
    request,
    tar([F('a/.wh.b'), { name: 'a', type: '2', link: 'c' }, F('a/x'), D('c')]),
  );
  expect(listTree(request.target)).toEqual({
    '/': 'd 755 0:0',
    a: 'l -> c',
    c: 'd 755 0:0',
    'c/x': 'f 644 0:0 ',
  });
  expect(result.whiteoutDirs).toEqual([]);
  expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
});
