import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { RootedTree, type TreeEvents } from '../../../../lib/sys/files/rooted.ts';
import { close, mkdirAt, openAt, symlinkAt } from '../../../../lib/sys/kernel/files.ts';
import { O } from '../../../../lib/sys/kernel/libc.ts';
import { openBelow } from '../../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
let implied: string[];
let removed: string[];
let tree: RootedTree;
const root = () => dir.at('root');

function open(events: Partial<TreeEvents> = {}): RootedTree {
  return new RootedTree(root(), {
    linkBelow: () => undefined,
    implied: (directory, over) =>
      implied.push(over === undefined ? directory.path : `${directory.path} over something`),
    removed: (path, kind) => removed.push(`${kind} ${path}`),
    ...events,
  });
}

beforeEach(() => {
  dir = tempDir();
  mkdirSync(root());
  mkdirSync(dir.at('outside'));
  [implied, removed] = [[], []];
  tree = open();
});
afterEach(async () => {
  tree.abandon();
  expect(openBelow(dir.path)).toEqual([]);
  await dir.remove();
});

const link = (target: string, name: string) => symlinkSync(target, `${root()}/${name}`);
const make = (name: string) => mkdirSync(`${root()}/${name}`, { recursive: true });
/** A file in the directory that the tree finds at a path. */
function write(path: string, name = 'file'): void {
  const { value } = tree.put(tree.directory(path), name, (fd, bytes) =>
    openAt(fd, bytes, O.WRONLY | O.CREAT | O.EXCL, 0o600),
  );
  close(value);
}

describe('directory', () => {
  test('makes what is missing, tells of it, and finds it again', () => {
    write('a/b/c');
    expect(implied).toEqual(['a', 'a/b', 'a/b/c']);
    expect(tree.directory('a/b/c')).toBe(tree.directory('a/b/c'));
    write('a/b/d');
    expect(implied).toEqual(['a', 'a/b', 'a/b/c', 'a/b/d']);
    expect(existsSync(`${root()}/a/b/d/file`)).toBe(true);
    expect(tree.directory('')).toBe(tree.root);
  });

  test('follows links inside, wherever they lead, under the name that is no link', () => {
    make('usr/lib');
    link('usr/lib', 'relative');
    link('/usr/lib', 'absolute');
    link('../../../usr/lib', 'up');
    link('relative/../lib/.', 'usr/round');
    for (const name of ['relative', 'absolute', 'up', 'usr/round', 'up/../lib']) {
      expect(tree.directory(name).path as string).toBe('usr/lib');
    }
    link(dir.at('outside'), 'out');
    write('out');
    expect(readdirSync(dir.at('outside'))).toEqual([]);
    expect(existsSync(`${root()}${dir.at('outside')}/file`)).toBe(true);
  });

  test('makes what a link misses at its end', () => {
    link('not/there/yet', 'l');
    write('l/sub');
    expect(existsSync(`${root()}/not/there/yet/sub/file`)).toBe(true);
    expect(implied).toEqual(['not', 'not/there', 'not/there/yet', 'not/there/yet/sub']);
  });

  test('replaces a file in the way, and not a link', () => {
    writeFileSync(`${root()}/f`, '');
    write('f');
    expect(implied).toEqual(['f over something']);
    expect(removed).toEqual(['other f']);
  });

  test('gives up after 40 links', () => {
    make('end');
    link('end', 'l0');
    for (let i = 1; i <= 40; i += 1) link(`l${i - 1}`, `l${i}`);
    expect(tree.directory('l39').path as string).toBe('end');
    expect(() => tree.directory('l40')).toThrow(expect.objectContaining({ code: 'ELOOP' }));
    link('self', 'self');
    expect(() => tree.directory('self/x')).toThrow(expect.objectContaining({ code: 'ELOOP' }));
  });

  test('goes where the owner of the tree says a lower link leads, until something stands there', () => {
    tree.abandon();
    tree = open({ linkBelow: (path) => (path === 'lib' ? Buffer.from('usr/lib') : undefined) });
    write('lib/x');
    expect(existsSync(`${root()}/usr/lib/x/file`)).toBe(true);
    expect(tree.directory('lib/x').path as string).toBe('usr/lib/x');
    tree.make(tree.root, 'lib', 0o755);
    write('lib/x', 'other');
    expect(existsSync(`${root()}/lib/x/other`)).toBe(true);
  });

  test('paths over PATH_MAX, in portions, with links between', () => {
    const deep = Array.from({ length: 1000 }, (_, i) => `level${i % 10}`).join('/');
    write(deep);
    write(`${deep}/more`);
    expect(implied).toHaveLength(1001);
    const above = deep.slice(0, 3499);
    const parent = tree.directory(above);
    symlinkAt(Buffer.from('level1'), parent.changingFd, Buffer.from('alias'));
    const rest = deep.slice(above.length + 1);
    expect(rest.startsWith('level')).toBe(true);
    expect(tree.find(`${above}/alias`)?.path as string | undefined).toBe(tree.find(`${above}/level1`)?.path);
    tree.finish();
    tree = open();
    expect(tree.find(`${deep}/more`)?.path as string | undefined).toBe(`${deep}/more`);
    expect(tree.find(`${deep}/none`)).toBeUndefined();
  });
});

