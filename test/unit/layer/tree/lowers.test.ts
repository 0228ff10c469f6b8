import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  closeSync,
  ftruncateSync,
  lstatSync,
  openSync,
  readFileSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import type { UnpackRequest } from '../../../../lib/layer/tree/types.ts';
import { verifyTree } from '../../../../lib/layer/tree/verify-tree.ts';
import { lgetxattr } from '../../../../lib/sys/kernel/files.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { codeOf, failureOf, listTree, requestIn, unpack } from '../../../support/images/unpack.ts';
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

/** Unpacks layers, bottom first, and then `entries` on top of them. */
async function onTop(layers: EntrySpec[][], entries: EntrySpec[]) {
  const lowers: string[] = [];
  for (const [i, layer] of layers.entries()) {
    const request = requestIn(dir.at(`lower-${lowers.length}-${i}`));
    await unpack(request, tar(layer));
    lowers.unshift(request.target);
  }
  const request = requestIn(dir.at('top'), { lowers });
  const before = lowers.map(listTree);
  const result = await unpack(request, tar(entries));
  expect(lowers.map(listTree)).toEqual(before);
  expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
  return { names: listTree(request.target), result, at: (name: string) => `${request.target}/${name}` };
}

describe('a hard link into a lower layer', () => {
  test('needs the lower layers, which only the second pass can know', async () => {
    const archive = tar([H('link', 'below'), F('own', 'x'), H('ok', 'own')]);
    const failure = await failureOf(unpack(requestIn(dir.path), archive));
    expect(failure).toMatchObject({ code: 'LAYER_NEEDS_LOWER', subject: { entry: 'link', target: 'below' } });
  });

  test('is charged before the copy is made: to what may be copied, and to the disk limit', async () => {
    const base = requestIn(dir.at('base'));
    await unpack(base, tar([F('big', 'x'.repeat(5000)), F('other', 'y'.repeat(3000))]));
    const archive = tar([H('one', 'big'), H('again', 'big'), H('two', 'other')]);
    const attempt = (name: string, changes: Partial<UnpackRequest>) => {
      const request = requestIn(dir.at(name), { lowers: [base.target], ...changes });
      return { request, work: unpack(request, archive) };
    };
    const enough = attempt('enough', { copyBytes: 8000, quotaBytes: archive.length + 8000 });
    expect((await enough.work).fileBytes).toBe(8000);
    const copies = attempt('copies', { copyBytes: 7999 });
    expect(await failureOf(copies.work)).toMatchObject({
      code: 'LAYER_TOO_LARGE',
      subject: { what: 'bytes of lower layers that it links to', limit: 7999 },
    });
    // The first file was within the limit; of the second nothing is there.
    expect(Object.keys(listTree(copies.request.target)).sort()).toEqual(['/', 'again', 'big', 'one']);
    const quota = attempt('quota', { quotaBytes: archive.length + 4999 });
    expect(await failureOf(quota.work)).toMatchObject({
      code: 'LAYER_EXCEEDS_QUOTA',
      subject: { limit: archive.length + 4999, actual: archive.length + 5000 },
    });
    expect(Object.keys(listTree(quota.request.target))).toEqual(['/']);
  });

  test('of a sparse file keeps its holes, and is charged for what it takes of the disk', async () => {
    const base = requestIn(dir.at('base'));
    await unpack(base, tar([F('plain', 'x'.repeat(10))]));
    // Data in the first, the middle and no last block; and a file that is a hole.
    const file = `${base.target}/sparse`;
    const size = 2 ** 24 + 100;
    writeFileSync(file, 'begin');
    const fd = openSync(file, 'r+');
    writeSync(fd, 'middle', 2 ** 23);
    ftruncateSync(fd, size);
    closeSync(fd);
    writeFileSync(`${base.target}/hole`, '');
    truncateSync(`${base.target}/hole`, 2 ** 24);
    const archive = tar([H('one', 'sparse'), H('two', 'hole'), H('three', 'plain')]);
    const attempt = (name: string, changes: Partial<UnpackRequest>) => {
      const request = requestIn(dir.at(name), { lowers: [base.target], ...changes });
      return { request, work: unpack(request, archive) };
    };
    const stored = 2 * 4096 + 10;
    const { request, work } = attempt('holes', { copyBytes: stored });
    expect((await work).fileBytes).toBe(stored);
    const copy = `${request.target}/one`;
    expect(readFileSync(copy).equals(readFileSync(file))).toBe(true);
    expect(statSync(copy).blocks).toBe(statSync(file).blocks);
    expect(statSync(`${request.target}/two`)).toMatchObject({ size: 2 ** 24, blocks: 0 });
    expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
    expect(await codeOf(attempt('less', { copyBytes: stored - 1 }).work)).toBe('LAYER_TOO_LARGE');
  });

  test('of holes that are more than a layer may have is refused before anything is copied', async () => {
    const base = requestIn(dir.at('base'));
    await unpack(base, tar([F('a')]));
    truncateSync(`${base.target}/a`, 2 ** 32 + 1);
    const request = requestIn(dir.at('top'), { lowers: [base.target] });
    expect(await failureOf(unpack(request, tar([H('x', 'a')])))).toMatchObject({
      code: 'LAYER_TOO_LARGE',
      subject: { what: 'bytes of holes in sparse files', limit: 2 ** 32 },
    });
    expect(Object.keys(listTree(request.target))).toEqual(['/']);
  });

  test('is charged for the extended attributes of the file too', async () => {
    const base = requestIn(dir.at('base'));
    const pax = { 'SCHILY.xattr.user.note': 'n'.repeat(1000) };
    await unpack(base, tar([F('file', 'x', { pax }), F('other', 'y', { pax })]));
    const archive = tar([H('one', 'file'), H('two', 'other')]);
    const attempt = (name: string, copyBytes: number) =>
      unpack(requestIn(dir.at(name), { lowers: [base.target], copyBytes }), archive);
    const each = 1 + 'user.note'.length + 1000;
    expect((await attempt('enough', 2 * each)).fileBytes).toBe(2 * each);
    expect(await failureOf(attempt('less', 2 * each - 1))).toMatchObject({
      code: 'LAYER_TOO_LARGE',
      subject: { what: 'bytes of lower layers that it links to', limit: 2 * each - 1 },
    });
    expect(Object.keys(listTree(dir.at('less/target'))).sort()).toEqual(['/', 'file', 'one']);
  });

  test('copies the file up with all it has, and links both names', async () => {
    const pax = {
      mtime: '77.123456789',
      'SCHILY.xattr.user.note': 'ü',
      'SCHILY.xattr.security.capability': capability(),
    };
    const { names, result, at } = await onTop(
      [[D('usr', { mode: 0o711 }), F('usr/bin', 'content', { mode: 0o4755, uid: 7, gid: 8, pax })]],
      [H('usr/link', 'usr/bin'), H('second', '/usr/bin')],
    );
    expect(names).toMatchObject({
      second: 'f 4755 7:8 content',
      'usr/bin': 'f 4755 7:8 content',
      'usr/link': 'f 4755 7:8 content',
    });
    const stat = lstatSync(at('usr/bin'), { bigint: true });
    expect([stat.nlink, stat.mtimeNs]).toEqual([3n, 77_123_456_789n]);
    expect(Buffer.from(lgetxattr(at('second'), 'user.note') ?? []).toString()).toBe('ü');
    expect(Buffer.from(lgetxattr(at('second'), 'security.capability') ?? []).equals(capability())).toBe(true);
    expect([...result.impliedDirs]).toEqual(['usr' as never]);
    expect(result.dependsOnLower).toBe(true);
  });

  test('to a symbolic link and to a FIFO', async () => {
    const { names, at } = await onTop(
      [[L('s', 'to'), { name: 'p', type: '6', mode: 0o640, uid: 3 }]],
      [H('s2', 's'), H('p2', 'p')],
    );
    expect(names).toMatchObject({ s: 'l -> to', s2: 'l -> to', p: 'p 640 3:0', p2: 'p 640 3:0' });
    expect(lstatSync(at('s')).ino).toBe(lstatSync(at('s2')).ino);
  });

  test('finds what the merged trees show, not what a whiteout, an opaque directory or a file hides', async () => {
    const bottom = [
      F('a', 'old'),
      F('d/x', 'old x'),
      F('e/y', 'old y'),
      F('f', 'file'),
      F('g/z', 'old z'),
      F('h/y', 'old y'),
    ];
    const middle = [
      F('a', 'new'),
      F('.wh.f'),
      D('d'),
      F('d/.wh..wh..opq'),
      D('e'),
      F('g', 'now a file'),
      F('h', 'a file'),
    ];
    const top = [D('h')];
    const { names } = await onTop([bottom, middle, top], [H('1', 'a'), H('2', 'e/y')]);
    expect(names).toMatchObject({ '1': 'f 644 0:0 new', '2': 'f 644 0:0 old y' });
    for (const hidden of ['d/x', 'f', 'g/z', 'h', 'h/y', 'nothing', 'nothing/at/all']) {
      await using own = tempDir(dir.path);
      const request = requestIn(own.path, {
        lowers: [2, 1, 0].map((i) => dir.at(`lower-${i}-${i}/target`)),
      });
      const failure = await failureOf(unpack(request, tar([H('link', hidden)])));
      expect(failure).toMatchObject({
        code: 'LAYER_BAD_HARDLINK',
        subject: { entry: 'link', target: hidden },
      });
    }
  });

  test('whose target this layer removes keeps the file under its own name', async () => {
    const lower = [D('d'), F('d/old', 'moved', { mode: 0o600 })];
    for (const entries of [
      [D('d'), F('d/.wh.old'), H('d/new', 'd/old')],
      [D('d'), H('d/new', 'd/old'), F('d/.wh.old')],
    ]) {
      await dir.remove();
      dir = tempDir();
      const { names } = await onTop([lower], entries);
      expect(names).toEqual({ '/': 'd 755 0:0', d: 'd 755 0:0', 'd/new': 'f 600 0:0 moved', 'd/old': 'c 0' });
    }
  });

  test('does not bring back the directory of its target, which this layer removes', async () => {
    const lower = [D('usr'), D('usr/d'), F('usr/d/old', 'moved'), H('usr/d/too', 'usr/d/old'), F('usr/d/x')];
    const markers = {
      removed: F('usr/.wh.d'),
      emptied: F('usr/d/.wh..wh..opq'),
      replaced: F('usr/d', 'file'),
    };
    for (const [how, marker] of Object.entries(markers)) {
      for (const links of [[H('new', 'usr/d/old')], [H('new', 'usr/d/old'), H('also', 'usr/d/too')]]) {
        for (const entries of [
          [marker, ...links],
          [...links, marker],
        ]) {
          await dir.remove();
          dir = tempDir();
          const { names, at } = await onTop([lower], entries);
          const left = { removed: 'c 0', emptied: 'd 755 0:0', replaced: 'f 644 0:0 file' }[how];
          const also = links.length > 1 ? { also: 'f 644 0:0 moved' } : {};
          expect(names).toEqual({
            '/': 'd 755 0:0',
            new: 'f 644 0:0 moved',
            ...also,
            usr: 'd 755 0:0',
            'usr/d': left ?? '',
          });
          // Two names of one file before, and after.
          expect(lstatSync(at('new')).nlink).toBe(links.length);
        }
      }
    }
  });

  test('may take the place of the directory that holds the first link to the same file', async () => {
    const { names, result } = await onTop(
      [[F('file', 'kept', { mode: 0o640, uid: 3 })]],
      [D('real'), L('way', 'real'), F('.wh.file'), H('way/b', 'file'), H('real', 'file')],
    );
    expect(names).toMatchObject({ real: 'f 640 3:0 kept' });
    expect(Object.keys(names).filter((name) => name.startsWith('real/'))).toEqual([]);
    expect(result.dependsOnLower).toBe(true);
  });

  test('goes through links of this layer and of lower ones', async () => {
    const lower = [D('usr'), F('usr/f', 'x'), L('lib', 'usr')];
    const { names } = await onTop([lower], [L('own', '../lib/.'), H('link', 'own/f'), H('other', 'lib/f')]);
    expect(names).toMatchObject({ link: 'f 644 0:0 x', other: 'f 644 0:0 x', 'usr/f': 'f 644 0:0 x' });
    expect(Object.keys(names)).not.toContain('lib');
  });

  test('to what is a directory here only because a marker lies below it', async () => {
    const entries = [F('f/.wh..wh..opq'), F('f/.wh.x'), H('link', 'f')];
    const failure = await failureOf(unpack(requestIn(dir.at('alone')), tar(entries)));
    expect(failure).toMatchObject({ code: 'LAYER_NEEDS_LOWER', subject: { entry: 'link', target: 'f' } });
    const { names } = await onTop([[F('f', 'a file')]], entries);
    expect(names).toEqual({ '/': 'd 755 0:0', f: 'f 644 0:0 a file', link: 'f 644 0:0 a file' });
  });

  test('a lower file outside the layer is never linked itself', async () => {
    const { at } = await onTop([[F('a', 'x')]], [H('b', 'a')]);
    expect(lstatSync(dir.at('lower-0-0/target/a')).nlink).toBe(1);
    expect(lstatSync(at('b')).nlink).toBe(2);
  });
});

