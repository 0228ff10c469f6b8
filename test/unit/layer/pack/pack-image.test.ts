/** Trees packed as EROFS images, read by the kernel and by fsck.erofs as the tree that was packed; the same bytes each time. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { packImage } from '../../../../lib/layer/pack/pack-image.ts';
import { lsetxattr, mknodAt } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../../../lib/sys/kernel/libc.ts';
import { S } from '../../../../lib/sys/kernel/stat.ts';
import { compareImage } from '../../../support/images/erofs.ts';
import { changeRandomly } from '../../../support/images/random-changes.ts';
import { codeOf } from '../../../support/images/unpack.ts';
import { must, sh } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
  mkdirSync(dir.at('tree'));
});
afterEach(async () => {
  await dir.remove();
});

const BLOCK = 4096;
const signal = new AbortController().signal;
const pack = (file: string, modes = new Map<string, number>()) =>
  packImage(dir.at('tree'), dir.at(file), { signal, modes });
const differences = async () => {
  await pack('image');
  return compareImage(dir.at('tree'), dir.at('image'), dir.at('mounted'));
};

describe('an image is the tree that was packed', () => {
  test('with all that a root filesystem can have', async () => {
    const at = dir.at('tree');
    await sh(
      `cd "$1"; mkdir -p b/deep a z; mkfifo a/pipe; ln -s ../nowhere a/link; printf content > b/file
       ln b/file a/second; ln b/file z/third; ln a/pipe z/pipe; ln a/link z/link; printf '' > empty
       printf x > "$(printf 'n\\377\\376')"; printf x > "$(printf 'n%.0s' $(seq 255))"
       chown 4000000000:2999999 b/file; chmod 6755 b/file; chmod 1777 z; chmod 0 empty
       touch -hd '1901-12-31 23:59:58.25 UTC' a/link; touch -d '@1600000000.123456789' b/file; chmod 0750 .`,
      [at],
    );
    lsetxattr(`${at}/b/file`, 'user.bytes', Uint8Array.of(0xff, 0x80, 0x00, 0x3d, 0x0a));
    lsetxattr(`${at}/b/file`, 'user.empty', new Uint8Array(0));
    const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
    lsetxattr(`${at}/b/file`, 'security.capability', capability);
    const acl = Buffer.from(
      '0200000001000700ffffffff02000500e803000004000500ffffffff10000500ffffffff20000500ffffffff',
      'hex',
    );
    lsetxattr(`${at}/z`, 'system.posix_acl_access', acl);
    lsetxattr(`${at}/z`, 'system.posix_acl_default', acl);
    lsetxattr(at, 'user.root', Buffer.from('x'));
    mknodAt(AT_FDCWD, `${at}/a/whiteout`, S.IFCHR);
    utimesSync(at, 1_500_000_000, 1_500_000_000);
    expect(await differences()).toEqual([]);
  });

  test('with nothing in it', async () => {
    expect(await differences()).toEqual([]);
  });

  test('with files of every size around a block, and what fits beside an inode of 64 bytes', async () => {
    const sizes = [1, 4031, 4032, 4033, 4095, 4096, 4097, 8127, 8128, 8129, 8192, 1_048_575, 1_048_577];
    for (const [i, size] of sizes.entries())
      writeFileSync(dir.at(`tree/f${size}`), Buffer.alloc(size, i + 1));
    // An attribute moves the limit.
    for (const size of [4000, 3996, 3992]) {
      writeFileSync(dir.at(`tree/x${size}`), Buffer.alloc(size, 7));
      lsetxattr(dir.at(`tree/x${size}`), 'user.name', Buffer.from('0123456789'));
    }
    for (const length of [1, 60, 1023]) symlinkSync('t'.repeat(length), dir.at(`tree/l${length}`));
    expect(await differences()).toEqual([]);
  });

  test('with directories of many blocks, whose names come on both sides of "." and ".."', async () => {
    for (const [name, count] of [
      ['many', 700],
      ['two', 40],
      ['one', 3],
    ] as const) {
      mkdirSync(dir.at('tree', name));
      for (let i = 0; i < count; i += 1) {
        const start = ['!', '-', '.', '..', '.a', '+', '0', 'z', '\u00e9'][i % 9] ?? '';
        writeFileSync(dir.at('tree', name, `${start}${i}${'n'.repeat(i % 100)}`), `${i}`);
      }
    }
    // A listing that fills its block to the last byte: `.` and `..` take 27 bytes, 15 names of 255 bytes 267 each.
    mkdirSync(dir.at('tree/full'));
    for (let i = 0; i < 15; i += 1)
      mkdirSync(dir.at('tree/full', `${String(i).padStart(3, '0')}${'d'.repeat(252)}`));
    writeFileSync(dir.at('tree/full', 'f'.repeat(BLOCK - 27 - 15 * 267 - 12)), '');
    expect(await differences()).toEqual([]);
  });

  test('with attributes larger than a block', async () => {
    for (const [name, values] of Object.entries({ a: [5000], b: [65_535, 65_535, 65_535], c: [4000, 100] })) {
      mkdirSync(dir.at(`tree/${name}-directory`));
      for (const path of [dir.at(`tree/${name}`), dir.at(`tree/${name}-directory`)]) {
        if (!path.endsWith('-directory')) writeFileSync(path, 'content');
        for (const [i, size] of values.entries()) lsetxattr(path, `user.${i}`, Buffer.alloc(size, i + 1));
      }
      writeFileSync(dir.at(`tree/${name}-next`), 'next');
    }
    expect(await differences()).toEqual([]);
  });

  test('with sparse files, whose holes take no disk', async () => {
    writeFileSync(dir.at('tree/sparse'), 'start');
    truncateSync(dir.at('tree/sparse'), 64 * 1024 * 1024 + 5);
    writeFileSync(dir.at('tree/sparse'), 'end', { flag: 'a' });
    writeFileSync(dir.at('tree/hole'), '');
    truncateSync(dir.at('tree/hole'), 8 * 1024 * 1024);
    writeFileSync(dir.at('tree/small-hole'), '');
    truncateSync(dir.at('tree/small-hole'), 100);
    expect(await differences()).toEqual([]);
    expect(statSync(dir.at('image')).blocks * 512).toBeLessThan(1024 * 1024);
  });

  test('where a directory has another mode in the image', async () => {
    mkdirSync(dir.at('tree/closed'));
    await pack('image', new Map([['closed', 0o100]]));
    chmodSync(dir.at('tree/closed'), 0o100);
    expect(await compareImage(dir.at('tree'), dir.at('image'), dir.at('mounted'))).toEqual([]);
  });
});

test('the same tree gives the same bytes, and dump.erofs counts its inodes', async () => {
  changeRandomly(dir.at('tree'), 9, 300);
  await pack('one');
  await pack('two');
  expect(readFileSync(dir.at('one')).equals(readFileSync(dir.at('two')))).toBe(true);
  const dump = await must('dump.erofs', ['-s', dir.at('one')]);
  const inodes = await sh('find "$1" -printf "%i\\n" | sort -u | wc -l', [dir.at('tree')]);
  expect(dump).toMatch(new RegExp(`inode count: +${inodes.trim()}\\b`, 'i'));
});

describe('an image is refused', () => {
  test('for attributes that the format has no room for', async () => {
    writeFileSync(dir.at('tree/file'), '');
    for (let i = 0; i < 5; i += 1) lsetxattr(dir.at('tree/file'), `user.${i}`, new Uint8Array(65_000));
    expect(await codeOf(pack('image'))).toBe('LAYER_BAD_XATTR');
  });

  test('for a value of 64 KiB, and for much at the root', async () => {
    writeFileSync(dir.at('tree/file'), '');
    lsetxattr(dir.at('tree/file'), 'user.large', new Uint8Array(65_536));
    expect(await codeOf(pack('image'))).toBe('LAYER_BAD_XATTR');
    await sh('rm "$1"', [dir.at('tree/file')]);
    lsetxattr(dir.at('tree'), 'user.large', new Uint8Array(3000));
    expect(await codeOf(pack('again'))).toBe('LAYER_BAD_XATTR');
  });

  test('over a file that exists, which stays', async () => {
    writeFileSync(dir.at('image'), 'mine');
    expect(await codeOf(pack('image'))).toBe('EEXIST');
    expect(readFileSync(dir.at('image'), 'utf8')).toBe('mine');
  });

  test('when the caller stops', async () => {
    for (let i = 0; i < 70; i += 1) writeFileSync(dir.at(`tree/${i}`), '');
    const stop = new AbortController();
    stop.abort(new Error('stopped'));
    const stopped = packImage(dir.at('tree'), dir.at('image'), { signal: stop.signal, modes: new Map() });
    expect(await stopped.catch((error: Error) => error.message)).toBe('stopped');
  });
});
