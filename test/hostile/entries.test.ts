/** Types, links and metadata that reach for more than a file in a layer. */
import { describe, expect, test } from 'bun:test';
import { lstatSync, readFileSync } from 'node:fs';
import { lgetxattr, llistxattr } from '../../lib/sys/kernel/files.ts';
import { attack } from '../support/images/attack.ts';
import { base256, type EntrySpec, paxRecord, rawPax, tar } from '../support/images/tar-writer.ts';
import { codeOf, failureOf, listTree, requestIn, unpack } from '../support/images/unpack.ts';
import { must } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';

const D = (name: string, rest: Partial<EntrySpec> = {}): EntrySpec => ({ name, type: '5', ...rest });
const L = (name: string, link: string): EntrySpec => ({ name, type: '2', link });
const H = (name: string, link: string): EntrySpec => ({ name, type: '1', pax: { linkpath: link } });

describe('hard links', () => {
  for (const [how, link] of [
    ['an absolute path', (secret: string) => secret],
    ['a path from the root of the layer', (secret: string) => `./${secret}`],
  ] as const) {
    attack(`to a file of the host by ${how}`, {
      layer: ({ canary }) => tar([H('stolen', link(canary.secret))]),
      code: 'LAYER_NEEDS_LOWER',
      check: (_, { canary }) => expect(lstatSync(canary.secret).nlink).toBe(1),
    });
  }

  attack('through a link out of the layer', {
    layer: ({ canary }) =>
      tar([L('evil', canary.path), H('stolen', 'evil/secret'), { name: 'stolen', content: 'pwned' }]),
    tree: undefined as never,
    check: ({ tree }, { canary }) => {
      expect(tree['stolen']).toBe('f 644 0:0 pwned');
      expect(lstatSync(canary.secret).nlink).toBe(1);
    },
  });

  attack('to a link out of the layer: the link itself is linked', {
    layer: ({ canary }) =>
      tar([L('evil', canary.secret), H('again', 'evil'), { name: 'again/x', content: 'pwned' }]),
    check: ({ code }) => expect(code).toBeUndefined(),
  });

  attack('then content for the linked name: only the name changes', {
    layer: () => tar([{ name: 'a', content: 'old' }, H('b', 'a'), { name: 'b', content: 'new and longer' }]),
    tree: { '/': 'd 755 0:0', a: 'f 644 0:0 old', b: 'f 644 0:0 new and longer' },
  });

  attack('to a whiteout of this layer', {
    layer: () => tar([{ name: '.wh.gone' }, H('ghost', 'gone')]),
    code: 'LAYER_NEEDS_LOWER',
    subject: { entry: 'ghost', target: 'gone' },
  });

  attack('to a file that exists nowhere, with all layers known', {
    layer: () => tar([H('link', 'nowhere')]),
    request: ({ canary }) => ({ lowers: [canary.path] }),
    code: 'LAYER_BAD_HARDLINK',
    subject: { entry: 'link', target: 'nowhere' },
  });

  attack('in a ring of 1,000', {
    layer: () => tar(Array.from({ length: 1000 }, (_, i) => H(`l${i}`, `l${(i + 1) % 1000}`))),
    code: 'LAYER_NEEDS_LOWER',
    check: ({ cpuMilliseconds }) => expect(cpuMilliseconds).toBeLessThan(3000),
  });

  attack('forward in a chain of 20,000, the last first', {
    layer: () =>
      tar([
        ...Array.from({ length: 20_000 }, (_, i) => H(`l${i}`, `l${i + 1}`)),
        { name: 'l20000', content: 'end' },
      ]),
    check({ target, cpuMilliseconds, code }) {
      expect(code).toBeUndefined();
      expect(readFileSync(`${target}/l0`, 'utf8')).toBe('end');
      expect(cpuMilliseconds).toBeLessThan(30_000);
    },
  });
});

describe('devices', () => {
  attack('are skipped and counted, with their directories made', {
    layer: () =>
      tar([
        { name: 'dev/sda', type: '4', mode: 0o666 },
        { name: 'dev/kmem', type: '3', mode: 0o666 },
        { name: 'dev/null', type: '3' },
      ]),
    tree: { '/': 'd 755 0:0', dev: 'd 755 0:0' },
    check: ({ result }) => expect(result?.skippedDevices).toBe(3),
  });

  attack('0:0 in the archive is no whiteout', {
    layer: () => tar([{ name: 'etc/shadow', type: '3' }]),
    tree: { '/': 'd 755 0:0', etc: 'd 755 0:0' },
    check: ({ result }) => expect(result?.whiteoutDirs).toEqual([]),
  });

  test('a FIFO is kept and nobody waits at it', async () => {
    await using dir = tempDir();
    const request = requestIn(dir.path);
    await unpack(
      request,
      tar([
        { name: 'p', type: '6', mode: 0o622 },
        { name: 'p/x', content: '1' },
        { name: 'q', type: '6' },
        H('r', 'q'),
      ]),
    );
    expect(listTree(request.target)).toMatchObject({ 'p/x': 'f 644 0:0 1', q: 'p 644 0:0', r: 'p 644 0:0' });
  });
});

