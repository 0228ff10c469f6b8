/** Archives and streams that lie about what they are, how large they are and where they end. */
import { describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync } from 'node:fs';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { attack } from '../support/images/attack.ts';
import {
  base256,
  checksum,
  type EntrySpec,
  entry,
  header,
  longName,
  pax,
  paxRecord,
  rawPax,
  tar,
  zeros,
} from '../support/images/tar-writer.ts';
import { failureOf, openBelow, ROOMY, requestIn, sha256, unpack } from '../support/images/unpack.ts';
import { must } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';

const NO_END = Buffer.alloc(0);
const inner = tar([{ name: 'hidden', content: 'smuggled' }], NO_END);

describe('bombs', () => {
  const zerosOf = (mebibytes: number) => Buffer.alloc(mebibytes * 2 ** 20);
  const small = { ...ROOMY, ratioFloor: 2 ** 20 };

  for (const [name, pack] of [
    ['gzip', (data: Buffer) => gzipSync(data)],
    ['zstd', (data: Buffer) => zstdCompressSync(data)],
    [
      'gzip of many members',
      (data: Buffer) => Buffer.concat(Array(16).fill(gzipSync(data.subarray(0, data.length / 16)))),
    ],
  ] as const) {
    attack(`64 MiB of zeros in ${name}`, {
      layer: () => pack(tar([{ name: 'zeros', content: zerosOf(64) }])),
      request: () => ({ budget: small }),
      code: 'LAYER_TOO_LARGE',
      subject: { what: 'bytes for each compressed byte', limit: 200 },
      check: ({ target }) => {
        const written = readdirSync(target).includes('zeros') ? Bun.file(`${target}/zeros`).size : 0;
        expect(written).toBeLessThan(16 * 2 ** 20);
      },
    });
  }

  attack('more than an inclusive disk limit leaves', {
    layer: () => gzipSync(tar([{ name: 'zeros', content: zerosOf(8) }])),
    request: () => ({ quotaBytes: 2 ** 20 }),
    code: 'LAYER_EXCEEDS_QUOTA',
  });

  attack('zeros behind the end of the archive count as well', {
    layer: () => gzipSync(tar([{ name: 'a' }], zerosOf(64))),
    request: () => ({ budget: small }),
    code: 'LAYER_TOO_LARGE',
  });

  attack('a zstd window of 2 GiB', {
    layer: () => Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3, 0x01, 0, 0]),
    code: 'LAYER_TOO_LARGE',
    subject: { what: 'bytes of zstd window', limit: 128 * 2 ** 20 },
  });

  attack('a file that claims to be larger than anything', {
    layer: () => tar([{ name: 'huge', size: '77777777777' }], NO_END),
    request: () => ({ budget: { ...ROOMY, tarBytes: 2 ** 30 } }),
    code: 'LAYER_TOO_LARGE',
    check: ({ target }) => expect(readdirSync(target)).toEqual([]),
  });
});

