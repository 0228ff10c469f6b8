import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { verifyTree } from '../../../../lib/layer/tree/verify-tree.ts';
import { lsetxattr, mknodAt } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../../../lib/sys/kernel/libc.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { openBelow, requestIn, unpack } from '../../../support/images/unpack.ts';
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

const BIG = Buffer.alloc(300_000, 'big ');
const LAYER = [
  D('d', { mode: 0o750 }),
  F('d/file', 'content', { pax: { 'SCHILY.xattr.user.x': '1' } }),
  { ...F('d/big'), content: BIG },
  L('d/link', 'file'),
  H('d/hard', 'd/file'),
  { name: 'd/fifo', type: '6' },
  F('d/.wh.gone'),
  D('o'),
  F('o/.wh..wh..opq'),
  F('implied/x', 'x'),
];

async function layer(entries: readonly EntrySpec[] = LAYER) {
  const request = requestIn(dir.path);
  await unpack(request, tar(entries));
  const lines = () => readFileSync(request.manifestPath, 'latin1').trim().split('\n');
  return {
    lines,
    manifest: request.manifestPath,
    at: (name: string) => `${request.target}/${name}`,
    differences: () =>
      [...verifyTree(request.target, request.manifestPath)].map(({ path, what }) => `${path} ${what}`),
  };
}

/** Sets a file's times back, so that only what is looked for differs. */
function keepingTime(path: string, change: () => void): void {
  const { atime, mtime } = lstatSync(path);
  change();
  utimesSync(path, atime, mtime);
}

describe('verifyTree finds', () => {
  test('nothing in a tree that is as it was', async () => {
    const { differences } = await layer();
    expect(differences()).toEqual([]);
    expect(openBelow(dir.path)).toEqual([]);
  });

  test('one byte of content, with size and time as before', async () => {
    const { at, differences } = await layer();
    keepingTime(at('d/big'), () => {
      const content = readFileSync(at('d/big'));
      content.writeUInt8(0, 200_001);
      writeFileSync(at('d/big'), content);
    });
    expect(differences()).toEqual(['d/big has other content']);
  });

  test('a file that is shorter', async () => {
    const { at, differences } = await layer();
    keepingTime(at('d/big'), () => truncateSync(at('d/big'), 299_999));
    expect(differences()).toEqual(['d/big has 299999 bytes instead of 300000']);
  });

  test('in a sparse file what is not zero in a hole, and no hole in place of zeros', async () => {
    const content = Buffer.concat([
      Buffer.alloc(5000, 'a'),
      Buffer.alloc(400_000),
      Buffer.alloc(70_000, 'b'),
    ]);
    const { at, differences } = await layer([{ ...F('file'), content }]);
    const rewrite = (pieces: readonly (readonly [at: number, bytes: Buffer])[]) =>
      keepingTime(at('file'), () => {
        truncateSync(at('file'), 0);
        truncateSync(at('file'), content.length);
        const fd = openSync(at('file'), 'r+');
        for (const [offset, bytes] of pieces) writeSync(fd, bytes, 0, bytes.length, offset);
        closeSync(fd);
      });
    const pieces = [
      [0, content.subarray(0, 5000)],
      [405_000, content.subarray(405_000)],
    ] as const;
    rewrite(pieces);
    expect(lstatSync(at('file')).blocks * 512).toBeLessThan(200_000);
    expect(differences()).toEqual([]);
    rewrite([...pieces, [200_000, Buffer.from('x')]]);
    expect(differences()).toEqual(['file has other content']);
    rewrite([pieces[0]]);
    expect(differences()).toEqual(['file has other content']);
    rewrite([]);
    expect(differences()).toEqual(['file has other content']);
  });

  test('mode, owner, time, link target, attributes', async () => {
    const { at, differences } = await layer();
    const parent = lstatSync(at('d'));
    chmodSync(at('d'), 0o755);
    chownSync(at('implied/x'), 5, 6);
    utimesSync(at('d/fifo'), 5, 5);
    lsetxattr(at('d/big'), 'user.added', Buffer.from('x'));
    rmSync(at('d/link'));
    symlinkSync('elsewhere', at('d/link'));
    utimesSync(at('d'), parent.atime, parent.mtime);
    expect(differences()).toEqual([
      'd has mode 0755 instead of 0750',
      'd/big has other extended attributes',
      'd/link has another modification time',
      'd/link leads elsewhere',
      'd/fifo has another modification time',
      'implied/x belongs to 5:6 instead of 0:0',
    ]);
  });

  test('names that are missing, of another type, or no longer one file', async () => {
    const { at, differences } = await layer();
    const times = lstatSync(at('d'));
    rmSync(at('d/gone'));
    rmSync(at('d/hard'));
    writeFileSync(at('d/hard'), 'content');
    rmSync(at('d/fifo'));
    mkdirSync(at('d/fifo'));
    utimesSync(at('d'), times.atime, times.mtime);
    rmSync(at('implied'), { recursive: true });
    expect(differences()).toEqual(
      [
        ' has another modification time',
        'd/hard is no link to "d/file"',
        'd/fifo has another type',
        'd/gone is missing',
        'implied/x is missing',
        'implied is missing',
      ].sort((a, b) => differences().indexOf(a) - differences().indexOf(b)),
    );
  });

  test('names that nobody unpacked: of a whole tree the top', async () => {
    const { at, differences } = await layer();
    const [d, o] = [lstatSync(at('d')), lstatSync(at('o'))];
    mkdirSync(at('d/new/deeper'), { recursive: true });
    writeFileSync(at('o/\x01'), '');
    linkSync(at('d/file'), at('o/link'));
    utimesSync(at('d'), d.atime, d.mtime);
    utimesSync(at('o'), o.atime, o.mtime);
    expect(differences().sort()).toEqual([
      'd/new is not in the manifest',
      'o/\x01 is not in the manifest',
      'o/link is not in the manifest',
    ]);
  });

  test('a whiteout that is a file, one too many, an opaque mark too few or too many', async () => {
    const { at, differences } = await layer();
    const times = lstatSync(at('d'));
    rmSync(at('d/gone'));
    writeFileSync(at('d/gone'), '');
    mknodAt(AT_FDCWD, at('d/more'), 0o20000);
    utimesSync(at('d'), times.atime, times.mtime);
    lsetxattr(at('implied'), 'trusted.overlay.opaque', Buffer.from('y'));
    lsetxattr(at('o'), 'trusted.overlay.opaque', Buffer.from('n'));
    expect(differences().sort()).toEqual([
      'd/gone is no whiteout',
      'd/more is not in the manifest',
      'implied is opaque and should not be',
      'o is not opaque',
    ]);
  });

  test('a directory that became a link out of the tree, without following it', async () => {
    const { at, differences } = await layer();
    rmSync(at('implied'), { recursive: true });
    mkdirSync(dir.at('outside'));
    writeFileSync(dir.at('outside', 'x'), 'x');
    symlinkSync(dir.at('outside'), at('implied'));
    expect(differences()).toContain('implied has another type');
    expect(differences()).toContain('implied/x is missing');
  });
});

