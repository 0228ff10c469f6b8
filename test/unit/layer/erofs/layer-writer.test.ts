/** Layers that are peculiar, written as EROFS images: the same as the tree that the kernel makes of them, or the same refusal. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { layerCase, wholeCase } from '../../../fuzz/layer-image-fuzz.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

const HOST = { uids: [], gids: [] };
const F = (name: string, more: Partial<EntrySpec> = {}): EntrySpec => ({ name, content: name, ...more });
const D = (name: string, more: Partial<EntrySpec> = {}): EntrySpec => ({
  name,
  type: '5',
  mode: 0o755,
  ...more,
});
const L = (name: string, link: string, type = '2'): EntrySpec => ({ name, type, link });

async function same(entries: readonly EntrySpec[]): Promise<void> {
  expect(await layerCase(tar([...entries]), dir.at('layer'), HOST)).toEqual([]);
  expect(await wholeCase(tar([...entries]), dir.at('whole'))).toEqual([]);
}

/** Entries of an ACL: tag, permissions, id. */
function acl(...entries: readonly (readonly [tag: number, permissions: number, id?: number])[]): Buffer {
  const bytes = Buffer.alloc(4 + 8 * entries.length);
  bytes.writeUInt32LE(2, 0);
  for (const [i, [tag, permissions, id = 0xffff_ffff]] of entries.entries()) {
    bytes.writeUInt16LE(tag, 4 + 8 * i);
    bytes.writeUInt16LE(permissions, 6 + 8 * i);
    bytes.writeUInt32LE(id, 8 + 8 * i);
  }
  return bytes;
}
const [USER_OBJECT, USER, GROUP_OBJECT, GROUP, MASK, OTHER] = [1, 2, 4, 8, 16, 32] as const;
const ACCESS = 'SCHILY.xattr.system.posix_acl_access';
const DEFAULT = 'SCHILY.xattr.system.posix_acl_default';
const BASE = [
  [USER_OBJECT, 6],
  [GROUP_OBJECT, 4],
  [OTHER, 0],
] as const;

describe('an ACL is kept, changes the mode or is refused as the kernel does', () => {
  test.each([
    [
      'a named user and a mask',
      acl([USER_OBJECT, 7], [USER, 5, 7], [GROUP_OBJECT, 4], [MASK, 5], [OTHER, 1]),
    ],
    [
      'the same user twice',
      acl([USER_OBJECT, 7], [USER, 5, 7], [USER, 5, 7], [GROUP_OBJECT, 4], [MASK, 5], [OTHER, 1]),
    ],
    ['only what the mode says', acl(...BASE)],
    ['a mask without names', acl([USER_OBJECT, 6], [GROUP_OBJECT, 4], [MASK, 2], [OTHER, 0])],
    ['no entries', acl()],
    ['a name without a mask', acl([USER_OBJECT, 7], [USER, 5, 7], [GROUP_OBJECT, 4], [OTHER, 1])],
    ['another order', acl([GROUP_OBJECT, 4], [USER_OBJECT, 6], [OTHER, 0])],
    ['no others', acl([USER_OBJECT, 6], [GROUP_OBJECT, 4])],
    ['two owners', acl([USER_OBJECT, 6], [USER_OBJECT, 6], [GROUP_OBJECT, 4], [OTHER, 0])],
    ['an unknown tag', acl(...BASE, [64, 0])],
    ['permissions that do not exist', acl([USER_OBJECT, 8], [GROUP_OBJECT, 4], [OTHER, 0])],
    [
      'groups before the group',
      acl([USER_OBJECT, 7], [GROUP, 5, 7], [GROUP_OBJECT, 4], [MASK, 5], [OTHER, 1]),
    ],
  ])('%s', async (_, value) => {
    for (const more of [
      { [ACCESS]: value },
      { [DEFAULT]: value },
      { [ACCESS]: value, [DEFAULT]: acl(...BASE) },
    ]) {
      await same([F('file', { mode: 0o4751, pax: more })]);
      await same([D('dir', { mode: 0o2755, pax: more }), F('dir/f')]);
    }
  });
});