describe('numbers', () => {
  const sizes: Record<string, EntrySpec> = {
    'negative in base 256': { name: 'x', size: base256(-1n, 12) },
    '2^63 in base 256': { name: 'x', size: base256(2n ** 63n, 12) },
    '2^90 in base 256': { name: 'x', size: base256(2n ** 90n, 12) },
    'base 256 with an odd first byte': {
      name: 'x',
      size: Buffer.from([0x81, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1]),
    },
    'digits of another base': { name: 'x', size: '00000000009\0' },
    words: { name: 'x', size: 'quite a lot\0' },
    'a number with something behind': { name: 'x', size: '0000005 junk' },
    'a sign': { name: 'x', size: '-0000000001\0' },
    'a fraction': { name: 'x', size: '0000000.5\0' },
  };
  for (const [name, spec] of Object.entries(sizes)) {
    attack(`a size that is ${name}`, { layer: () => tar([spec]), code: 'LAYER_BAD_HEADER' });
  }
  for (const size of ['1e300', '-1', 'NaN', '0x10', '5.0', ' 5', '9007199254740992', '1'.repeat(400)]) {
    attack(`a PAX size of ${size.slice(0, 20)}`, {
      layer: () => tar([rawPax(paxRecord('size', size)), { name: 'x', content: 'hello' }]),
      code: 'LAYER_BAD_HEADER',
      check: ({ cpuMilliseconds }) => expect(cpuMilliseconds).toBeLessThan(2000),
    });
  }

  attack('an extended header of 4 MiB', {
    layer: () => tar([rawPax(paxRecord('comment', 'x'.repeat(4 * 2 ** 20))), { name: 'x' }]),
    code: 'LAYER_TOO_LARGE',
    subject: { what: 'bytes in one extended header', limit: 2 ** 20 },
  });
  attack('a long name of 4 MiB', {
    layer: () => tar([longName('x'.repeat(4 * 2 ** 20)), { name: 'x' }]),
    code: 'LAYER_TOO_LARGE',
  });
  attack('10,000 PAX records', {
    layer: () =>
      tar([
        rawPax(Buffer.concat(Array.from({ length: 10_000 }, (_, i) => paxRecord(`k${i}`, 'v')))),
        { name: 'x' },
      ]),
    code: 'LAYER_BAD_HEADER',
  });
  attack('one PAX header more than the entry it is for, each of 1 MiB', {
    layer: () =>
      tar([
        rawPax(paxRecord('comment', 'x'.repeat(1_000_000))),
        rawPax(paxRecord('comment', 'y'.repeat(1_000_000))),
        { name: 'x' },
      ]),
    code: 'LAYER_BAD_HEADER',
  });
});

describe('two readings of one archive', () => {
  attack('the PAX size counts, not the one in the header: what a header-only reader sees is content', {
    layer: () => tar([pax({ size: String(inner.length) }), header({ name: 'outer', size: 0 }), inner]),
    check: ({ tree, code }) => {
      expect(code).toBeUndefined();
      expect(tree).toEqual({ '/': 'd 755 0:0', outer: `f 644 0:0 ${inner.length} bytes` });
    },
  });

  attack('a PAX size of 0 before a header with content: the content is headers', {
    layer: () => tar([pax({ size: '0' }), header({ name: 'outer', size: inner.length }), inner]),
    tree: { '/': 'd 755 0:0', hidden: 'f 644 0:0 smuggled', outer: 'f 644 0:0 ' },
  });

  attack('a PAX header is for the next entry, not for the long name between them', {
    layer: () => tar([pax({ size: '8' }), longName('long/name'), { name: 'short', content: '8 bytes.' }]),
    tree: { '/': 'd 755 0:0', long: 'd 755 0:0', 'long/name': 'f 644 0:0 8 bytes.' },
  });

  attack('and for one entry only', {
    layer: () =>
      tar([
        { name: 'a', content: 'x', pax: { path: 'renamed', mtime: '1', uid: '7' } },
        { name: 'b', content: 'y' },
      ]),
    tree: { '/': 'd 755 0:0', b: 'f 644 0:0 y', renamed: 'f 644 7:0 x' },
  });

  for (const [name, pieces] of Object.entries({
    'a long name twice': [longName('one'), longName('two'), { name: 'x' }],
    'a long link twice': [longName('one', 'K'), longName('two', 'K'), { name: 'x', type: '2' }],
    'PAX twice': [pax({ path: 'one' }), pax({ path: 'two' }), { name: 'x' }],
    'a long name and another PAX path': [longName('one'), pax({ path: 'two' }), { name: 'x' }],
    'a long link and another PAX one': [
      pax({ linkpath: 'one' }),
      longName('two', 'K'),
      { name: 'x', type: '2' },
    ],
  } satisfies Record<string, (EntrySpec | Uint8Array)[]>)) {
    attack(`${name}: readers disagree which counts`, { layer: () => tar(pieces), code: 'LAYER_BAD_HEADER' });
  }

  attack('a link with a size has no content: what follows is a header', {
    layer: () => tar([header({ name: 'l', type: '2', link: 'to', size: inner.length }), inner]),
    tree: { '/': 'd 755 0:0', hidden: 'f 644 0:0 smuggled', l: 'l -> to' },
  });

  test("an archive inside a file is the file's content", async () => {
    await using dir = tempDir();
    const request = requestIn(dir.path);
    await unpack(request, tar([{ name: 'outer.tar', content: tar([{ name: 'hidden', content: 'x' }]) }]));
    expect(readdirSync(request.target)).toEqual(['outer.tar']);
  });

  attack('global headers that would change entries', {
    layer: () => tar([pax({ path: 'everywhere', uid: '0' }, 'g'), { name: 'x' }]),
    code: 'LAYER_BAD_HEADER',
  });
  attack('a global comment, as git writes it, changes nothing', {
    layer: () => tar([pax({ comment: '0123456789abcdef' }, 'g'), { name: 'x', content: '1' }]),
    tree: { '/': 'd 755 0:0', x: 'f 644 0:0 1' },
    check: ({ result }) => expect(result?.entries).toBe(1),
  });

  const badRecords: Record<string, string> = {
    'without a length': ' path=x\n',
    'with length 0': '0 path=x\n',
    'longer than the header': '99 path=x\n',
    'shorter than its key': '5 path=x\n',
    'without a newline': '9 path=xy',
    'without an equals sign': '8 pathx\n',
    'without a key': '6 =xy\n',
    'with a sign': '+9 path=x\n',
    'with a length of 20 digits': '00000000000000000009 path=x\n',
  };
  for (const [name, body] of Object.entries(badRecords)) {
    attack(`a PAX record ${name}`, {
      layer: () => tar([rawPax(body), { name: 'y' }]),
      code: 'LAYER_BAD_HEADER',
    });
  }
});

