import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import { lstatSync, mkdirSync, readdirSync, readlinkSync } from 'node:fs';
import { verifyTree } from '../../../../lib/layer/tree/verify-tree.ts';
import { lgetxattr, lsetxattr } from '../../../../lib/sys/kernel/files.ts';
import { compareTrees } from '../../../support/images/compare-trees.ts';
import { type EntrySpec, longName, tar, zeros } from '../../../support/images/tar-writer.ts';
import {
  codeOf,
  failureOf,
  listTree,
  openBelow,
  requestIn,
  sha256,
  unpack,
} from '../../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

async function tree(entries: readonly (EntrySpec | Uint8Array)[], changes = {}) {
  const request = requestIn(dir.path, changes);
  const result = await unpack(request, tar(entries));
  expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
  return { result, at: (name: string) => `${request.target}/${name}`, names: listTree(request.target) };
}

const D = (name: string, rest: Partial<EntrySpec> = {}): EntrySpec => ({ name, type: '5', ...rest });
const F = (name: string, content = '', rest: Partial<EntrySpec> = {}): EntrySpec => ({
  name,
  content,
  ...rest,
});
const L = (name: string, link: string): EntrySpec => ({ name, type: '2', link });
const H = (name: string, link: string): EntrySpec => ({ name, type: '1', link });

/** Read, write and search for user 7 (linux/posix_acl_xattr.h). */
const ACL = Buffer.from(
  '0200000001000700ffffffff0200070007000000040005' + '00ffffffff10000700ffffffff20000500ffffffff',
  'hex',
);
/** VFS_CAP_REVISION_2 with cap_net_raw, as `setcap cap_net_raw+ep` writes it; no valid UTF-8. */
const CAPABILITY = Buffer.from('0100000200200000ff00000000000000ff000000', 'hex');