describe('an attribute is kept, dropped or refused as the kernel does', () => {
  const CAPABILITY = Buffer.from('0100000200200000ff00000000000000ff000000', 'hex');
  const VERSION_3 = Buffer.concat([Buffer.from('01000003', 'hex'), CAPABILITY.subarray(4), Buffer.alloc(4)]);
  test.each([
    ['a capability', 'security.capability', CAPABILITY],
    ['a capability of version 3', 'security.capability', VERSION_3],
    ['a capability of version 1', 'security.capability', Buffer.from('010000010020000000000000', 'hex')],
    ['a capability that is cut', 'security.capability', CAPABILITY.subarray(0, 19)],
    ['an empty capability', 'security.capability', Buffer.alloc(0)],
    ['a capability without a version', 'security.capability', Buffer.alloc(20)],
    ['an attribute of the user', 'user.note', Buffer.from([0xff, 0])],
    ['an attribute without a name', 'user.', Buffer.from('x')],
    ['a label', 'security.selinux', Buffer.from('label')],
    ['what overlayfs obeys', 'trusted.overlay.opaque', Buffer.from('y')],
  ])('%s', async (_, name, value) => {
    const pax = { [`SCHILY.xattr.${name}`]: value };
    await same([F('file', { pax })]);
    await same([D('dir', { pax })]);
    await same([{ ...L('link', 'x'), pax }]);
    await same([{ name: 'pipe', type: '6', pax }]);
  });
});

describe('names', () => {
  test.each<[string, EntrySpec[]]>([
    ['a directory in place of a file and back', [F('a'), D('a'), F('a/b'), F('a'), D('a'), F('a/c')]],
    [
      'hard links whose other names are replaced',
      [F('a'), L('b', 'a', '1'), L('c', 'b', '1'), F('a'), D('b')],
    ],
    ['a link that removes its own target', [D('d'), F('d/f'), L('d', 'd/f', '1')]],
    [
      'links forward, in a chain and in a ring',
      [L('a', 'b', '1'), L('b', 'c', '1'), F('c'), L('x', 'y', '1'), L('y', 'x', '1')],
    ],
    ['a link to a directory', [D('d'), L('l', 'd', '1')]],
    [
      'names through links',
      [L('l', 'd/e'), F('l/f'), L('m', '/l/../..//d'), F('m/g'), L('d/e/up', '../../d'), F('d/e/up/h')],
    ],
    ['a ring of symbolic links', [L('a', 'b'), L('b', 'a'), F('a/x')]],
    [
      'a whiteout, and the name again',
      [D('d'), { name: 'd/.wh.f' }, F('d/f'), { name: '.wh.e' }, D('e'), F('e/x')],
    ],
    ['a whiteout of what the layer has', [D('d'), F('d/f'), { name: '.wh.d' }, F('f'), { name: '.wh.f' }]],
    [
      'markers for nothing',
      [{ name: 'a/b/.wh.c' }, { name: '.wh.a' }, { name: 'x/y/.wh..wh..opq' }, F('f'), { name: 'f/.wh.g' }],
    ],
    [
      'opaque directories in each other',
      [{ name: 'a/.wh..wh..opq' }, { name: 'a/b/.wh.c' }, { name: 'a/d/.wh..wh..opq' }, F('a/d/f')],
    ],
    ['an opaque root', [{ name: '.wh..wh..opq' }, { name: '.wh.x' }, F('f')]],
    [
      "AUFS's names",
      [D('.wh..wh.plnk'), F('.wh..wh.plnk/1'), L('a', '.wh..wh.plnk/1', '1'), F('.wh..wh.aufs')],
    ],
    ['the root, twice', [D('./', { mode: 0o700, uid: 5 }), F('f'), D('./', { mode: 0o711, gid: 6 })]],
    ['a file in place of the root', [F('./')]],
    ['a way out', [F('../x')]],
  ])('%s', async (_, entries) => {
    await same(entries);
  });
});
