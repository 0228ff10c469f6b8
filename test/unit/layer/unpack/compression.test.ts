import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { constants, crc32, gzipSync, zstdCompressSync } from 'node:zlib';
import type { UnpackRequest } from '../../../../lib/layer/tree/types.ts';
import { ZstdFrames } from '../../../../lib/layer/unpack/zstd-frames.ts';
import { tar } from '../../../support/images/tar-writer.ts';
import {
  codeOf,
  failureOf,
  listTree,
  ROOMY,
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

/** Not periodic: a bit flipped in a distance would make the same bytes. */
let random = 1;
const CONTENT = Buffer.from(
  Array.from({ length: 300_000 }, () => {
    random = (Math.imul(random, 1_103_515_245) + 12_345) & 0x7fffffff;
    return (random >> 16) & 0x3f;
  }),
);
const ARCHIVE = tar([
  { name: 'file', content: CONTENT },
  { name: 'small', content: 'x' },
]);
const TREE = { '/': 'd 755 0:0', file: 'f 644 0:0 300000 bytes', small: 'f 644 0:0 x' };
const SKIPPABLE = Buffer.from([0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4]);

const halves = (pack: (part: Buffer) => Buffer): Buffer =>
  Buffer.concat([pack(ARCHIVE.subarray(0, 100_000)), pack(ARCHIVE.subarray(100_000))]);
/** RFC 1952, 2.3: FEXTRA, FNAME, FCOMMENT, FHCRC. */
function withHeaderFields(member: Buffer): Buffer {
  const header = Buffer.concat([
    Buffer.from([0x1f, 0x8b, 8, 0x1e, 1, 2, 3, 4, 0, 3]),
    Buffer.from('\x06\x00GR\x02\x00ab', 'latin1'),
    Buffer.from('rootfs.tar\0made by a test\0', 'latin1'),
  ]);
  const checksum = Buffer.alloc(2);
  checksum.writeUInt16LE(crc32(header) & 0xffff);
  return Buffer.concat([header, checksum, member.subarray(10)]);
}
const zstd = (data: Buffer, params: Record<number, number> = {}): Buffer =>
  zstdCompressSync(data, { params });

let count = 0;
async function unpacked(blob: Buffer, changes: Partial<UnpackRequest> = {}, chunk = 65536) {
  count += 1;
  const request = requestIn(dir.at(String(count)), changes);
  const result = await unpack(request, blob, chunk);
  return { result, names: listTree(request.target) };
}

describe('taken', () => {
  const blobs: Record<string, Buffer> = {
    plain: ARCHIVE,
    gzip: gzipSync(ARCHIVE),
    'gzip of two members': halves((part) => gzipSync(part)),
    'gzip of three members, one empty': Buffer.concat([gzipSync(''), halves((part) => gzipSync(part))]),
    'gzip with zeros after it': Buffer.concat([gzipSync(ARCHIVE), Buffer.alloc(5000)]),
    zstd: zstd(ARCHIVE),
    'zstd with checksum and content size': zstd(ARCHIVE, { [constants.ZSTD_c_checksumFlag]: 1 }),
    'zstd of two frames': halves((part) => zstd(part)),
    'zstd with skippable frames': Buffer.concat([zstd(ARCHIVE), SKIPPABLE, SKIPPABLE]),
    'zstd with a skippable frame first, as pzstd writes it': Buffer.concat([SKIPPABLE, zstd(ARCHIVE)]),
    'zstd with skippable frames before, between and after': Buffer.concat([
      Buffer.from([0x5f, 0x2a, 0x4d, 0x18, 0, 0, 0, 0]),
      SKIPPABLE,
      zstd(ARCHIVE.subarray(0, 100_000)),
      SKIPPABLE,
      zstd(ARCHIVE.subarray(100_000)),
      SKIPPABLE,
    ]),
    'gzip with a name, a comment, extra fields and a checksum of its header': withHeaderFields(
      gzipSync(ARCHIVE),
    ),
    'zstd with the largest window': zstd(ARCHIVE, { [constants.ZSTD_c_windowLog]: 27 }),
  };
  for (const [name, blob] of Object.entries(blobs)) {
    for (const chunk of [3, 1000, 65536, blob.length]) {
      if (chunk < 100 && blob.length > 100_000) continue;
      test(`${name}, in chunks of ${chunk}`, async () => {
        const { result, names } = await unpacked(blob, {}, chunk);
        expect(names).toEqual(TREE);
        expect(result).toMatchObject({
          digest: sha256(blob),
          diffId: sha256(ARCHIVE),
          compressedBytes: blob.length,
        } as never);
        expect(result.tarBytes).toBe(ARCHIVE.length);
      });
    }
  }

  test('by the media type too', async () => {
    expect((await unpacked(gzipSync(ARCHIVE), { compression: 'gzip' })).names).toEqual(TREE);
    expect((await unpacked(zstd(ARCHIVE), { compression: 'zstd' })).names).toEqual(TREE);
    expect((await unpacked(ARCHIVE, { compression: 'none' })).names).toEqual(TREE);
  });
});

describe('refused', () => {
  const cases: Record<string, [Buffer, string, Partial<UnpackRequest>?]> = {
    'gzip with something after it': [
      Buffer.concat([gzipSync(ARCHIVE), Buffer.from('rubbish')]),
      'LAYER_BAD_COMPRESSION',
    ],
    'gzip with something after zeros': [
      Buffer.concat([gzipSync(ARCHIVE), Buffer.alloc(100), Buffer.from('x')]),
      'LAYER_BAD_COMPRESSION',
    ],
    'a member that only some readers find, behind zeros': [
      Buffer.concat([gzipSync(ARCHIVE), Buffer.alloc(8), gzipSync('hidden')]),
      'LAYER_BAD_COMPRESSION',
    ],
    'gzip that is cut': [gzipSync(ARCHIVE).subarray(0, -100), 'LAYER_TRUNCATED'],
    'gzip without its checksum': [gzipSync(ARCHIVE).subarray(0, -4), 'LAYER_TRUNCATED'],
    'zstd that is cut': [zstd(ARCHIVE).subarray(0, -100), 'LAYER_BAD_COMPRESSION'],
    'zstd without its checksum': [
      zstd(ARCHIVE, { [constants.ZSTD_c_checksumFlag]: 1 }).subarray(0, -1),
      'LAYER_BAD_COMPRESSION',
    ],
    'zstd with something after it': [
      Buffer.concat([zstd(ARCHIVE), Buffer.from('rubbish')]),
      'LAYER_BAD_COMPRESSION',
    ],
    'zstd with zeros after it': [Buffer.concat([zstd(ARCHIVE), Buffer.alloc(100)]), 'LAYER_BAD_COMPRESSION'],
    'a plain tar as gzip': [ARCHIVE, 'LAYER_BAD_COMPRESSION', { compression: 'gzip' }],
    'a plain tar as zstd': [ARCHIVE, 'LAYER_BAD_COMPRESSION', { compression: 'zstd' }],
    'gzip as a plain tar': [gzipSync(ARCHIVE), 'LAYER_NOT_A_TAR', { compression: 'none' }],
    'gzip in gzip': [gzipSync(gzipSync(ARCHIVE)), 'LAYER_NOT_A_TAR'],
    'zstd as gzip': [zstd(ARCHIVE), 'LAYER_BAD_COMPRESSION', { compression: 'gzip' }],
    'gzip whose header has a wrong checksum': [
      withHeaderFields(gzipSync(ARCHIVE)).fill(0, 30, 31),
      'LAYER_BAD_COMPRESSION',
    ],
    'a skippable frame and lz4': [
      Buffer.concat([SKIPPABLE, Buffer.from('04224d18', 'hex'), ARCHIVE]),
      'LAYER_BAD_COMPRESSION',
    ],
    'nothing as a root filesystem': [Buffer.alloc(0), 'LAYER_TRUNCATED', { compression: 'auto' }],
    'a packed nothing as a root filesystem': [gzipSync(''), 'LAYER_TRUNCATED', { compression: 'auto' }],
    'nothing as gzip': [Buffer.alloc(0), 'LAYER_TRUNCATED', { compression: 'gzip' }],
    'nothing as zstd': [Buffer.alloc(0), 'LAYER_TRUNCATED', { compression: 'zstd' }],
  };
  for (const [name, [blob, code, changes]] of Object.entries(cases)) {
    test(name, async () => {
      for (const chunk of [blob.length || 1, 4096])
        expect(await codeOf(unpacked(blob, changes, chunk))).toBe(code);
    });
  }

  test('by name, as what the first bytes are', async () => {
    const padding = Buffer.alloc(600, 7);
    const hex = (digits: string) => Buffer.concat([Buffer.from(digits, 'hex'), padding]);
    const formats: [found: string | undefined, blob: Buffer][] = [
      ['xz', hex('fd377a585a00')],
      ['bzip2', hex('425a6839314159265359')],
      ['lz4', hex('04224d18')],
      ['lzip', hex('4c5a495001')],
      ['lzma', hex('5d00008000')],
      ['lzop', hex('894c5a4f000d0a1a0a')],
      ['compress', hex('1f9d90')],
      ['zip', hex('504b0304')],
      ['zip', Buffer.from('504b0506', 'hex')],
      ['7z', hex('377abcaf271c')],
      ['rar', hex('526172211a0700')],
      ['cpio', Buffer.from('070701'.padEnd(700, '0'))],
      ['ar', Buffer.from('!<arch>\ndebian-binary'.padEnd(700))],
      ['rpm', hex('edabeedb')],
      ['squashfs', hex('68737173')],
      ['qcow2', hex('514649fb')],
      ['HTML', Buffer.from('<!DOCTYPE html><title>Sign in</title>')],
      ['HTML', Buffer.from(`\xef\xbb\xbf\n<HTML>${'x'.repeat(600)}`, 'latin1')],
      ['JSON', Buffer.from('{"errors":[{"code":"UNAUTHORIZED"}]}')],
      ['text', Buffer.from('version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n')],
      [undefined, padding],
    ];
    for (const [found, blob] of formats) {
      for (const packed of [blob, gzipSync(blob)]) {
        const { code, subject } = await failureOf(unpacked(packed, {}, 100));
        expect({ code, subject } as object).toEqual({ code: 'LAYER_NOT_A_TAR', subject: { found } });
      }
    }
  });

  test('a flipped bit anywhere in a compressed blob', async () => {
    for (const blob of [gzipSync(ARCHIVE), zstd(ARCHIVE, { [constants.ZSTD_c_checksumFlag]: 1 })]) {
      for (let at = 12; at < blob.length; at += Math.ceil(blob.length / 50)) {
        const bad = Buffer.from(blob);
        bad[at] = (bad[at] ?? 0) ^ 0x10;
        expect(await codeOf(unpacked(bad))).toStartWith('LAYER_');
      }
    }
  });
});

describe('the blob is judged first', () => {
  const expected = (blob: Buffer) =>
    ({ digest: sha256(blob), diffId: sha256(ARCHIVE), size: blob.length }) as never;

  test('a damaged blob is a digest mismatch, whatever else it causes', async () => {
    for (const blob of [gzipSync(ARCHIVE), zstd(ARCHIVE), ARCHIVE]) {
      for (let at = 0; at < blob.length; at += Math.ceil(blob.length / 40)) {
        const bad = Buffer.from(blob);
        bad[at] = (bad[at] ?? 0) ^ 1;
        expect(await codeOf(unpacked(bad, { expected: expected(blob), compression: 'auto' }))).toBe(
          'LAYER_DIGEST_MISMATCH',
        );
      }
    }
  });

  test('one that is too short or too long is a size mismatch, and no byte after the first too many is read', async () => {
    const blob = gzipSync(ARCHIVE);
    const short = await failureOf(unpacked(blob.subarray(0, -1), { expected: expected(blob) }));
    expect(short).toMatchObject({
      code: 'LAYER_SIZE_MISMATCH',
      subject: { expected: blob.length, actual: blob.length - 1, when: 'actual' },
    });
    const long = await failureOf(
      unpacked(Buffer.concat([blob, Buffer.alloc(1_000_000)]), { expected: expected(blob) }, 1000),
    );
    expect(long.code).toBe('LAYER_SIZE_MISMATCH');
    const { actual } = long.subject as { actual: number };
    expect(actual).toBeGreaterThan(blob.length);
    expect(actual).toBeLessThan(blob.length + 1001);
  });

  test('a whole blob with a bad tar is a bad tar', async () => {
    const bad = Buffer.from(ARCHIVE);
    bad[0] = 0x7f;
    const blob = gzipSync(bad);
    expect(
      await codeOf(
        unpacked(blob, { expected: { ...(expected(blob) as object), diffId: undefined } as never }),
      ),
    ).toBe('LAYER_BAD_HEADER');
  });

  test('another diffID is told with both', async () => {
    const blob = gzipSync(ARCHIVE);
    const wrong = sha256(Buffer.from('other'));
    const failure = await failureOf(
      unpacked(blob, { expected: { ...(expected(blob) as object), diffId: wrong } as never }),
    );
    expect(failure).toMatchObject({
      code: 'LAYER_DIFFID_MISMATCH',
      subject: { expected: wrong, actual: sha256(ARCHIVE) },
    });
  });
});

describe('budgets', () => {
  const bomb = gzipSync(tar([{ name: 'zeros', content: Buffer.alloc(8 * 2 ** 20) }]));

  test('bytes, entries, ratio and what a disk limit leaves', async () => {
    const budget = (changes: object) => ({ budget: { ...ROOMY, ...changes } });
    const failure = async (changes: Partial<UnpackRequest>) => {
      const { code, subject } = await failureOf(unpacked(bomb, changes));
      return { code, subject } as unknown;
    };
    expect(await failure(budget({ tarBytes: 9_000_000, ratioFloor: 2 ** 20 }))).toEqual({
      code: 'LAYER_TOO_LARGE',
      subject: { what: 'bytes for each compressed byte', limit: 200 },
    });
    expect(await failure(budget({ tarBytes: 2 ** 20 }))).toEqual({
      code: 'LAYER_TOO_LARGE',
      subject: { what: 'bytes', limit: 2 ** 20 },
    });
    expect(await failure({ quotaBytes: 2 ** 20 })).toMatchObject({
      code: 'LAYER_EXCEEDS_QUOTA',
      subject: { limit: 2 ** 20 },
    });
    expect(await codeOf(unpacked(ARCHIVE, budget({ entries: 1 })))).toBe('LAYER_TOO_LARGE');
    expect(
      (
        await unpacked(ARCHIVE, {
          ...budget({ entries: 2, tarBytes: ARCHIVE.length }),
          quotaBytes: ARCHIVE.length,
        })
      ).names,
    ).toEqual(TREE);
  });
});

describe('ZstdFrames', () => {
  const walk = (data: Buffer, chunk: number): ZstdFrames => {
    const frames = new ZstdFrames();
    for (let at = 0; at < data.length; at += chunk) frames.push(data.subarray(at, at + chunk));
    frames.end();
    return frames;
  };

  test('finds the end of every frame and the largest window, in any chunks', () => {
    for (const [level, log] of [
      [1, 20],
      [3, 21],
      [19, 23],
      [3, 27],
    ] as const) {
      const params = { [constants.ZSTD_c_compressionLevel]: level, [constants.ZSTD_c_windowLog]: log };
      const data = Buffer.concat([
        zstd(CONTENT, params),
        SKIPPABLE,
        zstd(Buffer.alloc(0), params),
        zstd(Buffer.alloc(10), params),
      ]);
      for (const chunk of [1, 7, 4096, data.length]) {
        expect(walk(data, chunk).largestWindow).toBeGreaterThanOrEqual(CONTENT.length);
        expect(walk(data, chunk).largestWindow).toBeLessThanOrEqual(2 ** log);
      }
    }
  });

  test('refuses windows over 128 MiB by name, given or by content size', () => {
    const given = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, (28 - 10) << 3]);
    const single = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 4, 0, 0, 0]);
    for (const data of [given, single]) {
      expect(() => walk(data, 1)).toThrow(expect.objectContaining({ code: 'LAYER_TOO_LARGE' }));
    }
  });

  test('refuses a cut at any byte', () => {
    const data = zstd(Buffer.from('some text, some text'), { [constants.ZSTD_c_checksumFlag]: 1 });
    for (let end = 1; end < data.length; end += 1) {
      expect(() => walk(data.subarray(0, end), 5)).toThrow(
        expect.objectContaining({ code: 'LAYER_BAD_COMPRESSION' }),
      );
    }
  });
});