describe('modes, owners and times', () => {
  test('setuid, setgid and sticky stay, on files and directories, also for other owners', async () => {
    const { names } = await tree([
      F('su', 'x', { mode: 0o4755 }),
      F('wall', 'x', { mode: 0o2755, uid: 7, gid: 5 }),
      F('ping', 'x', { mode: 0o6711, uid: 9 }),
      D('tmp', { mode: 0o1777 }),
      D('shared', { mode: 0o2775, gid: 50 }),
      F('shared/inside', 'x', { mode: 0o664 }),
      D('shared/sub', { mode: 0o700 }),
      F('shared/sub/deep', '', { mode: 0o666 }),
    ]);
    expect(names).toEqual({
      '/': 'd 755 0:0',
      ping: 'f 6711 9:0 x',
      shared: 'd 2775 0:50',
      'shared/inside': 'f 664 0:0 x',
      'shared/sub': 'd 700 0:0',
      'shared/sub/deep': 'f 666 0:0 ',
      su: 'f 4755 0:0 x',
      tmp: 'd 1777 0:0',
      wall: 'f 2755 7:5 x',
    });
  });

  test('a setgid directory that is met again hands its group to nobody', async () => {
    const many = Array.from({ length: 80 }, (_, i) => D(`other${i}`));
    const { names } = await tree([
      D('s', { mode: 0o2777, gid: 33 }),
      ...many,
      F('s/late', ''),
      D('s/dir'),
      F('s/dir/x', ''),
    ]);
    expect(names).toMatchObject({
      s: 'd 2777 0:33',
      's/late': 'f 644 0:0 ',
      's/dir': 'd 755 0:0',
      's/dir/x': 'f 644 0:0 ',
    });
  });

  test('files below directories without any permission, and the permissions at the end', async () => {
    const { names } = await tree([
      D('no', { mode: 0 }),
      F('no/file', 'x', { mode: 0 }),
      D('no/sub', { mode: 0o100 }),
    ]);
    expect(names).toMatchObject({ no: 'd 0 0:0', 'no/file': 'f 0 0:0 x', 'no/sub': 'd 100 0:0' });
  });

  test('nanoseconds and times before 1970, on files, directories, links and FIFOs', async () => {
    const mtime = (value: string) => ({ pax: { mtime: value } });
    const { at } = await tree([
      D('dir', mtime('1234567890.000000001')),
      F('dir/file', 'x', mtime('-1.5')),
      { ...L('dir/link', 'nowhere'), ...mtime('0.999999999') },
      { name: 'dir/fifo', type: '6', ...mtime('86400.25') },
      F('dir/again', 'x', { mtime: Buffer.from([0xff, ...Array(10).fill(0xff), 0xfe]) }),
    ]);
    const ns = (name: string) => lstatSync(at(name), { bigint: true }).mtimeNs;
    expect(ns('dir')).toBe(1_234_567_890_000_000_001n);
    expect(ns('dir/file')).toBe(-1_500_000_000n);
    expect(ns('dir/link')).toBe(999_999_999n);
    expect(ns('dir/fifo')).toBe(86_400_250_000_000n);
    expect(ns('dir/again')).toBe(-2_000_000_000n);
  });

  test('directories keep their times whatever comes later, in any order, also through links', async () => {
    const old = { mtime: 1000 };
    const many = Array.from({ length: 120 }, (_, i) => F(`d/${i % 60}/f${i}`, '', old));
    const { at } = await tree([
      D('d', old),
      ...Array.from({ length: 60 }, (_, i) => D(`d/${i}`, { mtime: 2000 + i })),
      L('alias', 'd/3'),
      ...many,
      F('alias/through', ''),
      H('d/7/hard', 'd/1/f1'),
      F('d/5/.wh.gone', ''),
    ]);
    for (let i = 0; i < 60; i += 1) expect(lstatSync(at(`d/${i}`)).mtimeMs).toBe((2000 + i) * 1000);
    expect(lstatSync(at('d')).mtimeMs).toBe(1_000_000);
    expect(lstatSync(at('d/3/through')).isFile()).toBe(true);
  });

  test('owners go through the mapping, those of ACLs and capabilities too', async () => {
    const acl = Buffer.from(
      '0200000001000600ffffffff02000700070000000400040' + '0ffffffff10000700ffffffff20000400ffffffff',
      'hex',
    );
    const version3 = Buffer.concat([
      Buffer.from('01000003', 'hex'),
      CAPABILITY.subarray(4),
      Buffer.from([7, 0, 0, 0]),
    ]);
    const ranges = [
      { container: 0, host: 100_000, size: 10 },
      { container: 65534, host: 200_000, size: 1 },
    ];
    const { names, at } = await tree(
      [
        D('d', { uid: 1, gid: 2 }),
        F('d/f', 'x', {
          uid: 9,
          gid: 65534,
          pax: { 'SCHILY.xattr.system.posix_acl_access': acl },
          mode: 0o674,
        }),
        F('d/cap', 'x', { pax: { 'SCHILY.xattr.security.capability': version3 } }),
        { ...L('l', 'd'), uid: 3 },
        F('implied/x', ''),
      ],
      { mappings: { uids: ranges, gids: ranges } },
    );
    expect(names).toMatchObject({
      '/': 'd 755 100000:100000',
      d: 'd 755 100001:100002',
      'd/f': 'f 674 100009:200000 x',
      implied: 'd 755 100000:100000',
      'implied/x': 'f 644 100000:100000 ',
    });
    expect(lstatSync(at('l')).uid).toBe(100_003);
    const stored = Buffer.from(lgetxattr(at('d/f'), 'system.posix_acl_access') ?? []);
    expect(stored.readUInt32LE(4 + 8 + 4)).toBe(100_007);
    const capability = Buffer.from(lgetxattr(at('d/cap'), 'security.capability') ?? []);
    expect(capability.readUInt32LE(20)).toBe(100_007);
  });
});

