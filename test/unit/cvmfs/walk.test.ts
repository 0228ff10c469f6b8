import { describe, expect, test } from 'bun:test';
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import type { ByteName } from '../../../lib/base/bytes.ts';
import { markerOf } from '../../../lib/cvmfs/markers.ts';
import { planShims } from '../../../lib/cvmfs/shim-plan.ts';
import { type WalkOptions, walkTree } from '../../../lib/cvmfs/walk.ts';
import { close, lsetxattr, mkdirAt, openDir } from '../../../lib/sys/kernel/files.ts';
import { sh } from '../../support/shell.ts';
import { tempDir } from '../../support/temp.ts';

const QUIET: WalkOptions = {
  sizes: false,
  xattrs: false,
  made: 'ingest',
  around: undefined,
  explicit: new Set(),
  alive: () => undefined,
};
const walk = (path: string, changes: Partial<WalkOptions> = {}) => walkTree(path, { ...QUIET, ...changes });
const old = (path: string) => utimesSync(path, 1_500_000_000, 1_500_000_000);

describe('markers', () => {
  const cases: readonly (readonly [string, unknown])[] = [
    ['.wh.a', { kind: 'whiteout', name: 'a' }],
    ['.wh..a', { kind: 'whiteout', name: '.a' }],
    ['.wh....', { kind: 'whiteout', name: '...' }],
    ['.wh.\xff', { kind: 'whiteout', name: '\xff' }],
    ['.wh..wh..opq', { kind: 'opaque' }],
    ['.wh..wh.plnk', { kind: 'hidden' }],
    ['.wh..wh.', { kind: 'hidden' }],
    ['.wh.', { kind: 'bad' }],
    ['.wh..', { kind: 'bad' }],
    ['.wh...', { kind: 'bad' }],
    ['.cvmfscatalog', { kind: 'hidden' }],
    ['.wha', undefined],
    ['x.wh.a', undefined],
    ['.WH.a', undefined],
    ['wh.a', undefined],
  ];
  for (const [name, marker] of cases) {
    test(JSON.stringify(name), () => expect<unknown>(markerOf(name as ByteName)).toEqual(marker));
  }
});

