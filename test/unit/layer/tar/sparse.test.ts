/** Sparse files in each form that programs write, made by the programs themselves and by hand. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { closeSync, ftruncateSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from 'node:fs';
import type { UnpackRequest } from '../../../../lib/layer/tree/types.ts';
import { verifyTree } from '../../../../lib/layer/tree/verify-tree.ts';
import {
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
} from '../../../support/images/tar-writer.ts';
import { failureOf, listTree, ROOMY, requestIn, unpack } from '../../../support/images/unpack.ts';
import { must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

const KiB = 1024;
const GiB = KiB ** 3;

let dir: TempDir;
let count = 0;
beforeAll(() => {
  dir = tempDir();
});
afterAll(async () => {
  await dir.remove();
});

async function unpacked(archive: Uint8Array, chunk = 65536, changes: Partial<UnpackRequest> = {}) {
  count += 1;
  const request = requestIn(dir.at(`case-${count}`), changes);
  const result = await unpack(request, archive, chunk);
  expect([...verifyTree(request.target, request.manifestPath)]).toEqual([]);
  return { result, at: (name: string) => `${request.target}/${name}`, names: listTree(request.target) };
}

/** Data of 5000 bytes at each of these offsets, and a size. */
const FILES: Record<string, readonly [size: number, at: readonly number[]]> = {
  'hole-first': [300 * KiB + 5000, [300 * KiB]],
  'hole-last': [700 * KiB, [0]],
  'many-pieces': [200 * 16 * KiB, Array.from({ length: 200 }, (_, i) => i * 16 * KiB)],
  'nothing-but-hole': [300 * KiB, []],
  'five-pieces': [500 * KiB + 1, [0, 1, 2, 3, 4].map((i) => i * 100 * KiB)],
};

function makeFiles(directory: string): void {
  mkdirSync(directory);
  for (const [name, [size, offsets]] of Object.entries(FILES)) {
    const fd = openSync(`${directory}/${name}`, 'w');
    ftruncateSync(fd, size);
    for (const at of offsets) writeSync(fd, Buffer.alloc(5000, `${name} ${at} `), 0, 5000, at);
    closeSync(fd);
  }
}

const WRITERS: Record<string, readonly string[]> = {
  'GNU tar, old form': ['tar', '--format=gnu', '-S'],
  'GNU tar, PAX 0.0': ['tar', '--format=posix', '-S', '--sparse-version=0.0'],
  'GNU tar, PAX 0.1': ['tar', '--format=posix', '-S', '--sparse-version=0.1'],
  'GNU tar, PAX 1.0': ['tar', '--format=posix', '-S', '--sparse-version=1.0'],
  bsdtar: ['bsdtar', '--format=pax'],
};

const EXTENT_TREE_BYTES = 3 * 4096;

describe('written by programs', () => {
  beforeAll(() => makeFiles(dir.at('files')));

  for (const [name, [program = '', ...args]] of Object.entries(WRITERS)) {
    test(`${name}: the same content, and holes where there were some`, async () => {
      const file = dir.at(`${name}.tar`);
      await must(program, [...args, '-cf', file, '-C', dir.at('files'), ...Object.keys(FILES)]);
      const archive = readFileSync(file);
      expect(archive.length).toBeLessThan(2 * 1024 * KiB);
      for (const chunk of [archive.length, 700]) {
        const { result, at } = await unpacked(archive, chunk);
        for (const [one, [size, offsets]] of Object.entries(FILES)) {
          expect(readFileSync(at(one)).equals(readFileSync(`${dir.at('files')}/${one}`))).toBe(true);
          const { size: found, blocks } = statSync(at(one));
          expect(found).toBe(size);
          // 5000 bytes are two blocks of 4 KiB. XFS counts the blocks of the extents' B+tree too, once it has written
          // more extents than the inode holds.
          expect(blocks * 512).toBeLessThanOrEqual(offsets.length * 8192 + EXTENT_TREE_BYTES);
        }
        expect(result.fileBytes).toBeLessThanOrEqual(208 * 8192);
        expect(result.fileBytes).toBeGreaterThanOrEqual(208 * 5000);
      }
    });
  }
});

const ONE: Readonly<Record<string, string>> = { 'GNU.sparse.major': '1', 'GNU.sparse.minor': '0' };
const sized = (size: number | string, name = 'x') => ({
  ...ONE,
  'GNU.sparse.name': name,
  'GNU.sparse.realsize': String(size),
});

/** Version 1.0: a map in front of the data. */
function one(map: string, data: string, records: Readonly<Record<string, string>>): Buffer {
  const padded = Buffer.alloc(Math.ceil(map.length / 512) * 512);
  padded.write(map);
  const content = Buffer.concat([padded, Buffer.from(data)]);
  return tar([{ name: 'GNUSparseFile.1/x', content, pax: records }]);
}

