/** User namespaces for idmapped mounts, and the pins that keep them. */
import { describe, expect, test } from 'bun:test';
import {
  chmodSync,
  chownSync,
  fstatSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { IdMappings } from '../../../../lib/base/id-mapping.ts';
import { SysError } from '../../../../lib/sys/kernel/errno.ts';
import { close } from '../../../../lib/sys/kernel/files.ts';
import { attachIdmapped } from '../../../../lib/sys/mounts/idmap.ts';
import { MS, mount, unmount } from '../../../../lib/sys/mounts/mount.ts';
import { mountOverlay } from '../../../../lib/sys/mounts/overlay.ts';
import { openUserNamespace } from '../../../../lib/sys/mounts/user-namespace.ts';
import { mountPointsBelow, type TempDir, tempDir } from '../../../support/temp.ts';
import { openDescriptors } from '../descriptors.ts';

const MAXIMUS = 4294967294;
const GARDEN: IdMappings = {
  uids: [
    { container: 0, host: MAXIMUS, size: 1 },
    { container: 1, host: 1, size: MAXIMUS - 1 },
  ],
  gids: [
    { container: 0, host: MAXIMUS, size: 1 },
    { container: 1, host: 1, size: MAXIMUS - 1 },
  ],
};

function placeIn(dir: TempDir): { pins: string; directories: string[] } {
  return { pins: dir.at('run', 'pins'), directories: [dir.at('run'), dir.at('run', 'pins')] };
}

/** The namespace's number, which `/proc` shows as `user:[number]`. The descriptor is closed. */
async function identity(mappings: IdMappings, directories: readonly string[]): Promise<number> {
  const fd = await openUserNamespace(mappings, directories);
  try {
    return fstatSync(fd).ino;
  } finally {
    close(fd);
  }
}

const numberOf = (kind: string) => statSync(`/proc/self/ns/${kind}`).ino;

describe('openUserNamespace', () => {
  test('gives the same namespace for the same mapping again, and another for another', async () => {
    await using dir = tempDir();
    const { pins, directories } = placeIn(dir);
    const first = await identity(GARDEN, directories);
    expect(first).not.toBe(numberOf('user'));
    expect(await identity(GARDEN, directories)).toBe(first);
    const other = { uids: [{ container: 0, host: 100000, size: 65536 }], gids: GARDEN.gids };
    expect(await identity(other, directories)).not.toBe(first);
    expect(mountPointsBelow(pins)).toHaveLength(2);
    for (const path of directories) expect(lstatSync(path).mode & 0o7777).toBe(0o700);
  });

  test('piles up no mounts when many ask at once', async () => {
    await using dir = tempDir();
    const { pins, directories } = placeIn(dir);
    const all = await Promise.all(Array.from({ length: 8 }, () => identity(GARDEN, directories)));
    expect(all).not.toContain(numberOf('user'));
    expect(mountPointsBelow(pins)).toHaveLength(1);
  });

  test('makes the pin again where only its file is left, as after a reboot', async () => {
    await using dir = tempDir();
    const { pins, directories } = placeIn(dir);
    await identity(GARDEN, directories);
    const [file = ''] = readdirSync(pins);
    unmount(`${pins}/${file}`);
    const second = await identity(GARDEN, directories);
    expect(await identity(GARDEN, directories)).toBe(second);
    expect(readdirSync(pins)).toEqual([file]);
    expect(mountPointsBelow(pins)).toHaveLength(1);
  });

  test('takes neither a link nor another kind of namespace for a pin', async () => {
    await using dir = tempDir();
    const { pins, directories } = placeIn(dir);
    await identity(GARDEN, directories);
    const [file = ''] = readdirSync(pins);
    unmount(`${pins}/${file}`);
    mount('/proc/self/ns/net', `${pins}/${file}`, '', MS.BIND);
    expect(await identity(GARDEN, directories)).not.toBe(numberOf('net'));
    while (mountPointsBelow(pins).length > 0) unmount(`${pins}/${file}`);
    rmSync(`${pins}/${file}`);
    symlinkSync('/proc/self/ns/user', `${pins}/${file}`);
    expect(await identity(GARDEN, directories)).not.toBe(numberOf('user'));
    expect(mountPointsBelow(pins)).toEqual([]);
  });

  test.each([
    ['another user owns', (path: string) => chownSync(path, 1000, 1000)],
    ['others can enter', (path: string) => chmodSync(path, 0o755)],
  ])('uses no directory that %s', async (_, spoil) => {
    await using dir = tempDir();
    const { pins, directories } = placeIn(dir);
    mkdirSync(pins, { recursive: true, mode: 0o700 });
    spoil(pins);
    expect(await identity(GARDEN, directories)).not.toBe(numberOf('user'));
    expect(readdirSync(pins)).toEqual([]);
  });

  test('works without a place for pins', async () => {
    await using dir = tempDir();
    writeFileSync(dir.at('file'), '');
    expect(await identity(GARDEN, [dir.at('file', 'pins')])).not.toBe(numberOf('user'));
    expect(mountPointsBelow(dir.path)).toEqual([]);
  });

  test('refuses a mapping that the kernel refuses, and leaves no descriptor and no pin', async () => {
    await using dir = tempDir();
    const { pins, directories } = placeIn(dir);
    const twice = { container: 0, host: 5, size: 1 };
    const bad = openUserNamespace({ uids: [twice, twice], gids: [] }, directories);
    await expect(bad).rejects.toBeInstanceOf(SysError);
    expect(openDescriptors((target) => target.startsWith('user:[') || target.startsWith(pins))).toEqual([]);
    expect(mountPointsBelow(dir.path)).toEqual([]);
  });
});

describe('an overlay over an idmapped clone', () => {
  async function stack(dir: TempDir, mappings: IdMappings): Promise<void> {
    mount('none', dir.path, 'tmpfs');
    for (const name of ['lower', 'clone', 'upper', 'work', 'merged']) mkdirSync(dir.at(name));
    writeFileSync(dir.at('lower', 'of-root'), 'root');
    writeFileSync(dir.at('lower', 'of-user'), 'user');
    chownSync(dir.at('lower', 'of-user'), 1000, 1000);
    const namespace = await openUserNamespace(mappings, placeIn(dir).directories);
    try {
      attachIdmapped(dir.at('lower'), dir.at('clone'), namespace);
    } finally {
      close(namespace);
    }
    mountOverlay({
      lowers: [dir.at('clone')],
      upper: dir.at('upper'),
      work: dir.at('work'),
      target: dir.at('merged'),
    });
  }
  const ownerOf = (path: string) => [lstatSync(path).uid, lstatSync(path).gid];

  test('shows mapped owners, and copies up with them', async () => {
    await using dir = tempDir();
    await stack(dir, GARDEN);
    expect(ownerOf(dir.at('merged', 'of-root'))).toEqual([MAXIMUS, MAXIMUS]);
    expect(ownerOf(dir.at('merged', 'of-user'))).toEqual([1000, 1000]);
    writeFileSync(dir.at('merged', 'of-root'), 'changed');
    expect(ownerOf(dir.at('upper', 'of-root'))).toEqual([MAXIMUS, MAXIMUS]);
    expect(ownerOf(dir.at('lower', 'of-root'))).toEqual([0, 0]);
  });

  test('needs the clone no longer, and nothing can be deleted through it', async () => {
    await using dir = tempDir();
    await stack(dir, GARDEN);
    expect(() => rmSync(dir.at('clone', 'of-root'))).toThrow(/EROFS/);
    unmount(dir.at('clone'));
    rmSync(dir.at('clone'), { recursive: true });
    expect(ownerOf(dir.at('merged', 'of-root'))).toEqual([MAXIMUS, MAXIMUS]);
    rmSync(dir.at('merged', 'of-root'));
    expect(readdirSync(dir.at('lower')).sort()).toEqual(['of-root', 'of-user']);
  });

  test('keeps groups as they are for a mapping of users alone', async () => {
    await using dir = tempDir();
    await stack(dir, { uids: GARDEN.uids, gids: [] });
    expect(ownerOf(dir.at('merged', 'of-root'))).toEqual([MAXIMUS, 0]);
    expect(ownerOf(dir.at('merged', 'of-user'))).toEqual([1000, 1000]);
  });
});