describe('find', () => {
  test('makes nothing', () => {
    make('a');
    writeFileSync(`${root()}/a/file`, '');
    link('gone', 'dangling');
    for (const path of ['b', 'a/b', 'a/file', 'a/file/x', 'dangling', 'dangling/x'])
      expect(tree.find(path)).toBeUndefined();
    expect(readdirSync(root()).sort()).toEqual(['a', 'dangling']);
    expect(tree.find('a')?.path as string | undefined).toBe('a');
  });
});

describe('put, make and remove', () => {
  test('put replaces what is there, trees too, and says what it was', () => {
    make('x/deep/er');
    writeFileSync(`${root()}/x/deep/file`, '');
    tree.directory('x/deep');
    const { over } = tree.put(tree.root, 'x', (fd, name) => symlinkAt('target', fd, name));
    expect((over?.mode ?? 0) & 0o170000).toBe(0o040000);
    expect(removed.sort()).toEqual(['directory x', 'directory x/deep', 'directory x/deep/er']);
    const second = tree.put(tree.root, 'x', (fd, name) => symlinkAt('other', fd, name));
    expect((second.over?.mode ?? 0) & 0o170000).toBe(0o120000);
  });

  test('make keeps a directory, and replaces anything else', () => {
    make('d/kept');
    expect(tree.make(tree.root, 'd', 0o700)).toMatchObject({ made: false, over: undefined });
    expect(existsSync(`${root()}/d/kept`)).toBe(true);
    link(dir.at('outside'), 'l');
    expect(tree.make(tree.root, 'l', 0o700).made).toBe(true);
    expect(lstatSync(`${root()}/l`).isDirectory()).toBe(true);
    expect(existsSync(dir.at('outside'))).toBe(true);
  });

  test('what was found through a link is not found through it any more', () => {
    make('one');
    make('two');
    link('one', 'l');
    write('l', '1');
    tree.put(tree.root, 'l', (fd, name) => symlinkAt('two', fd, name));
    write('l', '2');
    expect(readdirSync(`${root()}/two`)).toEqual(['2']);
    tree.remove(tree.root, 'l');
    write('l', '3');
    expect(readdirSync(`${root()}/l`)).toEqual(['3']);
  });

  test('a directory that is removed while it is open is not used again', () => {
    const inner = tree.directory('a/b');
    tree.remove(tree.root, 'a');
    expect(() => inner.fd).toThrow('a released directory was used');
    write('a/b');
    expect(readdirSync(`${root()}/a/b`)).toEqual(['file']);
  });
});

describe('attributes of directories', () => {
  const ACL = '0200000001000700ffffffff02000700070000000400050' + '0ffffffff10000700ffffffff20000500ffffffff';

  test('are put aside while names are made inside, and come back, with few descriptors', () => {
    for (let i = 0; i < 200; i += 1) {
      const directory = tree.directory(`d${i}`);
      directory.setOwner(0, 50);
      directory.setMode(0o2770);
      directory.setTime({ sec: 1000 + i, nsec: 5 });
      directory.setDefaultAcl(i % 2 === 0 ? Buffer.from(ACL, 'hex') : undefined);
    }
    expect(openBelow(dir.path).length).toBeLessThan(60);
    for (let i = 0; i < 200; i += 7) {
      write(`d${i}`);
      mkdirAt(tree.directory(`d${i}`).changingFd, 'sub', 0o700);
    }
    tree.finish();
    for (let i = 0; i < 200; i += 1) {
      const stat = lstatSync(`${root()}/d${i}`, { bigint: true });
      expect([Number(stat.mode & 0o7777n), stat.mtimeNs]).toEqual([
        0o2770,
        BigInt(1000 + i) * 1_000_000_000n + 5n,
      ]);
      if (i % 7 !== 0) continue;
      expect(lstatSync(`${root()}/d${i}/file`).gid).toBe(0);
      expect(lstatSync(`${root()}/d${i}/sub`).mode & 0o7777).toBe(0o700);
    }
    tree = open();
  });

  test('looking changes none, nor does a tree that is thrown away', () => {
    make('a/b');
    utimesSync(`${root()}/a`, 5, 5);
    utimesSync(root(), 6, 6);
    tree.find('a/b');
    tree.find('a/none');
    tree.finish();
    expect([lstatSync(`${root()}/a`).mtimeMs, lstatSync(root()).mtimeMs]).toEqual([5000, 6000]);
    tree = open();
    tree.directory('a').setTime({ sec: 9, nsec: 0 });
    tree.abandon();
    expect(lstatSync(`${root()}/a`).mtimeMs).toBe(5000);
    tree = open();
  });

  test('one that is held stays open however many others are opened', () => {
    const held = tree.directory('held');
    held.hold(() => {
      for (let i = 0; i < 300; i += 1) tree.directory(`x${i}`);
      write('held');
      expect(held.fd).toBeGreaterThan(0);
    });
    expect(readFileSync(`${root()}/held/file`, 'utf8')).toBe('');
  });
});
