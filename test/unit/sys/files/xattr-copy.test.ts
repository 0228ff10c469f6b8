import { describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, statSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { copyDirectoryAttributes, copyXattrs, isCarried } from '../../../../lib/sys/files/xattr-copy.ts';
import {
  chmodAt,
  chownAt,
  close,
  lgetxattr,
  llistxattr,
  lsetxattr,
  openDir,
  utimesAt,
} from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../../../lib/sys/kernel/libc.ts';
import { mount } from '../../../../lib/sys/mounts/mount.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

/** A POSIX ACL as the kernel stores it (linux/posix_acl_xattr.h): user::rwx user:1234:r-x group::r-x mask::r-x other::--- */
const ACL = aclOf([
  [0x01, 7, -1],
  [0x02, 5, 1234],
  [0x04, 5, -1],
  [0x10, 5, -1],
  [0x20, 0, -1],
]);
function aclOf(entries: [tag: number, permissions: number, id: number][]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  for (const [i, [tag, permissions, id]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * i);
    bytes.writeUInt16LE(permissions, 6 + 8 * i);
    bytes.writeInt32LE(id, 8 + 8 * i);
  }
  return bytes;
}

function twoDirs(dir: TempDir): { from: string; to: string } {
  for (const name of ['from', 'to']) mkdirSync(dir.at(name));
  return { from: dir.at('from'), to: dir.at('to') };
}

function namesOf(path: string): string[] {
  return llistxattr(path)
    .map((name) => Buffer.from(name).toString('latin1'))
    .sort();
}

function withDir<T>(path: string, use: (fd: number) => T): T {
  const fd = openDir(path);
  try {
    return use(fd);
  } finally {
    close(fd);
  }
}

describe('isCarried', () => {
  test.each([
    'user.a',
    'user.xdg.origin',
    'security.capability',
    'system.posix_acl_access',
    'system.posix_acl_default',
  ])('%s', (name) => expect(isCarried(Buffer.from(name))).toBe(true));
  test.each([
    'trusted.overlay.opaque',
    'trusted.overlay.redirect',
    'trusted.anything',
    'user.overlay.opaque',
    'user.overlay.redirect',
    'security.selinux',
    'security.ima',
    'security.capability2',
    'system.posix_acl_accessory',
    'system.nfs4_acl',
    'useroverlay',
    '',
  ])('not %j', (name) => expect(isCarried(Buffer.from(name))).toBe(false));
});

describe('copyXattrs', () => {
  test('carries values bit by bit, and nothing that overlayfs would obey', async () => {
    await using dir = tempDir();
    const { from, to } = twoDirs(dir);
    const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    lsetxattr(from, 'user.binary', binary);
    lsetxattr(from, 'user.empty', new Uint8Array());
    lsetxattr(from, Buffer.from('user.\xff\xfe', 'latin1'), Buffer.from('x'));
    lsetxattr(from, 'trusted.overlay.opaque', Buffer.from('y'));
    lsetxattr(from, 'trusted.overlay.redirect', Buffer.from('/etc'));
    lsetxattr(from, 'user.overlay.opaque', Buffer.from('y'));
    lsetxattr(from, 'trusted.secret', Buffer.from('x'));
    expect(withDir(to, (fd) => copyXattrs(from, fd))).toBe(3);
    expect(namesOf(to)).toEqual(['user.binary', 'user.empty', 'user.\xff\xfe']);
    expect(Buffer.from(lgetxattr(to, 'user.binary') ?? []).equals(binary)).toBe(true);
    expect(lgetxattr(to, 'user.empty')).toEqual(new Uint8Array());
  });

  test('takes the caller’s choice instead', async () => {
    await using dir = tempDir();
    const { from, to } = twoDirs(dir);
    lsetxattr(from, 'user.a', Buffer.from('1'));
    lsetxattr(from, 'trusted.b', Buffer.from('2'));
    const trusted = (name: Uint8Array) => Buffer.from(name).toString().startsWith('trusted.');
    expect(withDir(to, (fd) => copyXattrs(from, fd, trusted))).toBe(1);
    expect(namesOf(to)).toEqual(['trusted.b']);
  });

  test('where user attributes cannot be kept, the rest still is; anything else that cannot is an error', async () => {
    await using dir = tempDir();
    const { from } = twoDirs(dir);
    mkdirSync(dir.at('m'));
    // ramfs keeps no attributes at all.
    mount('none', dir.at('m'), 'ramfs');
    lsetxattr(from, 'user.a', Buffer.from('1'));
    expect(withDir(dir.at('m'), (fd) => copyXattrs(from, fd))).toBe(0);
    lsetxattr(from, 'system.posix_acl_default', ACL);
    expect(() => withDir(dir.at('m'), (fd) => copyXattrs(from, fd))).toThrow(
      expect.objectContaining({ code: 'EOPNOTSUPP' }),
    );
  });
});

describe('copyDirectoryAttributes', () => {
  test.each([
    { mode: 0o1777, uid: 0, gid: 0, sec: 1_700_000_000, nsec: 123_456_789 },
    { mode: 0o6755, uid: 1000, gid: 2000, sec: 0, nsec: 0 },
    { mode: 0o2070, uid: 4_294_967_294, gid: 4_294_967_294, sec: 1, nsec: 999_999_999 },
    { mode: 0o0000, uid: 65_534, gid: 65_534, sec: -1, nsec: 1 },
    { mode: 0o0711, uid: 1, gid: 2, sec: -86_400 * 365, nsec: 0 },
  ])('$mode $uid:$gid $sec.$nsec', async ({ mode, uid, gid, sec, nsec }) => {
    await using dir = tempDir();
    const { from, to } = twoDirs(dir);
    chownAt(AT_FDCWD, from, uid, gid);
    chmodAt(AT_FDCWD, from, mode);
    utimesAt(AT_FDCWD, from, { sec, nsec });
    withDir(to, (fd) => copyDirectoryAttributes(from, fd));
    const [wanted, got] = [from, to].map((path) => {
      const stat = statSync(path, { bigint: true });
      return [stat.mode, stat.uid, stat.gid, stat.mtimeNs];
    });
    expect(got).toEqual(wanted ?? []);
    expect(Number(wanted?.[0] ?? 0n) & 0o7777).toBe(mode);
  });

  test('an ACL comes over whole, and with it the group’s bits', async () => {
    await using dir = tempDir();
    const { from, to } = twoDirs(dir);
    lsetxattr(from, 'system.posix_acl_access', ACL);
    lsetxattr(from, 'system.posix_acl_default', ACL);
    withDir(to, (fd) => copyDirectoryAttributes(from, fd));
    for (const name of ['system.posix_acl_access', 'system.posix_acl_default']) {
      expect(Buffer.from(lgetxattr(to, name) ?? []).toString('hex')).toBe(ACL.toString('hex'));
    }
    expect(statSync(to).mode).toBe(statSync(from).mode);
  });

  test('attributes do not spoil the time', async () => {
    await using dir = tempDir();
    const { from, to } = twoDirs(dir);
    lsetxattr(from, 'user.a', Buffer.alloc(2000));
    utimesSync(from, 1000, 1000);
    withDir(to, (fd) => copyDirectoryAttributes(from, fd));
    expect(statSync(to).mtimeMs).toBe(1_000_000);
  });

  test('a link is not followed', async () => {
    await using dir = tempDir();
    const { to } = twoDirs(dir);
    writeFileSync(dir.at('secret'), '');
    lsetxattr(dir.at('secret'), 'user.secret', Buffer.from('1'));
    symlinkSync('secret', dir.at('link'));
    withDir(to, (fd) => copyDirectoryAttributes(dir.at('link'), fd));
    expect(namesOf(to)).toEqual([]);
    expect(lstatSync(dir.at('link')).isSymbolicLink()).toBe(true);
  });

  test('what is missing is an error', async () => {
    await using dir = tempDir();
    const { to } = twoDirs(dir);
    expect(() => withDir(to, (fd) => copyDirectoryAttributes(dir.at('missing'), fd))).toThrow(
      expect.objectContaining({ code: 'ENOENT' }),
    );
  });
});