describe('a manifest that cannot be trusted', () => {
  const broken: Record<string, (path: string) => void> = {
    'is gone': (path) => rmSync(path),
    'is cut': (path) => truncateSync(path, lstatSync(path).size - 20),
    'is cut between lines': (path) =>
      writeFileSync(path, `${readFileSync(path, 'latin1').split('\n').slice(0, 3).join('\n')}\n`, 'latin1'),
    'lacks a line': (path) =>
      writeFileSync(path, readFileSync(path, 'latin1').replace(/^\["l".*\n/m, ''), 'latin1'),
    'has something behind its end': (path) => appendFileSync(path, '["w","x"]\n'),
    'is another format': (path) => writeFileSync(path, '{"format":"other"}\n["end",0]\n'),
    'is no text': (path) => writeFileSync(path, Buffer.alloc(5000, 0xff)),
    'was not finished': (path) =>
      writeFileSync(
        path,
        readFileSync(path, 'latin1').replace('["end",', '["x","d","self"]\n["end",1'),
        'latin1',
      ),
    'has a line without an end': (path) =>
      writeFileSync(path, `${readFileSync(path, 'latin1').split('\n')[0]}\n["f","${'x'.repeat(600_000)}`),
    'has lines of other things': (path) =>
      writeFileSync(path, `${readFileSync(path, 'latin1').split('\n')[0]}\n{"a":1}\n["end",1]\n`),
  };
  for (const [name, change] of Object.entries(broken)) {
    test(name, async () => {
      const { manifest, differences } = await layer();
      change(manifest);
      expect(differences().some((one) => one.startsWith(' cannot be compared with its manifest: '))).toBe(
        true,
      );
      expect(openBelow(dir.path)).toEqual([]);
    });
  }
});

describe('compacting', () => {
  test('leaves one line a name, with what was there last', async () => {
    const { lines, differences } = await layer([
      F('a', 'one'),
      F('a', 'two'),
      D('d'),
      F('d/x', '1'),
      F('d/y', '2'),
      L('d', 'a'),
      D('d', { mode: 0o700 }),
      F('d/y', '3'),
      D('d', { mode: 0o711 }),
      F('.wh.w'),
      F('w', 'own'),
      D('./', { mode: 0o555 }),
      D('./', { mode: 0o511 }),
    ]);
    expect(differences()).toEqual([]);
    const names = lines()
      .slice(1, -1)
      .map((line) => JSON.parse(line)[1]);
    expect(names.sort()).toEqual(['', 'a', 'd', 'd/y', 'w']);
    expect(lines().at(-1)).toBe('["end",5]');
  });

  test('keeps what links to a name that is gone need to know', async () => {
    const { at, differences, lines } = await layer([
      F('a', 'shared', { mode: 0o600 }),
      H('b', 'a'),
      H('c', 'a'),
      F('a', 'other'),
      D('t'),
      F('t/f', 'inside'),
      H('u', 't/f'),
      H('v', 'u'),
      F('t', 'no directory any more'),
      H('w', 'u'),
    ]);
    expect(differences()).toEqual([]);
    expect(lines().filter((line) => line.startsWith('["f"'))).toHaveLength(4);
    expect(lines().filter((line) => line.startsWith('["h"'))).toHaveLength(3);
    keepingTime(at('c'), () => writeFileSync(at('c'), 'SHARED'));
    expect(differences()).toEqual(['b has other content']);
  });

  test('a link to a link that is gone', async () => {
    const { differences } = await layer([
      F('a', 'x'),
      H('b', 'a'),
      H('c', 'b'),
      F('b', 'y'),
      F('a', 'z'),
      H('d', 'c'),
    ]);
    expect(differences()).toEqual([]);
  });

  test('links to a name before and after it became another file', async () => {
    const { differences } = await layer([
      F('a', 'old'),
      H('b', 'a'),
      F('a', 'new'),
      H('c', 'a'),
      H('d', 'b'),
    ]);
    expect(differences()).toEqual([]);
  });

  test('20,000 names taken back, file by file', async () => {
    const names = Array.from({ length: 20_000 }, (_, i) => F(`f${i}`, String(i)));
    const { differences, lines } = await layer([...names, ...names]);
    expect(lines()).toHaveLength(20_003);
    expect(differences()).toEqual([]);
  });
});
