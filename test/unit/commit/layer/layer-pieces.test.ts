/** Trees of hostile containers as layers: what is refused, what is noticed, and what the archive says. */
import { expect, test } from 'bun:test';
import {
  appendFileSync,
  chownSync,
  linkSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { byteName } from '../../../../lib/base/bytes.ts';
import type { IdMappings } from '../../../../lib/base/id-mapping.ts';
import { inPlace, type Piece } from '../../../../lib/commit/layer/content.ts';
import { LayerPieces, type TreeToExport } from '../../../../lib/commit/layer/entries.ts';
import { packLayer } from '../../../../lib/commit/layer/pack.ts';
import { Snapshot } from '../../../../lib/commit/layer/snapshot.ts';
import { DEFAULT_BUDGET } from '../../../../lib/image/pull/budget.ts';
import { TarReader } from '../../../../lib/layer/tar/reader.ts';
import { close, lsetxattr, mkdirAt, mknodAt, openAt, openDir } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../../../lib/sys/kernel/libc.ts';
import { S } from '../../../../lib/sys/kernel/stat.ts';
import { tempDir } from '../../../support/temp.ts';
import { openDescriptors } from '../../sys/descriptors.ts';

const IDENTITY: IdMappings = { uids: [], gids: [] };
const SIGNAL = new AbortController().signal;

/** Runs `use` on the pieces of a tree; afterwards nothing of the tree is open. */
async function exporting<T>(
  tree: string,
  use: (pieces: LayerPieces) => T | Promise<T>,
  more: Partial<TreeToExport> = {},
): Promise<T> {
  const root = openAt(AT_FDCWD, tree, O.PATH | O.DIRECTORY);
  try {
    const options = { root, mappings: IDENTITY, capture: inPlace, isBelow: () => false, ...more };
    return await use(new LayerPieces(options));
  } finally {
    close(root);
    expect(openDescriptors((target) => target.startsWith(tree))).toEqual([]);
  }
}

/** The names, types and contents of an archive, as graft's own reader sees them. */
async function archived(pieces: Iterable<Piece>): Promise<string[]> {
  const blob: Uint8Array[] = [];
  await packLayer(pieces, (bytes) => void blob.push(bytes.slice()), DEFAULT_BUDGET, SIGNAL);
  const found: string[] = [];
  let content = '';
  const reader = new TarReader(
    {
      entry: (entry) => {
        const target = 'target' in entry ? ` ${entry.target}` : '';
        found.push(`${entry.kind} ${entry.name}${target}`);
      },
      content: (bytes) => {
        content += Buffer.from(bytes).toString('latin1');
      },
      endOfContent: () => {
        found.push(`${found.pop()}: ${content.slice(0, 20)}`);
        content = '';
      },
    },
    Number.MAX_SAFE_INTEGER,
  );
  reader.push(Bun.gunzipSync(Buffer.concat(blob)));
  reader.end();
  return found;
}

function list(tree: string, more?: Partial<TreeToExport>): Promise<string[]> {
  return exporting(tree, (pieces) => archived(pieces.all()), more);
}

function whiteout(path: string): void {
  mknodAt(AT_FDCWD, path, S.IFCHR, 0);
}

test('names come sorted, parents first, in any bytes, and again the same', async () => {
  await using dir = tempDir();
  for (const name of ['b', 'a', 'a-', 'ä', 'new\nline', 'z'.repeat(120)]) writeFileSync(dir.at(name), 'x');
  mkdirSync(dir.at('d'));
  writeFileSync(Buffer.concat([Buffer.from(`${dir.path}/d/`), Buffer.from([0xff, 0x2e])]), 'y');
  symlinkSync('t'.repeat(130), dir.at('d', 'l'));
  const latin = (text: string) => byteName(Buffer.from(text));
  expect(await list(dir.path)).toEqual([
    'directory ./',
    'file a: x',
    'file a-: x',
    'file b: x',
    'directory d/',
    `symlink d/l ${'t'.repeat(130)}`,
    'file d/\xff.: y',
    'file new\nline: x',
    `file ${'z'.repeat(120)}: x`,
    `file ${latin('ä')}: x`,
  ]);
});

test('hard links of files, symbolic links and FIFOs name the first of them', async () => {
  await using dir = tempDir();
  writeFileSync(dir.at('b'), 'x');
  linkSync(dir.at('b'), dir.at('a'));
  symlinkSync('t', dir.at('l'));
  linkSync(dir.at('l'), dir.at('m'));
  mknodAt(AT_FDCWD, dir.at('p'), S.IFIFO | 0o600);
  linkSync(dir.at('p'), dir.at('q'));
  expect(await list(dir.path)).toEqual([
    'directory ./',
    'file a: x',
    'hardlink b a',
    'symlink l t',
    'hardlink m l',
    'fifo p',
    'hardlink q p',
  ]);
});

test('a socket or device that hides a lower name becomes its whiteout, except below an opaque directory', async () => {
  await using dir = tempDir();
  for (const name of ['o', 'p']) mkdirSync(dir.at(name));
  lsetxattr(dir.at('o'), 'trusted.overlay.opaque', Buffer.from('y'));
  lsetxattr(dir.at('p'), 'trusted.overlay.opaque', Buffer.from('x'));
  for (const name of ['null', 'other', 'o/null', 'p/null'])
    mknodAt(AT_FDCWD, dir.at(name), S.IFCHR | 0o600, 0x103);
  const found = await exporting(
    dir.path,
    async (pieces) => [await archived(pieces.all()), pieces.counts] as const,
    { isBelow: (path) => path !== 'other' },
  );
  expect(found).toEqual([
    [
      'directory ./',
      'file .wh.null: ',
      'directory o/',
      'file o/.wh..wh..opq: ',
      'directory p/',
      'file p/.wh.null: ',
    ],
    { entries: 6, sockets: 0, devices: 4 },
  ]);
});

test('100,000 whiteouts take a moment', async () => {
  await using dir = tempDir();
  whiteout(dir.at('0'));
  // They share an inode, as overlayfs makes them.
  for (let made = 1; made < 100_000; made += 1) {
    // XFS and ext4 have at most some 65,000 links of an inode.
    if (made % 50_000 === 0) whiteout(dir.at(String(made)));
    else linkSync(dir.at(String(made - (made % 50_000))), dir.at(String(made)));
  }
  const found = await list(dir.path);
  expect([found.length, found[1], found.at(-1)]).toEqual([100_001, 'file .wh.0: ', 'file .wh.99999: ']);
});

test.each([
  ['a file named .wh.x', '/d/.wh.x', 'whiteout-name', (d: string) => writeFileSync(`${d}/.wh.x`, '')],
  ['a directory named .wh.', '/d/.wh.', 'whiteout-name', (d: string) => mkdirSync(`${d}/.wh.`)],
  [
    'a deleted name of 252 bytes',
    `/d/${'n'.repeat(252)}`,
    'deleted-name',
    (d: string) => whiteout(`${d}/${'n'.repeat(252)}`),
  ],
  [
    'a redirect',
    '/d',
    'redirect',
    (d: string) => lsetxattr(d, 'trusted.overlay.redirect', Buffer.from('/x')),
  ],
  [
    'a file without its data',
    '/d/f',
    'metacopy',
    (d: string) => {
      writeFileSync(`${d}/f`, '');
      lsetxattr(`${d}/f`, 'trusted.overlay.metacopy', new Uint8Array());
    },
  ],
  ['an attribute with =', '/d', 'attributes', (d: string) => lsetxattr(d, 'user.a=b', Buffer.from('1'))],
])('%s is refused by its name', async (_, path, reason, make) => {
  await using dir = tempDir();
  mkdirSync(dir.at('d'));
  make(dir.at('d'));
  const error = await list(dir.path).catch((thrown) => thrown);
  expect([error.code, error.subject]).toEqual(['COMMIT_ENTRY', { path, reason }]);
});

test('an owner that no container has is refused; others are those of the container', async () => {
  await using dir = tempDir();
  const mappings = {
    uids: [{ container: 0, host: 70_000, size: 10 }],
    gids: [{ container: 0, host: 0, size: 9 }],
  };
  chownSync(dir.path, 70_000, 0);
  writeFileSync(dir.at('f'), '');
  chownSync(dir.at('f'), 70_009, 8);
  expect(await list(dir.path, { mappings })).toEqual(['directory ./', 'file f: ']);
  chownSync(dir.at('f'), 0, 8);
  const error = await list(dir.path, { mappings }).catch((thrown) => thrown);
  expect([error.code, error.subject]).toEqual(['COMMIT_ID', { path: '/f', kind: 'uid', id: 0 }]);
});

test('a deep tree is walked to the deepest path that can be unpacked, and refused below it', async () => {
  await using dir = tempDir();
  const deepen = (levels: number, from: number): number => {
    let fd = from;
    for (let level = 0; level < levels; level += 1) {
      mkdirAt(fd, 'deep-down', 0o755);
      const next = openDir('deep-down', fd);
      close(fd);
      fd = next;
    }
    return fd;
  };
  const middle = deepen(1000, openDir(dir.path));
  expect((await list(dir.path)).length).toBe(1001);
  close(deepen(2300, middle));
  const error = await list(dir.path).catch((thrown) => thrown);
  expect([error.code, error.subject.reason]).toEqual(['COMMIT_ENTRY', 'long-path']);
  expect(error.subject.path.length).toBeLessThan(300);
});

/** Runs `change` after the first piece whose header holds `name`, while the export waits. */
async function changingAfter(tree: string, name: string, change: () => void): Promise<string[]> {
  return exporting(tree, (pieces) => {
    let isDone = false;
    const changed = function* (): Generator<Piece> {
      for (const piece of pieces.all()) {
        yield piece;
        if (isDone || !(piece instanceof Uint8Array) || !Buffer.from(piece).includes(`${name}\0`)) continue;
        isDone = true;
        change();
      }
    };
    return archived(changed());
  });
}

test('a directory that becomes a link while it is read leads nowhere else', async () => {
  await using dir = tempDir();
  await using outside = tempDir();
  writeFileSync(outside.at('secret'), 'secret');
  const fill = (name: string) => {
    mkdirSync(dir.at(name));
    writeFileSync(dir.at(name, 'inside'), 'inside');
  };
  for (const name of ['a', 'b', 'c']) fill(name);
  const found = await changingAfter(dir.path, 'a/', () => {
    for (const name of ['a', 'b']) renameSync(dir.at(name), dir.at(`moved-${name}`));
    for (const name of ['a', 'b', 'c']) {
      rmSync(dir.at(name), { recursive: true, force: true });
      symlinkSync(outside.path, dir.at(name));
    }
  });
  // The directory in hand is still the directory; the later names are links by now.
  expect(found).toEqual([
    'directory ./',
    'directory a/',
    'file a/inside: inside',
    `symlink b ${outside.path}`,
    `symlink c ${outside.path}`,
  ]);
});

test('a file that becomes a device or FIFO after it was listed is not opened', async () => {
  await using dir = tempDir();
  for (const name of ['a', 'b', 'c']) writeFileSync(dir.at(name), name);
  const found = await changingAfter(dir.path, './', () => {
    for (const name of ['a', 'b']) rmSync(dir.at(name));
    mknodAt(AT_FDCWD, dir.at('a'), S.IFIFO | 0o600);
    mknodAt(AT_FDCWD, dir.at('b'), S.IFCHR | 0o600, 0x103);
  });
  expect(found).toEqual(['directory ./', 'fifo a', 'file c: c']);
});

test('a directory that is moved while its parents are closed is noticed', async () => {
  await using dir = tempDir();
  const deep = dir.at(...Array.from({ length: 80 }, (_, level) => `d${level}`));
  mkdirSync(deep, { recursive: true });
  mkdirSync(dir.at('elsewhere'));
  const inner = dir.at('d0', 'd1', 'd2', 'd3');
  writeFileSync(`${inner}/z`, '');
  const error = await exporting(dir.path, (pieces) => {
    const moving = function* (): Generator<Piece> {
      for (const piece of pieces.all()) {
        yield piece;
        if (piece instanceof Uint8Array && Buffer.from(piece).includes('d79/'))
          renameSync(inner, dir.at('elsewhere', 'd3'));
      }
    };
    return archived(moving()).catch((thrown) => thrown);
  });
  expect(error.code).toBe('COMMIT_CHANGED');
});

test.each([
  ['grows', (path: string) => appendFileSync(path, 'more')],
  ['shrinks', (path: string) => truncateSync(path, 1)],
  ['is written again', (path: string) => writeFileSync(path, 'other')],
])('without a snapshot, a file that %s while it is read is noticed', async (_, change) => {
  await using dir = tempDir();
  writeFileSync(dir.at('f'), 'first');
  const error = await changingAfter(dir.path, 'f', () => change(dir.at('f'))).catch((thrown) => thrown);
  expect([error.code, error.subject]).toEqual(['COMMIT_CHANGED', { path: '/f' }]);
});

test('a snapshot keeps the tree of its moment, whatever happens to the tree afterwards', async () => {
  await using dir = tempDir();
  await using store = tempDir();
  writeFileSync(dir.at('a'), 'first');
  writeFileSync(dir.at('empty'), '');
  linkSync(dir.at('a'), dir.at('b'));
  mkdirSync(dir.at('d'));
  writeFileSync(dir.at('d', 'large'), 'L'.repeat(200_000));
  writeFileSync(dir.at('d', 'sparse'), '');
  truncateSync(dir.at('d', 'sparse'), 300_000);
  const before = await list(dir.path);
  using snapshot = Snapshot.open(store.path, DEFAULT_BUDGET.tarBytes);
  if (snapshot === undefined) throw new Error('the tests need a filesystem with reflinks, XFS for one');
  await exporting(dir.path, (pieces) => snapshot.fill(pieces.all(), () => {}), { capture: snapshot.capture });
  rmSync(dir.at('d'), { recursive: true });
  writeFileSync(dir.at('a'), 'second');
  expect(await archived(snapshot.pieces())).toEqual(before);
});

test('sparse files of any size are refused before they are read', async () => {
  await using dir = tempDir();
  await using store = tempDir();
  writeFileSync(dir.at('f'), '');
  truncateSync(dir.at('f'), 2 ** 45);
  using snapshot = Snapshot.open(store.path, DEFAULT_BUDGET.tarBytes);
  const filled = exporting(dir.path, (pieces) => snapshot?.fill(pieces.all(), () => {}), {
    ...(snapshot && { capture: snapshot.capture }),
  });
  expect(await filled.catch((error) => [error.code, error.subject])).toEqual([
    'COMMIT_TOO_LARGE',
    { what: 'bytes', limit: DEFAULT_BUDGET.tarBytes },
  ]);
});

test('an archive that graft would refuse as a bomb is refused while it is made', async () => {
  await using dir = tempDir();
  writeFileSync(dir.at('f'), '');
  truncateSync(dir.at('f'), 64 * 1024 * 1024);
  const budget = { ...DEFAULT_BUDGET, ratioFloor: 1024 * 1024 };
  const error = await exporting(dir.path, (pieces) =>
    packLayer(pieces.all(), () => {}, budget, SIGNAL).catch((thrown) => thrown),
  );
  expect([error.code, error.subject.limit]).toEqual(['COMMIT_TOO_LARGE', 200]);
});

test('an error of the target is the error of the layer, and nothing goes on after it', async () => {
  const pieces = [crypto.getRandomValues(new Uint8Array(65536)), new Uint8Array(8 * 1024 * 1024)];
  const failure = new Error('no room');
  const packed = packLayer(
    pieces,
    () => {
      throw failure;
    },
    DEFAULT_BUDGET,
    SIGNAL,
  );
  expect(await packed.catch((error) => error)).toBe(failure);
});
