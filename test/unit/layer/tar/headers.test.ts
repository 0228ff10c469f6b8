/** Headers as Go's archive/tar reads or refuses them: numbers of every field, global headers, and reasons that quote nothing. */
import { describe, expect, test } from 'bun:test';
import { PluginError } from '../../../../lib/base/errors/error.ts';
import type { LayerEntry } from '../../../../lib/layer/tar/entry.ts';
import { BadHeader, parsePax } from '../../../../lib/layer/tar/pax.ts';
import { TarReader } from '../../../../lib/layer/tar/reader.ts';
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
} from '../../../support/images/tar-writer.ts';

function read(archive: Buffer): LayerEntry[] | string {
  const entries: LayerEntry[] = [];
  const reader = new TarReader(
    { entry: (one) => entries.push(one), content() {}, endOfContent() {} },
    2 ** 40,
  );
  try {
    reader.push(archive);
    reader.end();
  } catch (error) {
    if (error instanceof PluginError) return `${error.code}: ${error.subject['reason']}`;
    throw error;
  }
  return entries;
}
const first = (pieces: (EntrySpec | Uint8Array)[]) => {
  const entries = read(tar(pieces));
  return typeof entries === 'string' ? entries : entries[0];
};
/** A block with bytes at an offset, and its checksum right again. */
const patched = (spec: EntrySpec, at: number, text: string | Uint8Array) => {
  const block = header(spec);
  block.set(Buffer.from(text), at);
  return checksum(block);
};

describe('PAX numbers', () => {
  test.each(['0', '+0', '-0', '000', '-000'])('%j is 0', (text) => {
    const body = Buffer.concat(['uid', 'gid', 'size'].map((key) => paxRecord(key, text)));
    expect(parsePax(body)).toMatchObject({ uid: 0, gid: 0, size: 0 });
    expect(Object.is(parsePax(body).uid, 0)).toBe(true);
  });
  test.each(['7', '+7', '007', '+000000000000000000000000007'])('%j is 7', (text) => {
    const body = Buffer.concat(['uid', 'gid', 'size'].map((key) => paxRecord(key, text)));
    expect(parsePax(body)).toMatchObject({ uid: 7, gid: 7, size: 7 });
  });
  test.each(['-7', '--7', '+-7', '+', '-', ' 7', '7 ', '0x7', '7_0', '1e1', '7.0', '٧'])(
    '%j is refused',
    (text) => {
      for (const key of ['uid', 'gid', 'size'])
        expect(() => parsePax(paxRecord(key, text))).toThrow(BadHeader);
    },
  );
  test('an empty value takes the record back', () => {
    const body = Buffer.concat([paxRecord('uid', '+007'), paxRecord('uid', '')]);
    expect(parsePax(body)).not.toHaveProperty('uid');
  });
});

describe('no reason repeats what a header without checksum says', () => {
  const KEYS = [
    'uid',
    'gid',
    'size',
    'mtime',
    'atime',
    'GNU.sparse.offset',
    'GNU.sparse.map',
    'GNU.sparse.size',
  ];
  test.each(KEYS)('%s', (key) => {
    const records =
      key === 'GNU.sparse.size' ? { [key]: 'CANARY', 'GNU.sparse.map': '0,1' } : { [key]: 'CANARY,1' };
    const said = read(tar([pax(records), { name: 'x' }]));
    expect(said).toStartWith('LAYER_BAD_HEADER: ');
    expect(said).not.toContain('CANARY');
  });
  test.each(['CANARY', '9999 CANARY=x\n', '10 CANARY=\n', '12 CANARY x\n', '12 CANA\0Y=x\n'])(
    'a body %j',
    (body) => {
      expect(read(tar([{ name: 'first' }, rawPax(body), { name: 'x' }]))).toMatch(
        /^LAYER_BAD_HEADER: [^C]* in the extended header at byte 512$/,
      );
    },
  );
  test('a global header', () => {
    expect(read(tar([pax({ CANARY: 'CANARY' }, 'g')]))).toBe(
      'LAYER_BAD_HEADER: a global header sets more than a comment in the extended header at byte 0',
    );
  });
});