describe('an entry below a link of a lower layer', () => {
  const usrMerge = [
    D('usr'),
    D('usr/lib', { mode: 0o711 }),
    L('lib', 'usr/lib'),
    L('abs', '/usr/lib'),
    L('up', '../../usr'),
  ];

  test('goes where the link leads, through any number of links', async () => {
    const { names, result } = await onTop(
      [usrMerge],
      [
        F('lib/a', '1'),
        F('abs/sub/b', '2'),
        F('up/c', '3'),
        F('lib/.wh.gone'),
        H('lib/h', 'lib/a'),
        F('etc/d', '4'),
      ],
    );
    expect(names).toEqual({
      '/': 'd 755 0:0',
      etc: 'd 755 0:0',
      'etc/d': 'f 644 0:0 4',
      usr: 'd 755 0:0',
      'usr/c': 'f 644 0:0 3',
      'usr/lib': 'd 755 0:0',
      'usr/lib/a': 'f 644 0:0 1',
      'usr/lib/gone': 'c 0',
      'usr/lib/h': 'f 644 0:0 1',
      'usr/lib/sub': 'd 755 0:0',
      'usr/lib/sub/b': 'f 644 0:0 2',
    });
    expect([...result.impliedDirs] as string[]).toEqual(['etc', 'usr', 'usr/lib', 'usr/lib/sub']);
    expect([...result.whiteoutDirs] as string[]).toEqual(['usr/lib']);
    expect(result.dependsOnLower).toBe(true);
  });

  test('but not where this layer has a directory, or hides the link', async () => {
    const explicit = await onTop([usrMerge], [D('lib'), F('lib/a', '1')]);
    expect(explicit.names['lib/a']).toBe('f 644 0:0 1');
    expect(explicit.result.dependsOnLower).toBe(false);
    await dir.remove();
    dir = tempDir();
    const hidden = await onTop([usrMerge], [F('.wh.lib'), F('lib/a', '1')]);
    expect(hidden.names).toMatchObject({ lib: 'd 755 0:0', 'lib/a': 'f 644 0:0 1' });
    await dir.remove();
    dir = tempDir();
    const opaque = await onTop([usrMerge], [F('.wh..wh..opq'), F('lib/a', '1')]);
    expect(opaque.names['lib/a']).toBe('f 644 0:0 1');
  });

  test('nor where a directory of a layer between hides it', async () => {
    const { names, result } = await onTop([usrMerge, [D('lib')]], [F('lib/a', '1')]);
    expect(names).toEqual({ '/': 'd 755 0:0', lib: 'd 755 0:0', 'lib/a': 'f 644 0:0 1' });
    expect(result.dependsOnLower).toBe(false);
  });

  test('a later directory of this layer takes the place of the link for what comes after it', async () => {
    const { names } = await onTop(
      [usrMerge],
      [F('lib/x/a', '1'), D('lib', { mode: 0o700 }), F('lib/x/b', '2')],
    );
    expect(names).toMatchObject({ 'usr/lib/x/a': 'f 644 0:0 1', lib: 'd 700 0:0', 'lib/x/b': 'f 644 0:0 2' });
  });

  test('links of lower layers that lead round end as a loop', async () => {
    await using own = tempDir(dir.path);
    const lower = requestIn(own.at('lower'));
    await unpack(lower, tar([L('a', 'b'), L('b', 'a')]));
    const request = requestIn(own.at('top'), { lowers: [lower.target] });
    expect(await codeOf(unpack(request, tar([F('a/x', '')])))).toBe('LAYER_LINK_LOOP');
  });

  test('a link of a lower layer that leads nowhere is followed all the same', async () => {
    const { names } = await onTop([[L('data', 'srv/data')]], [F('data/x', '1')]);
    expect(names).toMatchObject({ srv: 'd 755 0:0', 'srv/data': 'd 755 0:0', 'srv/data/x': 'f 644 0:0 1' });
  });
});

function capability(): Buffer {
  return Buffer.from('0100000200200000ff00000000000000ff000000', 'hex');
}

test('times of directories that are only passed through stay as they are', async () => {
  const lower = requestIn(dir.at('lower'));
  await unpack(lower, tar([D('a', { mtime: 1 }), F('a/f', 'x', { mtime: 2 })]));
  utimesSync(lower.target, 5, 5);
  await unpack(requestIn(dir.at('top'), { lowers: [lower.target] }), tar([H('l', 'a/f')]));
  expect([lstatSync(lower.target).mtimeMs, lstatSync(`${lower.target}/a`).mtimeMs]).toEqual([5000, 1000]);
});