describe('extended attributes', () => {
  const CAPABILITY = Buffer.from('0100000200200000ff00000000000000ff000000', 'hex');
  const attributes = (target: string, name: string) =>
    llistxattr(`${target}/${name}`)
      .map((xattr) => Buffer.from(xattr).toString())
      .sort();

  attack('a capability comes byte by byte', {
    layer: () => tar([{ name: 'ping', pax: { 'SCHILY.xattr.security.capability': CAPABILITY } }]),
    check: ({ target, result }) => {
      expect(Buffer.from(lgetxattr(`${target}/ping`, 'security.capability') ?? []).equals(CAPABILITY)).toBe(
        true,
      );
      expect(result?.droppedXattrs).toBe(0);
    },
  });

  test('one that is cut is refused', async () => {
    await using dir = tempDir();
    const cut = tar([
      { name: 'ping', pax: { 'SCHILY.xattr.security.capability': CAPABILITY.subarray(0, 11) } },
    ]);
    const failure = await failureOf(unpack(requestIn(dir.path), cut));
    expect(failure).toMatchObject({
      code: 'LAYER_BAD_XATTR',
      subject: { entry: 'ping', xattr: 'security.capability' },
    });
  });

  attack('one for the root user of another namespace does not come with a mapping that lacks him', {
    layer: () =>
      tar([
        {
          name: 'x',
          pax: {
            'SCHILY.xattr.security.capability': Buffer.concat([
              Buffer.from('01000003', 'hex'),
              CAPABILITY.subarray(4),
              Buffer.from([0x40, 0x42, 0x0f, 0]),
            ]),
          },
        },
      ]),
    request: () => ({
      mappings: {
        uids: [{ container: 0, host: 1000, size: 10 }],
        gids: [{ container: 0, host: 1000, size: 10 }],
      },
    }),
    check: ({ target, result }) => {
      expect(attributes(target, 'x')).toEqual([]);
      expect(result?.droppedXattrs).toBe(1);
    },
  });

  const forged = [
    'trusted.overlay.redirect',
    'trusted.overlay.opaque',
    'trusted.overlay.metacopy',
    'trusted.overlay.whiteout',
    'user.overlay.redirect',
    'user.overlay.opaque',
    'trusted.anything',
  ];
  for (const name of forged) {
    for (const type of ['0', '5']) {
      attack(`${name} never comes to the disk, type ${type}`, {
        layer: () => tar([{ name: 'd', type, pax: { [`SCHILY.xattr.${name}`]: '/etc' } }]),
        check: ({ target, result, code }) => {
          expect(code).toBeUndefined();
          expect(attributes(target, 'd')).toEqual([]);
          expect([result?.droppedXattrs, result?.opaqueDirs.length]).toEqual([1, 0]);
        },
      });
    }
  }

  test("labels and hashes of another machine, and other programs' forms, are dropped and counted", async () => {
    await using dir = tempDir();
    const request = requestIn(dir.path);
    const records = {
      'SCHILY.xattr.security.selinux': 'system_u:object_r:shadow_t:s0',
      'SCHILY.xattr.security.ima': 'x',
      'SCHILY.xattr.security.evm': 'x',
      'SCHILY.xattr.system.nfs4_acl': 'x',
      'SCHILY.acl.access': 'user::rwx',
      'LIBARCHIVE.xattr.user.x': 'eA==',
      'RHT.security.selinux': 'x',
      'SCHILY.xattr.user.kept': 'x',
    };
    const result = await unpack(request, tar([{ name: 'f', pax: records }]));
    expect(attributes(request.target, 'f')).toEqual(['user.kept']);
    expect(result.droppedXattrs).toBe(7);
  });

  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`SCHILY.xattr.user.${i}`, 'x']));
  const limits: Record<string, Record<string, string>> = {
    '129 of them': many(129),
    'a value of 70,000 bytes': { 'SCHILY.xattr.user.big': 'x'.repeat(70_000) },
    'a name of 300 bytes': { [`SCHILY.xattr.user.${'n'.repeat(300)}`]: 'x' },
    'no name behind the namespace': { 'SCHILY.xattr.user.': 'x' },
    'an ACL that is none': { 'SCHILY.xattr.system.posix_acl_access': 'nonsense' },
    'an ACL with a cut entry': { 'SCHILY.xattr.system.posix_acl_access': '\x02\0\0\0\x01\0\x07' },
  };
  for (const [name, records] of Object.entries(limits)) {
    attack(`${name}: refused`, { layer: () => tar([{ name: 'f', pax: records }]), code: 'LAYER_BAD_XATTR' });
  }

  test('a filesystem without them: user attributes are dropped, a capability is an error', async () => {
    await using dir = tempDir();
    const target = dir.at('ramfs');
    await must('mkdir', [target]);
    await must('mount', ['-t', 'ramfs', 'ramfs', target]);
    const user = tar([{ name: 'f', pax: { 'SCHILY.xattr.user.x': 'x' } }]);
    expect((await unpack(requestIn(dir.at('1'), { target }), user)).droppedXattrs).toBe(1);
    const capable = tar([
      {
        name: 'g',
        pax: {
          'SCHILY.xattr.system.posix_acl_access': Buffer.from(
            '0200000001000700ffffffff0200050007000000040005' + '00ffffffff10000500ffffffff20000500ffffffff',
            'hex',
          ),
        },
      },
    ]);
    expect(await codeOf(unpack(requestIn(dir.at('2'), { target }), capable))).toBe('LAYER_BAD_XATTR');
  });
});

