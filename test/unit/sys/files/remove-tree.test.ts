import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { removeTree } from '../../../../lib/sys/files/remove-tree.ts';
import { close, mkdirAt, openAt, openDir } from '../../../../lib/sys/kernel/files.ts';
import { O } from '../../../../lib/sys/kernel/libc.ts';

let top: string;
let fd: number;
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'remove-'));
  fd = openDir(top);
});
afterEach(() => {
  close(fd);
  rmSync(top, { recursive: true, force: true });
});

const openFds = () => readdirSync('/proc/self/fd').length;

/** A chain of `depth` directories, longer than any path the kernel takes. */
function makeDeep(depth: number, component: string): void {
  let at = openAt(fd, '.', O.RDONLY | O.DIRECTORY);
  for (let i = 0; i < depth; i += 1) {
    mkdirAt(at, component, 0o755);
    const next = openDir(component, at);
    close(openAt(next, 'file', O.WRONLY | O.CREAT, 0o600));
    mkdirAt(next, 'empty', 0o700);
    close(at);
    at = next;
  }
  close(at);
}

describe('removeTree', () => {
  test('takes away a tree 9,000 levels deep, far over PATH_MAX, with few descriptors', () => {
    // Its deepest parts are moved to the top twice.
    makeDeep(9000, 'component');
    const before = openFds();
    removeTree(fd, 'component');
    expect(readdirSync(top)).toEqual([]);
    expect(openFds()).toBe(before);
  });

  test('takes away a directory of 20,000 names and 2,000 full directories', () => {
    mkdirSync(join(top, 'wide'));
    for (let i = 0; i < 20_000; i += 1) writeFileSync(join(top, 'wide', `${i}`), '');
    for (let i = 0; i < 2000; i += 1) mkdirSync(join(top, 'wide', `d${i}`, 'below'), { recursive: true });
    removeTree(fd, 'wide');
    expect(readdirSync(top)).toEqual([]);
  });

  test('follows no symbolic link', () => {
    mkdirSync(join(top, 'canary/inside'), { recursive: true });
    mkdirSync(join(top, 'gone'));
    symlinkSync(join(top, 'canary'), join(top, 'gone/link'));
    symlinkSync('../canary', join(top, 'gone/relative'));
    removeTree(fd, 'gone');
    symlinkSync('canary', join(top, 'top-link'));
    removeTree(fd, 'top-link');
    expect(readdirSync(top)).toEqual(['canary']);
    expect(existsSync(join(top, 'canary/inside'))).toBe(true);
  });

  test('stops when a directory is moved away meanwhile, before it follows it out', () => {
    makeDeep(60, 'level');
    mkdirSync(join(top, 'canary/kept'), { recursive: true });
    writeFileSync(join(top, 'canary/file'), '');
    let moved = false;
    const removal = () =>
      removeTree(fd, 'level', {
        removed: (path) => {
          // On the way up: some filesystems list the directories on the way down behind what is empty beside them.
          if (moved || path.split('/').length < 50) return;
          renameSync(join(top, 'level/level/level/level/level'), join(top, 'canary/moved'));
          moved = true;
        },
      });
    expect(removal).toThrow(expect.objectContaining({ code: 'ESTALE' }));
    expect(readdirSync(join(top, 'canary')).sort()).toEqual(['file', 'kept', 'moved']);
  });

  test('a directory that somebody still fills is not called removed', () => {
    mkdirSync(join(top, 'filled/child'), { recursive: true });
    // Filesystems differ in which of these they list yet: whatever is not seen must be told.
    const fill = (path: string) => {
      if (path !== 'child') return;
      for (let i = 0; i < 1000; i += 1) writeFileSync(join(top, `filled/late${i}`), '');
    };
    let left: unknown;
    try {
      removeTree(fd, 'filled', { removed: fill });
    } catch (error) {
      left = (error as { code?: string }).code;
    }
    expect(left).toBe(existsSync(join(top, 'filled')) ? 'ENOTEMPTY' : undefined);
  });

  test('of a directory that a process fills faster than it is emptied stops', () => {
    mkdirSync(join(top, 'endless'));
    let made = 0;
    const make = (names: number) => {
      for (const end = made + names; made < end; made += 1) writeFileSync(join(top, `endless/${made}`), '');
    };
    make(1000);
    const names = Math.max(statSync(join(top, 'endless')).size, 16_384);
    const before = () => make(3);
    const removal = () => removeTree(fd, 'endless', { before, inUse: true });
    expect(removal).toThrow(expect.objectContaining({ code: 'ENOTEMPTY' }));
    expect(made).toBe(1000 + 3 * names);
    removeTree(fd, 'endless');
    expect(existsSync(join(top, 'endless'))).toBe(false);
  });

  test('tells every directory that goes, and is content when there is nothing', () => {
    mkdirSync(join(top, 'a/b/c'), { recursive: true });
    writeFileSync(join(top, 'a/b/f'), '');
    mkdirSync(join(top, 'a/d'));
    const told: string[] = [];
    removeTree(fd, 'a', { removed: (path) => told.push(path) });
    expect(told.sort()).toEqual(['', 'b', 'b/c', 'd']);
    removeTree(fd, 'a', { removed: (path) => told.push(path) });
    expect(told).toHaveLength(4);
  });
});