describe('names', () => {
  test('every byte from 1 to 255 but the slash, as name, link target and in PAX', async () => {
    const all = Buffer.from(Array.from({ length: 255 }, (_, i) => i + 1).filter((byte) => byte !== 0x2f));
    const name = all.subarray(0, 99);
    const rest = all.subarray(99, 254);
    const request = requestIn(dir.path);
    await unpack(
      request,
      tar([
        { name },
        { name: 'p', pax: { path: rest } },
        { name: 'link', type: '2', pax: { linkpath: all } },
      ]),
    );
    const found = readdirSync(request.target, { encoding: 'buffer' })
      .map((one) => one.toString('hex'))
      .sort();
    expect(found).toEqual(
      [name.toString('hex'), rest.toString('hex'), Buffer.from('link').toString('hex')].sort(),
    );
    expect(readlinkSync(`${request.target}/link`, { encoding: 'buffer' }).equals(all)).toBe(true);
    expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
  });

  test('long names in GNU and PAX form, the prefix field, and no prefix in GNU headers', async () => {
    const long = `${'a'.repeat(120)}/${'b'.repeat(120)}`;
    const { names } = await tree([
      longName(`gnu/${long}`),
      F('cut', '1'),
      longName('target'.repeat(40), 'K'),
      L('link', 'cut'),
      F('cut', '2', { pax: { path: `pax/${long}` } }),
      F('file', '3', { prefix: 'with/prefix' }),
      F('gnu-file', '4', { format: 'gnu', prefix: '00000000000' }),
      F('old', '5', { format: 'v7', prefix: 'ignored' }),
    ]);
    expect(names[`gnu/${long}`]).toBe('f 644 0:0 1');
    expect(names['link']).toBe(`l -> ${'target'.repeat(40)}`);
    expect(names[`pax/${long}`]).toBe('f 644 0:0 2');
    expect(names['with/prefix/file']).toBe('f 644 0:0 3');
    expect(names['gnu-file']).toBe('f 644 0:0 4');
    expect(names['old']).toBe('f 644 0:0 5');
  });

  test('a prefix in GNU headers, as Go wrote before version 1.8, where no times can be meant', async () => {
    const { names } = await tree([
      F('text', '1', { format: 'gnu', prefix: 'opt/app/node_modules' }),
      F('short', '2', { format: 'gnu', prefix: 'a' }),
      F('times', '3', { format: 'gnu', prefix: '14070000000\x0014070000001\0' }),
      F('one-time', '4', { format: 'gnu', prefix: '14070000000\0directory' }),
      F('digits', '5', { format: 'gnu', prefix: '12345670' }),
      F('accent', '6', { format: 'gnu', prefix: 'caf\u00e9' }),
      F('binary', '7', { format: 'gnu', prefix: Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0x78]) }),
    ]);
    expect(Object.entries(names).filter(([, what]) => what.startsWith('f'))).toEqual([
      ['14070000000/one-time', 'f 644 0:0 4'],
      ['a/short', 'f 644 0:0 2'],
      ['accent', 'f 644 0:0 6'],
      ['binary', 'f 644 0:0 7'],
      ['digits', 'f 644 0:0 5'],
      ['opt/app/node_modules/text', 'f 644 0:0 1'],
      ['times', 'f 644 0:0 3'],
    ]);
  });

  test('directories of old archives are files with a slash', async () => {
    const { names } = await tree([{ name: 'old/', type: '\0', format: 'v7', mode: 0o700 }, F('old/x', '')]);
    expect(names['old']).toBe('d 700 0:0');
  });
});

describe('replacing', () => {
  const kinds: Record<string, [EntrySpec, string]> = {
    file: [F('x', 'new'), 'f 644 0:0 new'],
    directory: [D('x'), 'd 755 0:0'],
    symlink: [L('x', 'y'), 'l -> y'],
    fifo: [{ name: 'x', type: '6' }, 'p 644 0:0'],
    hardlink: [H('x', 'other'), 'f 644 0:0 other'],
  };
  for (const [before, [first]] of Object.entries(kinds)) {
    for (const [after, [second, expected]] of Object.entries(kinds)) {
      test(`${before} by ${after}`, async () => {
        const below =
          before === 'directory' && after !== 'directory' ? [F('x/below', ''), D('x/sub/deeper')] : [];
        const { names } = await tree([F('other', 'other'), first, ...below, second]);
        expect(names['x']).toBe(expected);
        expect(names['other']).toBe('f 644 0:0 other');
        expect(Object.keys(names)).toEqual(['/', 'other', 'x']);
      });
    }
  }

  test('a file over one name of a hard link leaves the other name alone', async () => {
    const { names } = await tree([F('a', 'old'), H('b', 'a'), H('c', 'b'), F('a', 'new')]);
    expect(names).toMatchObject({ a: 'f 644 0:0 new', b: 'f 644 0:0 old', c: 'f 644 0:0 old' });
  });

  test('a directory gets the attributes of its last entry, and loses those of the one before', async () => {
    const { names, at } = await tree([
      D('d', {
        mode: 0o2700,
        uid: 5,
        pax: { 'SCHILY.xattr.user.a': '1', 'SCHILY.xattr.system.posix_acl_default': ACL },
      }),
      F('d/x', ''),
      D('d', { mode: 0o750, pax: { 'SCHILY.xattr.user.b': '2' } }),
    ]);
    expect(names['d']).toBe('d 750 0:0');
    expect(names['d/x']).toBe('f 644 0:0 ');
    expect(lgetxattr(at('d'), 'user.a')).toBeUndefined();
    expect(lgetxattr(at('d'), 'system.posix_acl_default')).toBeUndefined();
    expect(Buffer.from(lgetxattr(at('d'), 'user.b') ?? []).toString()).toBe('2');
  });

  test('a file in the way becomes a directory', async () => {
    const { names, result } = await tree([F('a', 'file'), F('a/b', 'below')]);
    expect(names).toMatchObject({ a: 'd 755 0:0', 'a/b': 'f 644 0:0 below' });
    expect([...result.impliedDirs]).toEqual(['a' as never]);
  });
});

