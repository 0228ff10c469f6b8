/** The `User` of an image as ids: what Docker, containerd and umoci make of it, or an error. Never root by accident. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import type { IdMappings } from '../../../lib/base/id-mapping.ts';
import { accountFilesBelow } from '../../../lib/plugin/account-files.ts';
import { processUser } from '../../../lib/plugin/process-user.ts';
import { must } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';
import { refusal } from '../oci/support.ts';

const IDENTITY: IdMappings = { uids: [], gids: [] };
const PASSWD = `root:x:0:0:root:/root:/bin/sh
app:x:1000:1001:::
app:x:0:0:second entries do not count:/:
  spaced:x:7:7::: \r
1234:x:0:0:digits are an id:/:
broken:x:none:5:::
negative:x:-1:5:::
large:x:4294967296:5:::
nogroup:x:8::::
4294967296:x:0:0:::
`;
const GROUP = `root:x:0:
staff:x:50:app,other
wheel:x:10:root,app
app:x:1001:
broken:x:zero:app
huge:x:4294967295:app
77:x:0:
`;

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
  mkdirSync(dir.at('etc'));
  writeFileSync(dir.at('etc/passwd'), PASSWD);
  writeFileSync(dir.at('etc/group'), GROUP);
});
afterEach(() => dir.remove());

const userOf = (field: string, mappings = IDENTITY) =>
  processUser(field, accountFilesBelow(dir.path), mappings);
const reasonOf = (field: string, mappings = IDENTITY) => {
  const { user, reason } = refusal('IMAGE_USER', () => userOf(field, mappings));
  expect(user).toBe(field);
  return reason;
};

describe('a user that the image has', () => {
  test.each([
    ['', { uid: 0, gid: 0, additionalGids: [10] }],
    ['root', { uid: 0, gid: 0, additionalGids: [10] }],
    ['0', { uid: 0, gid: 0, additionalGids: [10] }],
    ['app', { uid: 1000, gid: 1001, additionalGids: [50, 10] }],
    ['app:', { uid: 1000, gid: 1001, additionalGids: [50, 10] }],
    ['1000', { uid: 1000, gid: 1001, additionalGids: [50, 10] }],
    ['app:staff', { uid: 1000, gid: 50 }],
    ['app:5', { uid: 1000, gid: 5 }],
    ['1000:staff', { uid: 1000, gid: 50 }],
    [':staff', { uid: 0, gid: 50 }],
    [':', { uid: 0, gid: 0, additionalGids: [10] }],
    ['spaced', { uid: 7, gid: 7 }],
  ])('%p', (field, user) => {
    expect(userOf(field)).toEqual(user);
  });
});

describe('a number', () => {
  test.each([
    ['5', { uid: 5, gid: 0 }],
    ['+5', { uid: 5, gid: 0 }],
    ['005:007', { uid: 5, gid: 7 }],
    ['1234', { uid: 1234, gid: 0 }],
    ['5:77', { uid: 5, gid: 77 }],
    ['2147483647:2147483647', { uid: 2147483647, gid: 2147483647 }],
  ])('%p needs no entry, and is no name', (field, user) => {
    expect(userOf(field)).toEqual(user);
    for (const name of ['passwd', 'group']) rmSync(dir.at(`etc/${name}`));
    expect(userOf(field)).toEqual(user);
  });

  test.each([
    '-1',
    '2147483648',
    '4294967294',
    '4294967295',
    '4294967296',
    '99999999999999999999999',
    '5:-1',
    '5:4294967296',
  ])('%p is no id, whatever names the files have', (field) => {
    expect(reasonOf(field)).toMatch(/is not an id from 0 to 2147483647$/);
  });
});

describe('refused is', () => {
  test.each([
    ['nosuch', 'it is not in /etc/passwd of the image'],
    ['nosuch:staff', 'it is not in /etc/passwd of the image'],
    ['nosuch:5', 'it is not in /etc/passwd of the image'],
    ['app:nosuch', 'its group is not in /etc/group of the image'],
    ['5:nosuch', 'its group is not in /etc/group of the image'],
    ['APP', 'it is not in /etc/passwd of the image'],
    ['1e3', 'it is not in /etc/passwd of the image'],
    ['0x0', 'it is not in /etc/passwd of the image'],
    [' app', 'it is not in /etc/passwd of the image'],
    ['broken', 'its entry in /etc/passwd has no valid ids'],
    ['negative', 'its entry in /etc/passwd has no valid ids'],
    ['large', 'its entry in /etc/passwd has no valid ids'],
    ['nogroup', 'its entry in /etc/passwd has no valid ids'],
    ['app:broken', 'the entry of its group in /etc/group has no valid id'],
    ['app:huge', 'the entry of its group in /etc/group has no valid id'],
    ['a:b:c', 'it has more than one colon'],
  ])('%p', (field, reason) => {
    expect(reasonOf(field)).toBe(reason);
  });

  test('any name where there is no file', () => {
    rmSync(dir.at('etc'), { recursive: true });
    expect(reasonOf('app')).toBe('the image has no /etc/passwd');
    expect(reasonOf('5:staff')).toBe('the image has no /etc/group');
    expect(userOf('')).toEqual({ uid: 0, gid: 0 });
  });

  test('an id that the store has no mapping for', () => {
    const ranges = [{ container: 0, host: 100_000, size: 1001 }];
    const mappings = { uids: ranges, gids: ranges };
    expect(reasonOf('app', mappings)).toBe("the store's gid mapping does not have 1001");
    expect(reasonOf('1001:5', mappings)).toBe("the store's uid mapping does not have 1001");
    expect(userOf('app:0', mappings)).toEqual({ uid: 1000, gid: 0 });
    writeFileSync(dir.at('etc/group'), 'far:x:5000:root\nnear:x:6:root\n');
    expect(userOf('root', mappings)).toEqual({ uid: 0, gid: 0, additionalGids: [6] });
  });
});

describe('files that are none', () => {
  const traps: [string, () => unknown, string][] = [
    ['a FIFO', () => must('mkfifo', [dir.at('etc/passwd')]), 'is not a regular file'],
    ['a directory', () => mkdirSync(dir.at('etc/passwd')), 'is not a regular file'],
    ['a link to itself', () => symlinkSync('passwd', dir.at('etc/passwd')), 'cannot be opened'],
    [
      'a file of 1 GiB',
      () => {
        writeFileSync(dir.at('etc/passwd'), PASSWD);
        truncateSync(dir.at('etc/passwd'), 2 ** 30);
      },
      'has more than 1048576 bytes',
    ],
  ];
  test.each(traps)('%s in place of passwd', async (_what, make, reason) => {
    rmSync(dir.at('etc/passwd'));
    await make();
    expect(reasonOf('app')).toBe(`/etc/passwd of the image ${reason}`);
    // The group of a number would be in the file, and 0 is not a guess to make.
    expect(reasonOf('5')).toBe(`/etc/passwd of the image ${reason}`);
    expect(userOf('')).toEqual({ uid: 0, gid: 0 });
  });

  test('a link leads nowhere but into the image', () => {
    rmSync(dir.at('etc/passwd'));
    // The machine's own file, which has a daemon.
    symlinkSync('/etc/../../../../etc/passwd-', dir.at('etc/passwd'));
    expect(reasonOf('daemon')).toBe('the image has no /etc/passwd');
    writeFileSync(dir.at('etc/passwd-'), 'daemon:x:3:4:::\n');
    expect(userOf('daemon')).toEqual({ uid: 3, gid: 4 });
  });

  test('a name is compared byte by byte', () => {
    writeFileSync(
      dir.at('etc/passwd'),
      Buffer.concat([Buffer.from('j\xf6rg:x:5:5:::\n', 'latin1'), Buffer.from('jörg:x:6:6:::\n')]),
    );
    expect(userOf('jörg')).toEqual({ uid: 6, gid: 6 });
    expect(reasonOf('j\ufffdrg')).toBe('it is not in /etc/passwd of the image');
  });
});