function zeroPoint(records: readonly (readonly [string, string])[], spec: EntrySpec): Buffer {
  const body = Buffer.concat(records.map(([key, value]) => paxRecord(`GNU.sparse.${key}`, value)));
  return tar([rawPax(body), spec]);
}

interface OldSpec {
  readonly pairs: readonly (readonly [number, number])[];
  readonly size: number;
  readonly data: string;
  readonly extensions?: readonly Buffer[];
  readonly format?: 'gnu' | 'ustar' | 'v7';
}

function old({ pairs, size, data, extensions = [], format = 'gnu' }: OldSpec): Buffer {
  const block = header({ name: 'x', type: 'S', format, content: data });
  pairs.forEach(([offset, length], i) => {
    block.write(`${octal(offset)}\0${octal(length)}\0`, 386 + 24 * i, 'latin1');
  });
  block[482] = extensions.length > 0 ? 1 : 0;
  block.write(octal(size), 483, 'latin1');
  const content = entry({ name: '', content: data }).subarray(512);
  return tar([checksum(block), ...extensions, content]);
}

function octal(value: number): string {
  return value.toString(8).padStart(11, '0');
}

describe('made by hand', () => {
  const zero = (count: number) => '\0'.repeat(count);
  const cases: Record<string, [Buffer, string]> = {
    '1.0, with signs and leading zeros': [one('+1\n0003\n+002\n', 'ab', sized('006')), `${zero(3)}ab\0`],
    '1.0, GNU.sparse.size before realsize': [
      one('0\n', '', { ...sized(9), 'GNU.sparse.size': '2' }),
      zero(2),
    ],
    '1.0, a map of two blocks': [one(`1\n${'0'.repeat(508)}1\n1\n`, 'a', sized(3)), '\0a\0'],
    '0.1 without a version': [
      zeroPoint(
        [
          ['map', '1,2,4,1'],
          ['numblocks', '2'],
          ['size', '6'],
          ['name', 'x'],
        ],
        { name: 'GNUSparseFile.1/x', content: 'abc' },
      ),
      '\0ab\0c\0',
    ],
    '0.0': [
      zeroPoint(
        [
          ['size', '6'],
          ['numblocks', '2'],
          ['offset', '1'],
          ['numbytes', '2'],
          ['offset', '4'],
          ['numbytes', '1'],
        ],
        { name: 'x', content: 'abc' },
      ),
      '\0ab\0c\0',
    ],
    'old, pieces without data': [
      old({
        pairs: [
          [0, 0],
          [2, 1],
          [3, 0],
        ],
        size: 5,
        data: 'a',
      }),
      `${zero(2)}a${zero(2)}`,
    ],
    'old, an empty extension': [old({ pairs: [[0, 1]], size: 2, data: 'a', extensions: [zeros(1)] }), 'a\0'],
    'nothing at all': [one('0\n', '', sized(0)), ''],
  };
  for (const [name, [archive, content]] of Object.entries(cases)) {
    test(name, async () => {
      const { names } = await unpacked(archive, 100);
      expect(names).toEqual({ '/': 'd 755 0:0', x: `f 644 0:0 ${content}` });
    });
  }

  test('what follows a sparse file is read', async () => {
    const first = one('1\n4096\n3\n', 'abc', sized(10_000)).subarray(0, -1024);
    const { names } = await unpacked(tar([first, { name: 'y', content: 'next' }]));
    expect(names).toEqual({ '/': 'd 755 0:0', x: 'f 644 0:0 10000 bytes', y: 'f 644 0:0 next' });
  });

  test('its disk is what data takes in blocks, and so is its size to the limits', async () => {
    // A byte in every other block of 4 KiB.
    const pieces = Array.from({ length: 100 }, (_, i) => `${i * 8192}\n1\n`).join('');
    const archive = one(`100\n${pieces}`, 'x'.repeat(100), sized(100 * 8192));
    const { result } = await unpacked(archive);
    expect(result.fileBytes).toBe(100 * 4096);
    const tight = { quotaBytes: 300 * KiB };
    expect(archive.length).toBeLessThan(tight.quotaBytes);
    const { code, subject } = await failureOf(unpacked(archive, 65536, tight));
    expect(code).toBe('LAYER_EXCEEDS_QUOTA');
    expect(subject).toMatchObject({ limit: tight.quotaBytes });
    // Holes count for nothing.
    const hole = one('1\n0\n1\n', 'x', sized(2 ** 30));
    expect((await unpacked(hole, 65536, tight)).result.fileBytes).toBe(4096);
  });
});