describe('hard links', () => {
  test('forward, in chains and through links', async () => {
    const { names, at } = await tree([
      H('z/3', 'z/2'),
      H('z/2', 'z/1'),
      L('s', 'z'),
      H('through', 's/1'),
      D('z'),
      F('z/1', 'content', { mode: 0o600 }),
      L('z/sym', 'gone'),
      H('z/sym2', 'z/sym'),
    ]);
    expect(names).toMatchObject({
      'z/1': 'f 600 0:0 content',
      'z/2': 'f 600 0:0 content',
      'z/3': 'f 600 0:0 content',
    });
    expect(lstatSync(at('z/1')).nlink).toBe(4);
    expect(lstatSync(at('z/sym2')).ino).toBe(lstatSync(at('z/sym')).ino);
  });

  test('the last entry of a name wins over a link that was put off', async () => {
    const { names } = await tree([H('a', 'later'), F('a', 'own'), F('later', 'later')]);
    expect(names).toMatchObject({ a: 'f 644 0:0 own', later: 'f 644 0:0 later' });
  });

  test('to itself changes nothing when it exists, and needs a lower layer when not', async () => {
    const { names } = await tree([F('a', 'x'), H('a', 'a')]);
    expect(names['a']).toBe('f 644 0:0 x');
    const request = requestIn(dir.at('second'));
    expect(await codeOf(unpack(request, tar([H('a', 'b'), H('b', 'a')])))).toBe('LAYER_NEEDS_LOWER');
  });

  test('to a directory is refused', async () => {
    const failure = await failureOf(unpack(requestIn(dir.path), tar([D('d'), H('h', 'd')])));
    expect(failure.code).toBe('LAYER_BAD_HARDLINK');
    expect(failure.subject).toEqual({ entry: 'h', target: 'd' });
  });
});

describe('extended attributes', () => {
  test('capabilities byte by byte, ACLs and user attributes, also on directories', async () => {
    const acl = Buffer.from(
      '0200000001000700ffffffff0200050007000000040005' + '00ffffffff10000500ffffffff20000500ffffffff',
      'hex',
    );
    const value = Buffer.from(Array.from({ length: 256 }, (_, i) => i));
    const { at, result, names } = await tree([
      D('d', {
        mode: 0o755,
        pax: { 'SCHILY.xattr.system.posix_acl_default': acl, 'SCHILY.xattr.user.bytes': value },
      }),
      F('d/ping', 'x', { uid: 3, mode: 0o755, pax: { 'SCHILY.xattr.security.capability': CAPABILITY } }),
      D('d/sub'),
      F('acl', 'x', {
        mode: 0o750,
        pax: { 'SCHILY.xattr.system.posix_acl_access': acl, 'SCHILY.xattr.user.empty': '' },
      }),
    ]);
    const get = (name: string, xattr: string) =>
      Buffer.from(lgetxattr(at(name), xattr) ?? 'none').toString('hex');
    expect(get('d/ping', 'security.capability')).toBe(CAPABILITY.toString('hex'));
    expect(get('d', 'user.bytes')).toBe(value.toString('hex'));
    expect(get('d', 'system.posix_acl_default')).toBe(acl.toString('hex'));
    expect(get('acl', 'system.posix_acl_access')).toBe(acl.toString('hex'));
    expect(get('acl', 'user.empty')).toBe('');
    // A default ACL is for files that come later, not for those of the layer.
    expect(lgetxattr(at('d/ping'), 'system.posix_acl_access')).toBeUndefined();
    expect(lgetxattr(at('d/sub'), 'system.posix_acl_default')).toBeUndefined();
    expect(names['d/sub']).toBe('d 755 0:0');
    expect(result.droppedXattrs).toBe(0);
  });

  test('a default ACL of a directory that is met again is handed to nobody', async () => {
    const others = Array.from({ length: 80 }, (_, i) => D(`other${i}`));
    const { at, names } = await tree([
      D('d', { pax: { 'SCHILY.xattr.system.posix_acl_default': ACL } }),
      ...others,
      F('d/late', '', { mode: 0o640 }),
      D('d/sub', { mode: 0o750 }),
    ]);
    expect([names['d/late'], names['d/sub']]).toEqual(['f 640 0:0 ', 'd 750 0:0']);
    expect(lgetxattr(at('d/late'), 'system.posix_acl_access')).toBeUndefined();
    expect(lgetxattr(at('d/sub'), 'system.posix_acl_default')).toBeUndefined();
    expect(lgetxattr(at('d'), 'system.posix_acl_default')).toBeDefined();
  });

  test('what cannot be on a link or FIFO is dropped and counted', async () => {
    const pax = { 'SCHILY.xattr.user.x': '1' };
    const { result } = await tree([
      { ...L('l', 'x'), pax },
      { name: 'p', type: '6', pax },
      F('f', '', { pax }),
    ]);
    expect(result.droppedXattrs).toBe(2);
  });
});