describe('owners', () => {
  const ranges = [{ container: 0, host: 100_000, size: 65_536 }];
  const mapped = () => ({ mappings: { uids: ranges, gids: ranges } });
  for (const [kind, entry] of [
    ['uid', { uid: 65_536 }],
    ['gid', { gid: 70_000 }],
  ] as const) {
    for (const type of ['0', '5', '2', '6']) {
      attack(`a ${kind} outside the mapping never becomes one of the host's, type ${type}`, {
        layer: () => tar([{ name: 'x', type, link: 'y', ...entry }]),
        request: mapped,
        code: 'LAYER_UNMAPPED_ID',
        subject: { entry: 'x', kind, id: Object.values(entry)[0], mappings: '0:100000:65536' },
        check: ({ tree }) =>
          expect(Object.values(tree).join()).not.toMatch(/ (65536|70000|0):| \d+:(65536|70000|0)\b/),
      });
    }
  }

  attack('an id in an ACL is mapped or refused as well', {
    layer: () =>
      tar([
        {
          name: 'x',
          pax: {
            'SCHILY.xattr.system.posix_acl_access': Buffer.from(
              '0200000001000700ffffffff02000500a0860100040005' + '00ffffffff10000500ffffffff20000500ffffffff',
              'hex',
            ),
          },
        },
      ]),
    request: mapped,
    code: 'LAYER_UNMAPPED_ID',
    subject: { entry: 'x', kind: 'uid', id: 100_000, mappings: '0:100000:65536' },
  });

  const bad: Record<string, EntrySpec> = {
    'uid 4294967295, which means no change': { name: 'x', uid: base256(2n ** 32n - 1n, 8) },
    'gid 2^32': { name: 'x', gid: base256(2n ** 32n, 8) },
    'uid -1': { name: 'x', uid: base256(-1n, 8) },
    'PAX uid 4294967295': { name: 'x', pax: { uid: '4294967295' } },
    'PAX uid -1': { name: 'x', pax: { uid: '-1' } },
    'PAX uid in words': { name: 'x', pax: { uid: 'root' } },
    'PAX gid 1e3': { name: 'x', pax: { gid: '1e3' } },
    'PAX gid with a fraction': { name: 'x', pax: { gid: '0.5' } },
    'PAX uid of 30 digits': { name: 'x', pax: { uid: '1'.repeat(30) } },
    'uid in no base': { name: 'x', uid: 'root\0\0\0\0' },
  };
  for (const [name, entry] of Object.entries(bad)) {
    attack(`${name} is refused`, { layer: () => tar([entry]), code: 'LAYER_BAD_HEADER' });
  }

  attack('the largest id there is, in base 256 and in PAX', {
    layer: () =>
      tar([
        { name: 'a', uid: base256(4_294_967_294n, 8) },
        { name: 'b', pax: { uid: '4294967294', gid: '2097152' } },
      ]),
    tree: { '/': 'd 755 0:0', a: 'f 644 4294967294:0 ', b: 'f 644 4294967294:2097152 ' },
  });
});

