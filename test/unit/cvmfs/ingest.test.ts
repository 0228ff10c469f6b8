/** The tests' stand-in of the ingest command loses, and refuses, what the real one was seen to lose and refuse. */
import { describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { ingestTar } from '../../support/cvmfs/ingest.ts';
import type { IngestAborted, Ingested, IngestOptions } from '../../support/cvmfs/ingested.ts';
import { type EntrySpec, tar } from '../../support/images/tar-writer.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const PUBLISHED_AT = 1_790_000_000;
const OLD = { mtime: 1_500_000_000, uid: 5, gid: 6 };
const publisher = { uid: 497, gid: 498, time: { sec: PUBLISHED_AT, nsec: 0 } };

async function ingest(
  dir: TempDir,
  entries: readonly EntrySpec[],
  changes: Partial<IngestOptions> = {},
): Promise<Ingested> {
  const once = async function* () {
    yield tar(entries.map((entry) => ({ ...OLD, ...entry })));
  };
  mkdirSync(dir.at('tree'), { recursive: true });
  return ingestTar(dir.at('tree'), once(), { publisher, keepOwners: true, ...changes });
}

/** Mode, owner and time, as a line. */
function look(dir: TempDir, name: string): string {
  const stat = lstatSync(join(dir.at('tree'), name));
  const time = stat.mtimeMs === PUBLISHED_AT * 1000 ? 'now' : stat.mtimeMs / 1000;
  return `${(stat.mode & 0o7777).toString(8)} ${stat.uid}:${stat.gid} ${time}`;
}

const DUMMY = '755 65534:65534 now';
const late: readonly EntrySpec[] = [
  { name: 'usr/lib/x', content: 'x', mode: 0o600 },
  { name: 'usr/lib/', type: '5', mode: 0o700 },
  { name: 'usr/', type: '5', mode: 0o1777 },
  { name: './', type: '5', mode: 0o711 },
];

describe('directories', () => {
  test('whose entry comes after one below them keep the dummy, and the real entry is lost', async () => {
    await using dir = tempDir();
    const made = await ingest(dir, late);
    expect(['', 'usr', 'usr/lib'].map((name) => look(dir, name))).toEqual([DUMMY, DUMMY, DUMMY]);
    expect(look(dir, 'usr/lib/x')).toBe('600 5:6 1500000000');
    expect<unknown>([...made.late].sort()).toEqual(['', 'usr', 'usr/lib']);
    expect([made.explicitRoot, made.implied.size]).toEqual([false, 2]);
  });

  test('whose entry comes first are as it says', async () => {
    await using dir = tempDir();
    const made = await ingest(dir, late.toReversed());
    expect(['', 'usr', 'usr/lib'].map((name) => look(dir, name))).toEqual([
      '711 5:6 1500000000',
      '1777 5:6 1500000000',
      '700 5:6 1500000000',
    ]);
    expect([made.late.size, made.implied.size, made.explicitRoot]).toEqual([0, 0, true]);
  });

  test('with two entries are as the first says', async () => {
    await using dir = tempDir();
    const made = await ingest(dir, [
      { name: 'd/', type: '5', mode: 0o700 },
      { name: 'd/', type: '5', mode: 0o755 },
    ]);
    expect([look(dir, 'd'), made.late.size]).toEqual(['700 5:6 1500000000', 0]);
  });
});

describe('owners', () => {
  const entries: readonly EntrySpec[] = [{ name: 'made/up', content: 'x', mode: 0o4755 }];
  const ways: readonly (readonly [
    what: string,
    changes: Partial<IngestOptions>,
    dummy: string,
    file: string,
  ])[] = [
    ['are kept with -k, and dummies belong to -1', {}, '65534:65534', '5:6'],
    ['are kept by 2.11, and dummies belong to the publisher', { server: '2.11' }, '497:498', '5:6'],
    ['are lost without -k', { keepOwners: false }, '497:498', '497:498'],
    [
      'are those of -u, but for the catalog file',
      { keepOwners: false, user: { uid: 998, gid: 997 }, publisher: { ...publisher, uid: 0, gid: 0 } },
      '998:997',
      '998:997',
    ],
  ];
  for (const [what, changes, dummy, file] of ways) {
    test(what, async () => {
      await using dir = tempDir();
      await ingest(dir, entries, changes);
      const { uid, gid } = changes.publisher ?? publisher;
      expect(['', 'made'].map((name) => look(dir, name))).toEqual([`755 ${dummy} now`, `755 ${dummy} now`]);
      expect(look(dir, 'made/up')).toBe(`4755 ${file} 1500000000`);
      expect(look(dir, '.cvmfscatalog')).toBe(`664 ${uid}:${gid} now`);
    });
  }
});

describe('the command aborts', () => {
  const twice = (name: string): EntrySpec[] => [
    { name, content: '' },
    { name, content: '' },
  ];
  const cases: readonly (readonly [what: string, entries: EntrySpec[], reason: IngestAborted['reason']])[] = [
    ['a marker that is there twice', twice('d/.wh..wh..opq'), 'name_twice'],
    ['a file that is there twice', twice('f'), 'name_twice'],
    [
      'a whiteout of a hidden name, and then a file of that name',
      [
        { name: 'd/.wh..hidden', content: '' },
        { name: 'd/.hidden', content: 'x' },
      ],
      'whiteout_and_name',
    ],
    [
      'a file that becomes a directory',
      [
        { name: 'f', content: '' },
        { name: 'f/', type: '5' },
      ],
      'name_twice',
    ],
    [
      'a directory that becomes a link',
      [
        { name: 'd/x', content: '' },
        { name: 'd', type: '2', link: 'e' },
      ],
      'name_twice',
    ],
    [
      'a name behind a link',
      [
        { name: 'usr/', type: '5' },
        { name: 'lib', type: '2', link: 'usr' },
        { name: 'lib/x', content: '' },
      ],
      'below_other',
    ],
    ['a hard link whose target is in another layer', [{ name: 'l', type: '1', link: 'f' }], 'bad_link'],
    [
      'a hard link to a directory',
      [
        { name: 'd/', type: '5' },
        { name: 'l', type: '1', link: 'd' },
      ],
      'bad_link',
    ],
    ['a catalog file in the root', [{ name: '.cvmfscatalog', content: '' }], 'name_twice'],
  ];
  for (const [what, entries, reason] of cases) {
    test(`at ${what}`, async () => {
      await using dir = tempDir();
      await expect(ingest(dir, entries)).rejects.toMatchObject({ reason });
    });
  }
});

test('a whiteout and a file of the same plain name are two names', async () => {
  await using dir = tempDir();
  await ingest(dir, [
    { name: '.wh.f', content: '' },
    { name: 'f', content: 'x' },
    { name: 'l', type: '1', link: 'f' },
  ]);
  expect(readdirSync(dir.at('tree')).sort()).toEqual(['.cvmfscatalog', '.wh.f', 'f', 'l']);
  expect(lstatSync(dir.at('tree/l')).nlink).toBe(1);
});

test('a hard link may come before its target', async () => {
  await using dir = tempDir();
  await ingest(dir, [
    { name: 'l', type: '1', link: 'f' },
    { name: 'f', content: 'x', mode: 0o4711 },
  ]);
  expect(look(dir, 'l')).toBe('4711 5:6 1500000000');
});

test('a device is kept', async () => {
  await using dir = tempDir();
  await ingest(dir, [{ name: 'dev/null', type: '3', mode: 0o666 }]);
  expect(lstatSync(dir.at('tree/dev/null')).isCharacterDevice()).toBe(true);
  expect(look(dir, 'dev/null')).toBe('666 5:6 1500000000');
});