describe('refused', () => {
  const bad = 'LAYER_BAD_HEADER';
  const large = 'LAYER_TOO_LARGE';
  const unsupported = 'LAYER_UNSUPPORTED_ENTRY';
  const cases: Record<string, [Buffer, string]> = {
    'pieces that overlap': [one('2\n0\n2\n1\n1\n', 'abc', sized(9)), bad],
    'pieces in another order': [one('2\n4\n1\n0\n1\n', 'ab', sized(9)), bad],
    'a piece beyond the end': [one('1\n8\n2\n', 'ab', sized(9)), bad],
    'more data than pieces': [one('1\n0\n1\n', 'ab', sized(9)), bad],
    'less data than pieces': [one('1\n0\n3\n', 'ab', sized(9)), bad],
    'a negative offset': [one('1\n-1\n2\n', 'ab', sized(9)), bad],
    'a piece of 2^63 bytes': [one('1\n0\n9223372036854775808\n', 'ab', sized(9)), bad],
    'more pieces than the map has': [one('5\n0\n2\n', 'ab', sized(9)), bad],
    'a map without lines': [one('9'.repeat(2000), '', sized(9)), bad],
    'a map of words': [one('two\n', '', sized(9)), bad],
    'a map of 2 MiB': [one(`300000\n${'0\n0\n'.repeat(300_000)}`, '', sized(9)), bad],
    'a size that is none': [one('0\n', '', sized('many')), bad],
    'a negative size': [one('0\n', '', sized('-1')), bad],
    'a name with NUL': [one('0\n', '', sized(1, 'x\0y')), bad],
    'holes of more than 4 GiB': [one('0\n', '', sized(4 * GiB + 1)), large],
    'holes of more than 4 GiB in two files': [
      tar(['x', 'y'].map((name) => one('0\n', '', sized(3 * GiB, name)).subarray(0, -1024))),
      large,
    ],
    'a size beyond all': [one('0\n', '', sized(2 ** 50)), large],
    'a version of tomorrow': [
      one('0\n', '', { ...sized(1), 'GNU.sparse.major': '2', 'GNU.sparse.minor': '0' }),
      unsupported,
    ],
    'records without a map': [tar([{ name: 'x', pax: { 'GNU.sparse.name': 'y' } }]), unsupported],
    'a directory': [tar([{ name: 'x', type: '5', pax: sized(1) }]), bad],
    'a link': [tar([{ name: 'x', type: '2', link: 'y', pax: sized(1) }]), bad],
    'a long name that is another': [
      tar([longName('other'), one('0\n', '', sized(1)).subarray(0, -1024)]),
      bad,
    ],
    '0.1 with another number of pieces': [
      zeroPoint(
        [
          ['map', '1,2'],
          ['numblocks', '2'],
          ['size', '6'],
        ],
        { name: 'x', content: 'ab' },
      ),
      bad,
    ],
    '0.0 that begins with a length': [zeroPoint([['numbytes', '1']], { name: 'x' }), bad],
    '0.0 with a comma': [zeroPoint([['offset', '1,2']], { name: 'x' }), bad],
    'old in ustar': [old({ pairs: [], size: 1, data: '', format: 'ustar' }), unsupported],
    'old in v7': [old({ pairs: [], size: 1, data: '', format: 'v7' }), unsupported],
    'old and PAX at once': [tar([pax(sized(1)), old({ pairs: [], size: 1, data: '' })]), bad],
    'an old map that is cut': [
      old({ pairs: [], size: 1, data: '', extensions: [zeros(1)] }).subarray(0, 512),
      'LAYER_TRUNCATED',
    ],
    'a map that is cut': [
      // Without its padding and what follows.
      one(`400\n${'0\n0\n'.repeat(400)}`, '', sized(9)).subarray(0, 512 * 4),
      'LAYER_TRUNCATED',
    ],
  };
  for (const [name, [archive, code]] of Object.entries(cases)) {
    test(name, async () => {
      for (const chunk of [archive.length, 700]) {
        expect((await failureOf(unpacked(archive, chunk))).code).toBe(code as never);
      }
    });
  }

  test('an archive in front of holes that the limits do not allow leaves nothing written', async () => {
    const request = requestIn(dir.at('written'), { budget: { ...ROOMY, tarBytes: 2 ** 20 } });
    const { code } = await failureOf(unpack(request, one('0\n', '', sized(2 ** 21))));
    expect(code).toBe('LAYER_TOO_LARGE');
    expect(listTree(request.target)).toEqual({ '/': 'd 755 0:0' });
  });
});
