/** Attributes that the kernel refuses, keeps without reading them again, or changes with the mode of a directory. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { lstatSync } from 'node:fs';
import { verifyTree } from '../../../../lib/layer/tree/verify-tree.ts';
import { lgetxattr } from '../../../../lib/sys/kernel/files.ts';
import { tar } from '../../../support/images/tar-writer.ts';
import { codeOf, requestIn, unpack } from '../../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

/** Without a mask, which an ACL with a named user needs. */
const NO_MASK = Buffer.from(
  '0200000001000700ffffffff020005000700000004000400ffffffff20000100ffffffff',
  'hex',
);

describe('a layer is refused for', () => {
  test.each([
    ['an ACL that is no valid one, for a file', 'system.posix_acl_access', NO_MASK, '0'],
    ['an ACL that is no valid one, for a directory', 'system.posix_acl_access', NO_MASK, '5'],
    ['an ACL for new files that is no valid one', 'system.posix_acl_default', NO_MASK, '5'],
    ['a capability of version 1', 'security.capability', Buffer.from('010000010020000000000000', 'hex'), '0'],
    ['an empty capability', 'security.capability', Buffer.alloc(0), '0'],
  ])('%s', async (_, name, value, type) => {
    const archive = tar([{ name: 'x', type, mode: 0o755, pax: { [`SCHILY.xattr.${name}`]: value } }]);
    expect(await codeOf(unpack(requestIn(dir.path), archive))).toBe('LAYER_BAD_XATTR');
  });
});

test('a setgid directory keeps its ACL, whatever the group bits of its mode say', async () => {
  const acl = Buffer.from(
    '0200000001000700ffffffff020005000700000004000400ffffffff10000500ffffffff20000100ffffffff',
    'hex',
  );
  const pax = { 'SCHILY.xattr.system.posix_acl_access': acl };
  const request = requestIn(dir.path);
  await unpack(
    request,
    tar([
      { name: 'd', type: '5', mode: 0o2775, pax },
      { name: 'd/f', content: 'x' },
    ]),
  );
  expect(lstatSync(`${request.target}/d`).mode & 0o7777).toBe(0o2751);
  expect(Buffer.from(lgetxattr(`${request.target}/d`, 'system.posix_acl_access') ?? [])).toEqual(acl);
  expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
});
