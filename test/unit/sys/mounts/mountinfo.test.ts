import { describe, expect, test } from 'bun:test';
import { mkdirSync, symlinkSync } from 'node:fs';
import { mount, unmount } from '../../../../lib/sys/mounts/mount.ts';
import {
  isMountRoot,
  type Mount,
  mountAt,
  mountOf,
  mountPathBytes,
  parseMountinfo,
  readMountinfo,
} from '../../../../lib/sys/mounts/mountinfo.ts';
import { tempDir } from '../../../support/temp.ts';
import { randomFrom } from '../random.ts';

const LINE = '36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue';

const parseText = (text: string) => parseMountinfo(Buffer.from(text, 'latin1'));

describe('parseMountinfo', () => {
  test('reads the example of proc_pid_mountinfo(5)', () => {
    expect(parseText(`${LINE}\n`)).toEqual([
      {
        id: 36,
        parent: 35,
        major: 98,
        minor: 0,
        root: '/mnt1',
        mountPoint: '/mnt2',
        options: ['rw', 'noatime'],
        fsType: 'ext3',
        source: '/dev/root',
        superOptions: ['rw', 'errors=continue'],
      },
    ]);
  });

  test.each([
    ['none', '36 35 98:0 / /mnt rw - tmpfs tmpfs rw'],
    ['two', '36 35 98:0 / /mnt rw shared:1 master:2 - tmpfs tmpfs rw'],
    ['unknown ones', '36 35 98:0 / /mnt rw shared:1 propagate_from:2 unbindable new:3 - tmpfs tmpfs rw'],
  ])('optional fields: %s', (_, line) => {
    expect(parseText(line)).toMatchObject([{ mountPoint: '/mnt', fsType: 'tmpfs', source: 'tmpfs' }]);
  });

  test('an empty source, as some filesystems are mounted with', () => {
    expect(parseText('36 35 0:5 / /mnt rw - tmpfs  rw,size=1k')).toMatchObject([
      { source: '', superOptions: ['rw', 'size=1k'] },
    ]);
  });

  test('a directory named - is no separator', () => {
    expect(parseText('36 35 0:5 - - - - tmpfs none rw')).toMatchObject([
      { root: '-', mountPoint: '-', fsType: 'tmpfs', source: 'none' },
    ]);
  });

  test('octal escapes, and what only looks like one', () => {
    const [found] = parseText('1 2 0:5 / /a\\040b\\011c\\012d\\134e\\043f\\9\\04 rw - tmpfs none rw');
    expect(found?.mountPoint).toBe('/a b\tc\nd\\e#f\\9\\04');
  });

  test('keeps every byte of a name that is not UTF-8, and equals no other name', () => {
    const names = [
      '\xff',
      '\xc3\xbf',
      '\xed\xb3\xbf',
      '\xc3',
      'a\xc3\xa9\xa9',
      '\xf0\x9f\x98\x80',
      '\xef\xbb\xbfx',
    ];
    const mounts = parseText(names.map((name) => `1 2 0:5 / /${name} rw - tmpfs none rw`).join('\n'));
    expect(mounts.map((found) => Buffer.from(mountPathBytes(found)).toString('latin1'))).toEqual(
      names.map((name) => `/${name}`),
    );
    expect(new Set(mounts.map((found) => found.mountPoint)).size).toBe(names.length);
    expect(mounts[1]?.mountPoint).toBe('/ÿ');
    expect(mounts[5]?.mountPoint).toBe('/😀');
  });

  test.each([
    ['', 'nothing'],
    ['\n\n\n', 'empty lines'],
    ['36 35 98:0 / /mnt rw', 'no separator'],
    ['36 35 98:0 / /mnt rw - tmpfs', 'no source'],
    ['36 35 98 / /mnt rw - tmpfs none rw', 'a device without minor'],
    ['x 35 98:0 / /mnt rw - tmpfs none rw', 'an id that is no number'],
    ['- - - - - - - - -', 'dashes'],
  ])('leaves out %j: %s', (line) => {
    expect(parseText(`${line}\n${LINE}`)).toEqual(parseText(LINE));
  });

  test('reads back whatever the kernel may write (1000 tables)', () => {
    const seed = Number(process.env['SEED'] ?? 20_260_101);
    const random = randomFrom(seed);
    const pick = (n: number) => Math.floor(random() * n);
    const bytes = () => Buffer.from(Array.from({ length: 1 + pick(40) }, () => 1 + pick(255)));
    for (let table = 0; table < 1000; table += 1) {
      const wanted = Array.from({ length: pick(6) }, () => ({
        path: bytes(),
        source: bytes(),
        tags: pick(4),
      }));
      const text = wanted
        .map(({ path, source, tags }, i) => {
          const optional = Array.from({ length: tags }, (_, tag) => ` tag:${tag}`).join('');
          return `${i} ${i} 0:${i} / ${escaped(path)} rw${optional} - tmpfs ${escaped(source)} rw\n`;
        })
        .join('');
      const found = parseText(text);
      expect(
        found.map((one) => hex(mountPathBytes(one))),
        `SEED=${seed}`,
      ).toEqual(wanted.map(({ path }) => hex(path)));
      expect(
        found.map((one) => hex(sourceBytes(one))),
        `SEED=${seed}`,
      ).toEqual(wanted.map(({ source }) => hex(source)));
    }
  });

  test('takes any bytes at all without an error (2000 damaged tables)', () => {
    const random = randomFrom(7);
    const pick = (n: number) => Math.floor(random() * n);
    const good = Buffer.from(Array.from({ length: 5 }, () => LINE).join('\n'));
    for (let round = 0; round < 2000; round += 1) {
      const bytes = Buffer.from(good.subarray(0, pick(good.length + 1)));
      for (let hits = pick(8); hits > 0 && bytes.length > 0; hits -= 1) bytes[pick(bytes.length)] = pick(256);
      for (const found of parseMountinfo(bytes)) {
        expect([found.id, found.parent, found.major, found.minor].every(Number.isSafeInteger)).toBe(true);
        mountPathBytes(found);
      }
    }
  });
});