describe('a walk', () => {
  test('finds markers by directory, and drops what an opaque directory covers', async () => {
    await using dir = tempDir();
    await sh('mkdir -p a/b o/p; touch .wh.x a/b/.wh.y o/.wh..wh..opq o/.wh.z o/p/.wh.w a/f', [], {
      cwd: dir.path,
    });
    const { directories } = walk(dir.path);
    const marks = directories.map(({ path, opaque, whiteouts, hidden }) => [
      path,
      opaque,
      whiteouts,
      hidden.toSorted(),
    ]);
    expect<unknown>(marks.sort()).toEqual([
      ['', false, ['x'], ['.wh.x']],
      ['a', false, [], []],
      ['a/b', false, ['y'], ['.wh.y']],
      ['o', true, [], ['.wh..wh..opq', '.wh.z']],
      ['o/p', false, [], ['.wh.w']],
    ]);
    const paths = directories.map(({ path }) => path);
    expect(paths.indexOf('a' as ByteName)).toBeLessThan(paths.indexOf('a/b' as ByteName));
  });

  test('a directory that is deleted and made again in one layer is opaque', async () => {
    await using dir = tempDir();
    await sh('mkdir -p d/e; touch .wh.d .wh.f f d/.wh.x d/e/.wh.y', [], { cwd: dir.path });
    const plan = planShims(walk(dir.path));
    expect<unknown>(plan.shim.map(({ path, opaque, whiteouts }) => [path, opaque, whiteouts])).toEqual([
      ['', false, ['f']],
      ['d', true, []],
    ]);
    expect<unknown>(plan.facts.opaqueDirs).toEqual(['d']);
    expect(plan.mask.map(({ path }) => path as string)).toEqual(['', 'd', 'd/e']);
  });

  test('a directory that is deleted and there for markers alone stays deleted', async () => {
    await using dir = tempDir();
    await sh(
      'mkdir -p d/e o/p; touch .wh.d d/e/.wh.x o/.wh..wh..opq o/.wh.p o/p/.wh.y; touch .cvmfscatalog',
      [],
      { cwd: dir.path },
    );
    const plan = planShims(walk(dir.path));
    expect<unknown>(plan.shim.map(({ path, opaque, whiteouts }) => [path, opaque, whiteouts])).toEqual([
      ['', false, ['d']],
      ['o', true, []],
    ]);
    const mask = new Map(plan.mask.map(({ path, whiteouts }) => [path as string, whiteouts.toSorted()]));
    expect([...mask.keys()].toSorted()).toEqual(['', 'o']);
    expect<unknown>(mask.get('')).toEqual(['.cvmfscatalog', '.wh.d', 'd']);
    expect<unknown>(mask.get('o')).toEqual(['.wh..wh..opq', '.wh.p', 'p']);
  });

  test('a directory for markers alone is none where nothing comes from below', async () => {
    await using dir = tempDir();
    await sh(
      'mkdir -p o/p/q o/e n/d; touch o/.wh..wh..opq o/p/q/.wh.y o/e/f n/.wh.d n/d/.wh..wh..opq .cvmfscatalog',
      [],
      {
        cwd: dir.path,
      },
    );
    const { facts, mask } = planShims(walk(dir.path));
    const whiteouts = new Map(mask.map((directory) => [directory.path as string, directory.whiteouts]));
    expect<unknown>(whiteouts.get('o')?.toSorted()).toEqual(['.wh..wh..opq', 'p']);
    expect(whiteouts.has('o/p')).toBe(false);
    // Whether that one is there depends on what lies below.
    expect<unknown>(facts.hollowDirs).toEqual(['n']);
  });

  test('does not go into what is marked, and keeps names as bytes', async () => {
    await using dir = tempDir();
    await sh(`mkdir '.wh.dir'; touch '.wh.dir/.wh.'; touch "$(printf '.wh.\\377')"`, [], { cwd: dir.path });
    const found = walk(dir.path);
    expect(found.unusable).toBeUndefined();
    expect<unknown>(found.directories[0]?.whiteouts.toSorted()).toEqual(['dir', '\xff']);
  });

  test('hides devices, and gives directories with overlay whiteouts a shim', async () => {
    await using dir = tempDir();
    await sh(
      'mkdir -p dev w/x; mknod dev/null c 1 3; mknod dev/sda b 8 0; mkfifo dev/p; mknod w/x/gone c 0 0',
      [],
      { cwd: dir.path },
    );
    const plan = planShims(walk(dir.path));
    expect(plan.mask.map(({ path, whiteouts }) => [path, whiteouts.toSorted()])).toEqual([
      ['' as ByteName, []],
      ['dev' as ByteName, ['null', 'sda'] as ByteName[]],
    ]);
    expect<unknown>(plan.shim.map(({ path, whiteouts }) => [path, whiteouts])).toEqual([
      ['', []],
      ['w', []],
      ['w/x', []],
    ]);
  });

  test('tells directories that publishing invented, by owner and time', async () => {
    await using dir = tempDir();
    await sh(
      'mkdir -p made/up kept mine; chown 497:498 made made/up kept . ; chmod 755 . ; touch .cvmfscatalog; chown 497:498 .cvmfscatalog',
      [],
      { cwd: dir.path },
    );
    for (const path of ['kept', 'mine']) old(dir.at(path));
    const found = walk(dir.path);
    expect<unknown>(planShims(found).facts.impliedDirs.toSorted()).toEqual(['made', 'made/up']);
    expect(found.explicitRoot).toBe(false);
    await sh('chown 0:0 made; chmod 700 made/up', [], { cwd: dir.path });
    expect(planShims(walk(dir.path)).facts.impliedDirs).toEqual([]);
  });

  test('sums up sizes only when asked', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('d'));
    writeFileSync(dir.at('d/f'), 'x'.repeat(1000));
    writeFileSync(dir.at('.wh.f'), 'y'.repeat(50));
    expect([walk(dir.path).fileBytes, walk(dir.path, { sizes: true }).fileBytes]).toEqual([undefined, 1000]);
  });

  test('keeps attributes of directories where they are the layer’s own', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('d'));
    writeFileSync(dir.at('d/.wh.x'), '');
    lsetxattr(dir.at('d'), 'user.note', Buffer.from('\xff'));
    lsetxattr(dir.at('d'), 'trusted.overlay.opaque', Buffer.from('y'));
    const [, d] = walk(dir.path, { xattrs: true }).directories;
    expect(d?.xattrs).toEqual([['user.note', Buffer.from('\xff').toString('base64')]]);
    expect(walk(dir.path).directories[1]?.xattrs).toEqual([]);
  });

  for (const name of ['.wh.', '.wh..', '.wh...']) {
    test(`a marker ${name} makes a layer unusable`, async () => {
      await using dir = tempDir();
      mkdirSync(dir.at('d'));
      writeFileSync(dir.at('d', name), '');
      expect(walk(dir.path).unusable).toMatch(/without a name/);
    });
  }

  test('a marker deeper than a path can be makes a layer unusable, a file there does not', async () => {
    await using dir = tempDir();
    let at = openDir(dir.path);
    for (let level = 0; level < 20; level += 1) {
      mkdirAt(at, 'n'.repeat(250), 0o755);
      const next = openDir('n'.repeat(250), at);
      close(at);
      at = next;
    }
    writeFileSync(`/proc/self/fd/${at}/file`, '');
    expect([walk(dir.path).unusable, walk(dir.path).entries]).toEqual([undefined, 21]);
    writeFileSync(`/proc/self/fd/${at}/.wh.x`, '');
    close(at);
    expect(walk(dir.path).unusable).toMatch(/too deep/);
  });

  test('says that it is alive', async () => {
    await using dir = tempDir();
    await sh('mkdir -p $(seq -f d%g/x 1 2000)', [], { cwd: dir.path });
    let alive = 0;
    const now = performance.now;
    let clock = 0;
    performance.now = () => (clock += 1);
    try {
      walk(dir.path, { alive: () => (alive += 1) });
    } finally {
      performance.now = now;
    }
    expect(alive).toBeGreaterThan(5);
  });
});