describe('checksums and ends', () => {
  attack('a header whose checksum is wrong', {
    layer: () =>
      tar([
        { name: 'a', content: 'x' },
        { name: 'CANARY', checksum: 'wrong' },
      ]),
    code: 'LAYER_BAD_HEADER',
    subject: { entry: '', reason: 'the checksum of the header at byte 1024 is wrong' },
  });

  attack('a header without any checksum', {
    layer: () => tar([Buffer.from(header({ name: 'x' })).fill(0, 148, 156)]),
    code: 'LAYER_BAD_HEADER',
  });

  test('a checksum over signed bytes, as old programs made it', async () => {
    await using dir = tempDir();
    const request = requestIn(dir.path);
    await unpack(request, tar([{ name: Buffer.from('\xe9\xff', 'latin1'), checksum: 'signed' }]));
    expect(readdirSync(request.target, { encoding: 'latin1' })).toEqual(['\xe9\xff']);
  });

  attack('an entry behind the end of the archive, which only some readers see', {
    layer: () => tar([{ name: 'a' }, zeros(2), { name: 'hidden' }]),
    code: 'LAYER_BAD_HEADER',
    subject: { entry: 'hidden', reason: 'an entry after the end of the archive' },
  });
  attack('the same far behind, after other bytes', {
    layer: () => tar([{ name: 'a' }, zeros(30), Buffer.alloc(512, 'padding '), { name: 'hidden' }]),
    code: 'LAYER_BAD_HEADER',
  });
  attack('an entry behind a single block of zeros', {
    layer: () => tar([{ name: 'a' }, zeros(1), { name: 'hidden' }]),
    code: 'LAYER_BAD_HEADER',
    subject: { entry: 'hidden', reason: 'something after a single block of zeros' },
  });
  attack('other bytes behind a single block of zeros', {
    layer: () => tar([{ name: 'a' }, zeros(1), Buffer.alloc(1024, 'CANARY ')]),
    code: 'LAYER_BAD_HEADER',
    subject: { entry: '', reason: 'the checksum of the header at byte 1024 is wrong' },
  });

  test('what is no entry may follow the end, and counts for the digest', async () => {
    await using dir = tempDir();
    const archive = tar(
      [{ name: 'a' }, zeros(2), Buffer.alloc(512, 'padding '), zeros(3), Buffer.from('odd end')],
      NO_END,
    );
    const result = await unpack(requestIn(dir.path), archive);
    expect(result).toMatchObject({ entries: 1, diffId: sha256(archive), tarBytes: archive.length } as never);
  });

  const whole = tar([
    { name: 'a', content: 'x'.repeat(700) },
    { name: 'b', pax: { path: 'long/b' }, content: 'y' },
  ]);
  for (const [name, cut] of [
    ['in a header', 100],
    ['in the content', 512 + 300],
    ['in an extended header', 512 + 1024 + 512 + 5],
    ['after an extended header', 512 + 1024 + 1024],
    ['after a header with content', 512 + 1024 + 1024 + 512],
  ] as const) {
    attack(`an archive that ends ${name}`, { layer: () => whole.subarray(0, cut), code: 'LAYER_TRUNCATED' });
  }

  test('one that is cut where an entry ends is found by its diffID', async () => {
    await using dir = tempDir();
    const cut = whole.subarray(0, 512 + 1024);
    const expected = { digest: undefined, diffId: sha256(whole), size: undefined } as never;
    expect((await failureOf(unpack(requestIn(dir.path, { expected }), cut))).code).toBe(
      'LAYER_DIFFID_MISMATCH',
    );
  });
});