/** As the kernel's mangle() does (fs/proc_namespace.c). */
function escaped(bytes: Uint8Array): string {
  return Buffer.from(bytes)
    .toString('latin1')
    .replace(/[ \t\n\\#]/g, (c) => `\\${c.charCodeAt(0).toString(8).padStart(3, '0')}`);
}
function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
function sourceBytes(found: Mount): Uint8Array {
  return mountPathBytes({ ...found, mountPoint: found.source });
}

describe('the mounts of this machine', () => {
  test('are all there, each with its id and parent', async () => {
    const mounts = readMountinfo();
    const { readFileSync } = await import('node:fs');
    const lines = readFileSync('/proc/self/mountinfo', 'latin1').split('\n').filter(Boolean);
    expect(mounts.map(({ id }) => id)).toEqual(lines.map((line) => Number(line.split(' ')[0])));
    expect(mounts.find(({ mountPoint }) => mountPoint === '/proc')?.fsType).toBe('proc');
  });

  test.each([
    'plain',
    'with blank',
    'tab\there',
    'new\nline',
    'back\\slash',
    '\\040',
    '#hash',
    'ünïcödé 😀',
    'comma,colon:',
    '-',
  ])('finds what is mounted at %j', async (name) => {
    await using dir = tempDir();
    const at = dir.at(name);
    mkdirSync(at);
    expect(isMountRoot(at)).toBe(false);
    expect(mountAt(at)).toBeUndefined();
    mount('a source', at, 'tmpfs');
    try {
      expect(isMountRoot(at)).toBe(true);
      expect(mountAt(at)).toMatchObject({ mountPoint: at, fsType: 'tmpfs', source: 'a source' });
      mkdirSync(`${at}/sub`);
      expect(mountOf(`${at}/sub`)).toEqual(mountAt(at));
      expect(mountAt(`${at}/sub`)).toBeUndefined();
    } finally {
      unmount(at);
    }
    expect(mountAt(at)).toBeUndefined();
  });

  test('a mount point of bytes that are no text can be unmounted by its bytes', async () => {
    await using dir = tempDir();
    const at = Buffer.concat([Buffer.from(`${dir.path}/`), Buffer.from([0x61, 0xff, 0xc3, 0x20])]);
    mkdirSync(at);
    mount('none', at, 'tmpfs');
    const found = readMountinfo().find((one) => Buffer.compare(mountPathBytes(one), at) === 0);
    expect(found?.fsType).toBe('tmpfs');
    if (found) unmount(mountPathBytes(found));
    expect(isMountRoot(at)).toBe(false);
  });

  test('the topmost of stacked mounts, and none that another one hides', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('a/b'), { recursive: true });
    mount('first', dir.at('a'), 'tmpfs');
    mkdirSync(dir.at('a/b'));
    mount('inner', dir.at('a/b'), 'tmpfs');
    mount('second', dir.at('a'), 'tmpfs');
    expect(mountAt(dir.at('a'))?.source).toBe('second');
    expect(mountAt(dir.at('a/b'))).toBeUndefined();
    unmount(dir.at('a'));
    expect(mountAt(dir.at('a'))?.source).toBe('first');
    expect(mountAt(dir.at('a/b'))?.source).toBe('inner');
  });

  test('a link to a mount point is no mount point', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('a'));
    mount('none', dir.at('a'), 'tmpfs');
    symlinkSync('a', dir.at('link'));
    expect(isMountRoot(dir.at('link'))).toBe(false);
    expect(mountAt(dir.at('link'))).toBeUndefined();
  });

  test('what does not exist has no mount', async () => {
    await using dir = tempDir();
    expect(mountAt(dir.at('missing'))).toBeUndefined();
    expect(() => isMountRoot(dir.at('missing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
    expect(() => mountOf(dir.at('missing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});