describe('the result', () => {
  test('counts, digests and directories', async () => {
    const archive = tar([
      F('a/b/file', '12345'),
      F('a/b/file', '123'),
      D('e'),
      H('e/link', 'a/b/file'),
      F('e/.wh.gone', ''),
      D('o'),
      F('o/.wh..wh..opq', ''),
      { name: 'dev/null', type: '3' },
      { name: 'dev/sda', type: '4' },
      { name: 'fifo', type: '6' },
      D('./', { mode: 0o711 }),
    ]);
    const request = requestIn(dir.path, {
      expected: { digest: sha256(archive), diffId: sha256(archive), size: archive.length } as never,
    });
    expect(await unpack(request, archive)).toEqual({
      digest: sha256(archive),
      diffId: sha256(archive),
      compressedBytes: archive.length,
      tarBytes: archive.length,
      fileBytes: 8,
      // Two files, a manifest, and what the filesystem takes for directories.
      diskBytes: expect.any(Number) as never,
      entries: 14,
      looks: 0,
      explicitRoot: true,
      impliedDirs: ['a', 'a/b', 'dev'],
      whiteoutDirs: ['e'],
      opaqueDirs: ['o'],
      skippedDevices: 2,
      droppedXattrs: 0,
      dependsOnLower: false,
    } as never);
    expect(listTree(request.target)['/']).toBe('d 711 0:0');
    expect(Buffer.from(lgetxattr(`${request.target}/o`, 'trusted.overlay.opaque') ?? []).toString()).toBe(
      'y',
    );
  });

  test('an implied directory with an entry later is not implied', async () => {
    const { result, names } = await tree([
      F('a/b/c', ''),
      D('a', { mode: 0o700 }),
      D('a/b', { mode: 0o711 }),
    ]);
    expect(result.impliedDirs).toEqual([]);
    expect(names).toMatchObject({ a: 'd 700 0:0', 'a/b': 'd 711 0:0' });
  });

  test('an empty archive, one without an end, and one that is all end', async () => {
    for (const archive of [
      Buffer.alloc(0),
      tar([D('d')], Buffer.alloc(0)),
      tar([D('d')], zeros(1)),
      zeros(20),
    ]) {
      await using own = tempDir(dir.path);
      await unpack(requestIn(own.path, { compression: 'none' }), archive);
    }
  });

  test('leaves no descriptor open, after success and failure', async () => {
    await unpack(requestIn(dir.at('1')), tar([D('a'), F('a/b', 'x')]));
    await codeOf(unpack(requestIn(dir.at('2')), tar([D('a'), F('a/b', 'x'), F('a/../..', '')])));
    await codeOf(unpack(requestIn(dir.at('3')), tar([F('a/b', 'x'.repeat(1000))]).subarray(0, 1024)));
    expect(openBelow(dir.path)).toEqual([]);
  });
});