describe('modes and times', () => {
  attack('bits of a type in the mode are no type', {
    layer: () =>
      tar([{ name: 'x', mode: 0o120_777 }, { name: 's', mode: 0o104_755 }, D('d', { mode: 0o177_777 })]),
    tree: { '/': 'd 755 0:0', d: 'd 7777 0:0', s: 'f 4755 0:0 ', x: 'f 777 0:0 ' },
  });

  for (const mtime of [
    '1000000000000000000',
    '-1000000000000000000',
    '99999999999999999999999999999.5',
    '-8.000000001',
  ]) {
    attack(`a time of ${mtime} is cut to what the filesystem holds`, {
      layer: () =>
        tar([{ name: 'x', pax: { mtime } }, D('d', { pax: { mtime } }), { ...L('l', 'x'), pax: { mtime } }]),
      check({ target, code }) {
        expect(code).toBeUndefined();
        for (const name of ['x', 'd', 'l']) {
          const { mtimeMs } = lstatSync(`${target}/${name}`);
          if (mtime.startsWith('-')) expect(mtimeMs).toBeLessThan(0);
          else expect(mtimeMs).toBeGreaterThan(2.1e12);
        }
      },
    });
  }

  for (const mtime of ['NaN', 'Infinity', '1e9', '', ' 5', '5 ', '0x10', '1.5.5', `1${'0'.repeat(80)}`]) {
    if (mtime === '') continue;
    attack(`a time of ${JSON.stringify(mtime.slice(0, 20))} is refused`, {
      layer: () => tar([rawPax(paxRecord('mtime', mtime)), { name: 'x' }]),
      code: 'LAYER_BAD_HEADER',
    });
  }

  attack('a setuid file that is written through a hard link keeps its own bits', {
    layer: () =>
      tar([
        { name: 'su', content: 'root only', mode: 0o4755 },
        H('mine', 'su'),
        { name: 'mine', content: 'evil', mode: 0o644, uid: 1000 },
      ]),
    tree: { '/': 'd 755 0:0', mine: 'f 644 1000:0 evil', su: 'f 4755 0:0 root only' },
  });
});

describe('strange entries', () => {
  const cases: Record<string, readonly (EntrySpec | Uint8Array)[]> = {
    'a volume label': [{ name: 'label', type: 'V' }],
    'a multi-volume file': [{ name: 'part', type: 'M' }],
    'a directory dump': [{ name: 'dump', type: 'D' }],
    'a long name of old GNU tar': [{ name: 'name', type: 'N' }],
    "Solaris's extended header": [{ name: 'odd', type: 'X' }],
    "Solaris's access list": [{ name: 'odd', type: 'A' }],
    "star's inode": [{ name: 'odd', type: 'I' }],
    'an unknown type': [{ name: 'odd', type: 'Z' }],
  };
  for (const [name, entries] of Object.entries(cases)) {
    attack(`${name}: refused by name`, {
      layer: () => tar(entries),
      code: 'LAYER_UNSUPPORTED_ENTRY',
      check: ({ subject }) => expect((subject as { entry: string }).entry.length).toBeGreaterThan(2),
    });
  }

  attack('a contiguous file is a file', {
    layer: () => tar([{ name: 'c', type: '7', content: 'x', mode: 0o4711 }]),
    tree: { '/': 'd 755 0:0', c: 'f 4711 0:0 x' },
  });
});

describe('directories that nobody names', () => {
  attack('are reported, so that the stack can give them the attributes of the layer below', {
    layer: () => tar([{ name: 'tmp/x' }, { name: 'var/tmp/deep/y' }, D('var', { mode: 0o711 })]),
    tree: undefined as never,
    check: ({ result, tree }) => {
      expect([...(result?.impliedDirs ?? [])] as string[]).toEqual(['tmp', 'var/tmp', 'var/tmp/deep']);
      expect(result?.explicitRoot).toBe(false);
      expect(tree['var']).toBe('d 711 0:0');
    },
  });

  attack('a file where another entry needs a directory', {
    layer: () => tar([{ name: 'a', content: 'x' }, { name: 'a/b', content: 'y' }, D('a', { mode: 0o700 })]),
    tree: { '/': 'd 755 0:0', a: 'd 700 0:0', 'a/b': 'f 644 0:0 y' },
  });
});