describe('a global header between an extended one and its entry', () => {
  const global = pax({ comment: 'commit' }, 'g');
  test.each([
    ['a PAX header', pax({ path: 'other', uid: '7' })],
    ['a long name', longName('other')],
    ['a long link', longName('other', 'K')],
  ])('ends %s', (_name, before) => {
    expect(first([before, global, { name: 'own', type: '2', link: 'to' }])).toMatchObject({
      name: 'own',
      uid: 0,
      target: 'to',
    });
    expect(first([global, before, { name: 'own', type: '2', link: 'to' }])).not.toMatchObject({
      name: 'own',
      target: 'to',
    });
  });
});

describe('every number of a header is one', () => {
  const TYPES = ['0', '1', '2', '3', '5', '6', 'x', 'g', 'L', 'K'];
  const FIELDS: [string, number, number][] = [
    ['mode', 100, 8],
    ['uid', 108, 8],
    ['gid', 116, 8],
    ['size', 124, 12],
    ['mtime', 136, 12],
    ['devmajor', 329, 8],
    ['devminor', 337, 8],
  ];
  for (const [field, at, length] of FIELDS) {
    for (const junk of ['junk', '9', '7\0 7 7', '-1', '7 7', '0 \0junk', base256(2n ** 63n, length)]) {
      // What stands behind a NUL is nobody's.
      if (junk === '7\0 7 7' || (typeof junk !== 'string' && length === 8)) continue;
      test(`${field} ${JSON.stringify(junk)}`, () => {
        for (const type of TYPES) {
          for (const format of ['ustar', 'gnu'] as const) {
            const text = typeof junk === 'string' ? junk.padEnd(length, '\0') : junk;
            const block = patched({ name: 'x', type, link: 'y', format }, at, text);
            const followed = entry({ name: 'next' });
            expect([type, format, read(tar([block, followed]))]).toEqual([
              type,
              format,
              expect.stringMatching(/^LAYER_BAD_HEADER: /),
            ]);
          }
        }
      });
    }
  }

  test('device numbers are none before ustar', () => {
    expect(first([patched({ name: 'x', format: 'v7' }, 329, 'junk')])).toMatchObject({ name: 'x' });
  });

  test('the times of star', () => {
    const star = (time: string) =>
      first([
        patched(
          { name: 'x', format: 'ustar' },
          476,
          Buffer.concat([Buffer.from(time.padEnd(32, '\0')), Buffer.from('tar\0')]),
        ),
      ]);
    expect(star('00000000001\0')).toMatchObject({ name: 'x' });
    expect(star('junk')).toBe('LAYER_BAD_HEADER: starAtime is no number');
  });

  test('one whose value PAX replaces', () => {
    expect(first([pax({ uid: '1' }), { name: 'x', uid: 'junk' }])).toBe('LAYER_BAD_HEADER: uid is no number');
  });

  test('any number will do as size of what has no content', () => {
    for (const size of ['00000000777\0', base256(-1n, 12), base256(2n ** 60n, 12)])
      expect(first([{ name: 'd', type: '5', size }])).toMatchObject({ name: 'd', kind: 'directory' });
  });

  test('a checksum is never in base-256', () => {
    const block = header({ name: 'x' });
    const sum = BigInt(Number.parseInt(block.toString('latin1', 148, 154), 8));
    block.set(base256(sum, 8), 148);
    expect(read(tar([block]))).toStartWith('LAYER_BAD_HEADER: the checksum of the header');
  });
});

test.each([
  [2n ** 40n, 2 ** 40],
  [-(2n ** 40n), -(2 ** 40)],
  [2n ** 60n, Number.MAX_SAFE_INTEGER - 1],
  [2n ** 63n - 1n, Number.MAX_SAFE_INTEGER - 1],
  [-(2n ** 63n), -(Number.MAX_SAFE_INTEGER - 1)],
])('an mtime of %d in base-256 is %d', (value, sec) => {
  expect(first([{ name: 'x', mtime: base256(value, 12) }])).toMatchObject({ mtime: { sec, nsec: 0 } });
});
test.each([2n ** 63n, -(2n ** 63n) - 1n, 2n ** 90n])('an mtime of %d in base-256 is refused', (value) => {
  expect(first([{ name: 'x', mtime: base256(value, 12) }])).toBe('LAYER_BAD_HEADER: mtime is no number');
});