test('a real tree comes out as GNU tar unpacks it', async () => {
  const source = dir.at('source');
  mkdirSync(`${source}/sub/ö`, { recursive: true });
  const shell = [
    'umask 0; mkdir -m 1777 tmp; echo hi > sub/file; ln sub/file sub/ö/hard; ln -s ../file sub/link; mkfifo -m 640 sub/pipe',
    'dd if=/dev/urandom of=big bs=1k count=700 status=none; touch -d @1234567890.123456789 big; chown 12:34 big; chmod 6755 big',
    `mkdir -p ${'long-name/'.repeat(25)}; touch ${'long-name/'.repeat(25)}leaf; touch -h -d @77.5 sub/link; : > empty`,
  ].join('; ');
  expect(spawnSync('bash', ['-c', shell], { cwd: source }).status).toBe(0);
  lsetxattr(`${source}/big`, 'security.capability', CAPABILITY);
  lsetxattr(`${source}/sub`, 'user.note', Buffer.from('äöü'));
  for (const format of ['pax', 'gnu', 'ustar']) {
    const archive = dir.at(`${format}.tar`);
    const flags = format === 'pax' ? ['--xattrs', '--xattrs-include=*'] : [];
    if (format === 'ustar') spawnSync('rm', ['-r', `${source}/long-name`]);
    expect(spawnSync('tar', [`--format=${format}`, ...flags, '-C', source, '-cf', archive, '.']).status).toBe(
      0,
    );
    mkdirSync(dir.at(format));
    spawnSync('tar', ['-C', dir.at(format), '--xattrs', '--xattrs-include=*', '-xpf', archive]);
    const request = requestIn(dir.at(`ours-${format}`));
    await unpack(request, await Bun.file(archive).bytes(), 10_001);
    expect(compareTrees(request.target, dir.at(format))).toEqual([]);
    expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
  }
});

test('writing a file makes no difference to the chunks its bytes come in', async () => {
  const content = Buffer.from(Array.from({ length: 200_000 }, (_, i) => i % 251));
  const archive = tar([
    F('a/big', '', { content }),
    F('b', 'small'),
    F('c', '', { content: content.subarray(0, 65536) }),
  ]);
  const manifests = new Set<string>();
  for (const size of [1, 511, 512, 513, 65536, 70_000, archive.length]) {
    await using own = tempDir(dir.path);
    if (size === 1 && archive.length > 1_000_000) continue;
    const request = requestIn(own.path);
    await unpack(request, archive, size);
    manifests.add(await Bun.file(request.manifestPath).text());
  }
  expect(manifests.size).toBe(1);
});

test('what is below the base directory has its attributes from the layer below', async () => {
  const parent = requestIn(dir.at('parent'));
  await unpack(
    parent,
    tar([
      D('home', { mode: 0o711 }),
      D('home/vcap', { mode: 0o2750, uid: 2000, gid: 2000, mtime: 5 }),
      D('home/vcap/app', { uid: 2000 }),
    ]),
  );
  const request = requestIn(dir.at('child'), {
    base: { directory: '/home/vcap/app', parentTree: parent.target },
  });
  const result = await unpack(
    request,
    tar([
      D('./', { mode: 0o700 }),
      F('bin/x', 'x'),
      H('y', 'bin/x'),
      F('bin/.wh.gone', ''),
      F('.wh..wh..opq', ''),
      L('s', '/bin'),
    ]),
  );
  expect(listTree(request.target)).toEqual({
    '/': 'd 755 0:0',
    home: 'd 711 0:0',
    'home/vcap': 'd 2750 2000:2000',
    'home/vcap/app': 'd 700 0:0',
    'home/vcap/app/bin': 'd 755 0:0',
    'home/vcap/app/bin/x': 'f 644 0:0 x',
    'home/vcap/app/s': 'l -> /bin',
    'home/vcap/app/y': 'f 644 0:0 x',
  });
  expect(result).toMatchObject({ explicitRoot: false, opaqueDirs: ['home/vcap/app'], whiteoutDirs: [] });
  expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
  const missing = requestIn(dir.at('third'), {
    base: { directory: '/home/other', parentTree: parent.target },
  });
  expect(await codeOf(unpack(missing, tar([F('x', '')])))).toBe('LAYER_BASE_DIRECTORY');
  const alone = requestIn(dir.at('fourth'), { base: { directory: '/home', parentTree: undefined } });
  expect(await codeOf(unpack(alone, tar([F('x', '')])))).toBe('LAYER_BASE_DIRECTORY');
});

test('the files that AUFS kept links in take part and disappear', async () => {
  const { names, result } = await tree([
    D('.wh..wh.plnk', { mode: 0o700 }),
    F('.wh..wh.plnk/100.7', 'linked'),
    H('a', '.wh..wh.plnk/100.7'),
    H('b', '.wh..wh.plnk/100.7'),
    F('.wh..wh.aufs', ''),
    D('.wh..wh.orph'),
  ]);
  expect(names).toEqual({ '/': 'd 755 0:0', a: 'f 644 0:0 linked', b: 'f 644 0:0 linked' });
  expect(result.whiteoutDirs).toEqual([]);
});