describe('blobs', () => {
  const blob = gzipSync(
    tar([{ name: 'a', content: Buffer.from(Array.from({ length: 5000 }, (_, i) => (i * 7919) % 253)) }]),
  );
  const middle = blob.length >> 1;
  const expected =
    (changes: object = {}) =>
    () => ({
      expected: { digest: sha256(blob), diffId: undefined, size: blob.length, ...changes } as never,
    });

  attack('a byte more than declared', {
    layer: () => Buffer.concat([blob, Buffer.alloc(1)]),
    request: expected(),
    code: 'LAYER_SIZE_MISMATCH',
    subject: { expected: blob.length, actual: blob.length + 1, when: 'actual' },
  });
  attack('a byte less than declared', {
    layer: () => blob.subarray(0, -1),
    request: expected(),
    code: 'LAYER_SIZE_MISMATCH',
  });
  attack('one bit of the blob is another', {
    layer: () => Buffer.from(blob).fill((blob[middle] ?? 0) ^ 4, middle, middle + 1),
    request: expected(),
    code: 'LAYER_DIGEST_MISMATCH',
  });
  attack('another blob of the same size', {
    layer: () =>
      Buffer.concat([gzipSync(tar([{ name: 'other' }])), Buffer.alloc(blob.length)]).subarray(0, blob.length),
    request: expected(),
    code: 'LAYER_DIGEST_MISMATCH',
  });
  attack('a blob that is as promised, and a tar that is not', {
    layer: () => blob,
    request: expected({ diffId: sha256(Buffer.from('another tar')) }),
    code: 'LAYER_DIFFID_MISMATCH',
  });
});

describe('the disk', () => {
  for (const [what, options, entries] of [
    ['bytes', 'size=1m', [{ name: 'd/big', content: Buffer.alloc(4 * 2 ** 20, 'x') }]],
    ['inodes', 'nr_inodes=50', Array.from({ length: 100 }, (_, i) => ({ name: `d${i}/x` }))],
  ] as const) {
    test(`is out of ${what}: the kernel's error, and no descriptor stays open`, async () => {
      await using dir = tempDir();
      mkdirSync(dir.at('full'));
      await must('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', dir.at('full')]);
      const request = requestIn(dir.at('other'), { target: dir.at('full') });
      expect(await failureOf(unpack(request, tar(entries)))).toMatchObject({
        name: 'SysError',
        code: 'ENOSPC',
      } as never);
      expect(openBelow(dir.path)).toEqual([]);
    });
  }
});

test('the writer of these archives makes what GNU tar reads', async () => {
  await using dir = tempDir();
  const archive = tar([
    { name: 'x', content: 'hello', pax: { path: 'a/b', mtime: '5.5' } },
    entry({ name: 'c', type: '5' }),
  ]);
  await Bun.write(dir.at('t.tar'), archive);
  const listed = await must('tar', ['-tf', dir.at('t.tar')]);
  expect(listed.trim().split('\n')).toEqual(['a/b', 'c']);
  expect(checksum(Buffer.from(archive.subarray(0, 512))).equals(archive.subarray(0, 512))).toBe(true);
});
