import { describe, expect, test } from 'bun:test';
import { type DiffId, digestOf } from '../../../lib/base/digest.ts';
import type { IdMappings } from '../../../lib/base/id-mapping.ts';
import type { FoundLayer, RepositoryDoubt, SoughtLayer } from '../../../lib/cvmfs/found-layer.ts';
import { judgeLayer } from '../../../lib/cvmfs/judge-layer.ts';
import { pathsOf } from '../../../lib/cvmfs/locate.ts';
import type { LayerAnswer, RepositoryAnswer } from '../../../lib/cvmfs/probe-protocol.ts';
import { formatLayerRecord } from '../../../lib/cvmfs/records.ts';
import { judgeProbe, judgeRepository, type RepositoryState } from '../../../lib/cvmfs/repository.ts';
import { cvmfsSettings, type RepositoryFile } from '../../../lib/cvmfs/settings.ts';
import { parseSingularity } from '../../../lib/cvmfs/singularity.ts';

const NAME = 'unpacked.cern.ch';
const HASH = 'a'.repeat(40);
const NOW = 1_800_000_000;

function repository(entry: Partial<RepositoryFile> = {}) {
  const file = { repositories: [{ path: `/cvmfs/${NAME}`, ...entry }] };
  const [made] = cvmfsSettings(file, 'x', '/store').repositories;
  if (made === undefined) throw new Error('no repository');
  return made;
}

describe('a repository', () => {
  const answer = (magic: Record<string, string>, filesystem = 'fuse'): RepositoryAnswer => ({
    ok: true,
    filesystem,
    mount: filesystem === 'fuse' ? undefined : { fsType: filesystem, source: 'x' },
    magic: { fqrn: NAME, revision: '7', root_hash: HASH, expires: '3', ...magic },
  });
  const failed = (code: string): RepositoryAnswer => ({ ok: false, failure: { code, what: code } });
  const pinned = { expires: 'never (fixed root catalog)' };

  const cases: readonly (readonly [
    what: string,
    entry: Partial<RepositoryFile>,
    answer: RepositoryAnswer,
    doubt: string | undefined,
  ])[] = [
    ['alive', {}, answer({}), undefined],
    ['not mounted', {}, answer({}, 'ext4'), 'not_mounted'],
    ['no client', {}, answer({ fqrn: undefined as never }), 'not_cvmfs'],
    ['another one', {}, answer({ fqrn: `${NAME}.evil` }), 'wrong_repository'],
    ['revision 0', {}, answer({ revision: '0' }), 'not_cvmfs'],
    ['no number', {}, answer({ revision: '7x' }), 'not_cvmfs'],
    ['no hash', {}, answer({ root_hash: 'xyz' }), 'not_cvmfs'],
    ['following, and it should be fixed', { revision: 'fixed' }, answer({}), 'not_pinned'],
    ['fixed', { revision: 'fixed' }, answer(pinned), undefined],
    ['fixed at the right hash', { revision: HASH }, answer(pinned), undefined],
    ['fixed at another hash', { revision: 'b'.repeat(40) }, answer(pinned), 'not_pinned'],
    ['at the right hash and not fixed', { revision: HASH }, answer({}), 'not_pinned'],
    ['an error just now', {}, answer({ timestamp_last_ioerr: String(NOW - 10) }), 'io_error'],
    ['an error in the future', {}, answer({ timestamp_last_ioerr: String(NOW + 100) }), 'io_error'],
    ['an error long ago', {}, answer({ timestamp_last_ioerr: String(NOW - 61) }), undefined],
    [
      'an error just now, not looked at',
      { io_error_window_s: 0 },
      answer({ timestamp_last_ioerr: String(NOW) }),
      undefined,
    ],
    ['missing', {}, failed('ENOENT'), 'not_mounted'],
    ['host down, as an automounter says', {}, failed('EHOSTDOWN'), 'not_mounted'],
    ['a file', {}, failed('ENOTDIR'), 'not_mounted'],
    ['dead', {}, failed('ENOTCONN'), 'io_error'],
    ['stale', {}, failed('ESTALE'), 'io_error'],
    ['forbidden', {}, failed('EACCES'), 'io_error'],
    ['a plain directory', { type: 'directory' }, answer({}, 'ext4'), undefined],
    [
      'a plain directory, with an old pin',
      { type: 'directory', revision: 'fixed' },
      answer({}, 'nfs'),
      undefined,
    ],
  ];
  for (const [what, entry, given, doubt] of cases) {
    test(`${what}: ${doubt ?? 'counts'}`, () => {
      const judged = judgeRepository(repository(entry), given, NOW);
      expect<string | undefined>(judged.ok ? undefined : judged.doubt).toBe(doubt);
    });
  }

  test('that does not answer hangs; one whose child ended is an error', () => {
    const outcome = { repository: undefined, steps: [], leftBehind: undefined, milliseconds: 5 };
    const judge = (ended: 'late' | 'died') => judgeProbe(repository(), { ...outcome, ended }, NOW);
    expect([judge('late'), judge('died')]).toMatchObject([{ doubt: 'hang' }, { doubt: 'io_error' }]);
  });
});

describe('a layer', () => {
  const digest = digestOf('blob');
  const diffId = digestOf('tar') as DiffId;
  const sought: SoughtLayer = { digest, diffId, at: { origin: 'oci' } };
  const state: RepositoryState = {
    name: NAME,
    path: '/x',
    revision: '7',
    rootHash: HASH,
    pinned: false,
    client: undefined,
  };
  const NOBODY = '65534:65534';
  type Found = Extract<LayerAnswer, { result: 'found' }>;
  const found: Found = {
    result: 'found',
    root: { mode: 0o755, uid: 0, gid: 0, sec: 0, nsec: 0 },
    publisher: { uid: 497, gid: 497 },
    owners: ['0:0'],
    allOwners: ['0:0'],
    around: NOBODY,
    fingerprint: 'f',
    record: undefined,
    stickyLost: false,
    listed: [],
    companion: false,
  };
  const PLAIN: IdMappings = { uids: [], gids: [] };
  const ranges = [
    { container: 0, host: 4294967294, size: 1 },
    { container: 1, host: 1, size: 4294967293 },
  ];
  const MAPPED: IdMappings = { uids: ranges, gids: ranges };

  function judge(
    changes: Partial<Found>,
    entry: Partial<RepositoryFile> = {},
    mappings = PLAIN,
  ): FoundLayer | RepositoryDoubt {
    const made = repository(entry);
    const paths = pathsOf(made, sought) ?? { directory: 'd', tree: 'layerfs' };
    const judged = judgeLayer({
      repository: made,
      state,
      paths,
      layer: sought,
      answer: { ...found, allOwners: changes.owners ?? found.allOwners, ...changes },
      mappings,
    });
    if ('miss' in judged) throw new Error('missed');
    return 'layer' in judged ? judged.layer : judged;
  }
  const doubtOf = (...args: Parameters<typeof judge>) => {
    const judged = judge(...args);
    return 'doubt' in judged ? judged.doubt : undefined;
  };
  const record = (changes: Partial<Parameters<typeof formatLayerRecord>[0]> = {}) =>
    formatLayerRecord({ digest, diffId, tarBytes: 99, ...changes }, 'now');

  test('lies where its layout says', () => {
    const hex = digest.slice(7);
    expect(pathsOf(repository(), sought)).toEqual({
      directory: `.layers/${hex.slice(0, 2)}/${hex}`,
      tree: 'layerfs',
    });
    expect(pathsOf(repository({ layout: 'graphdriver', subdirectory: 'a/b' }), sought)).toEqual({
      directory: `a/b/layers/${hex}`,
      tree: '',
    });
    expect(pathsOf(repository({ layout: 'flat' }), sought)).toBeUndefined();
    expect(pathsOf(repository({ registries: ['!oci:'] }), sought)).toBeUndefined();
  });

  test('with the right record has its size', () => {
    expect(judge({ record: record() })).toMatchObject({
      tarBytes: 99,
      recordedDigest: digest,
      needsIdmap: false,
    });
    expect(judge({})).toMatchObject({ tarBytes: undefined });
  });

  const records: readonly (readonly [string, string])[] = [
    ['of another blob', record({ digest: digestOf('other') })],
    ['of another tar', record({ diffId: digestOf('other') as DiffId })],
    ['that is empty', ''],
    ['that is no list', '{}'],
    ['of no layer', '[]'],
    [
      'of two layers',
      record().replace(/^\[\n/, `[{"compressed-diff-digest":"${digest}","diff-digest":"${diffId}"},`),
    ],
    [
      'with a digest in capitals',
      record().replace(/sha256:(\w+)/, (_, hex: string) => `sha256:${hex.toUpperCase()}`),
    ],
    ['with a negative size', record({ tarBytes: -1 })],
    ['with a key twice', record().replace('"id"', '"diff-digest": "x", "id"')],
  ];
  for (const [what, text] of records) {
    test(`with a record ${what} is doubtful`, () => expect(doubtOf({ record: text })).toBe('wrong_record'));
  }

  const owners: readonly (readonly [
    what: string,
    changes: Partial<Found>,
    entry: Partial<RepositoryFile>,
    mappings: IdMappings,
    doubt: string | undefined,
  ])[] = [
    ['root and another', { owners: ['0:0', '1000:1000'], around: '0:0' }, {}, PLAIN, undefined],
    ['root alone, published with -k', { owners: ['0:0'] }, {}, PLAIN, undefined],
    ['one user, published with -k', { owners: ['1000:1000'] }, {}, PLAIN, undefined],
    [
      'one user, in a root that the publisher made up (2.11)',
      { owners: ['1000:1000'], allOwners: ['1000:1000', '497:497'], around: '497:497' },
      {},
      PLAIN,
      undefined,
    ],
    ['the publisher alone', { owners: ['497:497'], around: '497:497' }, {}, PLAIN, 'lost_metadata'],
    [
      'the user that root published it for (ingest -u)',
      { owners: ['998:998'], around: '998:998', publisher: { uid: 0, gid: 0 } },
      {},
      PLAIN,
      'lost_metadata',
    ],
    [
      'nobody alone, whose client claims all for nobody',
      { owners: [NOBODY], publisher: { uid: 65534, gid: 65534 } },
      {},
      PLAIN,
      'lost_metadata',
    ],
    [
      'the publisher alone, accepted',
      { owners: ['497:497'], around: '497:497' },
      { lost_metadata: { owners: 'accept' } },
      PLAIN,
      undefined,
    ],
    [
      'one user, in a directory whose root says nothing',
      { owners: ['497:497'], allOwners: ['497:497', '0:0'], around: '0:0' },
      { type: 'directory' },
      PLAIN,
      'lost_metadata',
    ],
    [
      'two users, and who published is unknown',
      { owners: ['5:5', '6:6'], publisher: undefined, around: '0:0' },
      {},
      PLAIN,
      undefined,
    ],
    ['nobody: the layer is empty', { owners: [] }, {}, PLAIN, undefined],
    ['root, in a store with a mapping', { owners: ['0:0'] }, {}, MAPPED, 'wrong_owner'],
    ['the mapped root', { owners: ['4294967294:4294967294'] }, {}, MAPPED, undefined],
    ['one user of the image, in a store with a mapping', { owners: ['1000:1000'] }, {}, MAPPED, undefined],
    [
      'root, in a directory that can be idmapped',
      { owners: ['0:0'] },
      { type: 'directory' },
      MAPPED,
      undefined,
    ],
  ];
  for (const [what, changes, entry, mappings, doubt] of owners) {
    test(`owned by ${what}: ${doubt ?? 'used'}`, () =>
      expect<string | undefined>(doubtOf(changes, entry, mappings)).toBe(doubt));
  }

  const roots: readonly (readonly [string, Partial<Found>, Partial<RepositoryFile>, string])[] = [
    ['a layer of a root publisher', { around: '0:0', publisher: { uid: 0, gid: 0 } }, {}, 'unproven'],
    ['a layer published with -k', {}, {}, 'kept'],
    [
      'a layer of the 2017 layout',
      { around: undefined, publisher: undefined },
      { layout: 'graphdriver' },
      'kept',
    ],
    ['an ingested one in that layout', { around: undefined }, { layout: 'graphdriver' }, 'unproven'],
  ];
  for (const [what, changes, entry, owners] of roots) {
    test(`whose files are all root's: ${what} has ${owners} owners`, () =>
      expect(judge(changes, entry)).toMatchObject({ owners }));
  }

  test('of a plain directory needs an idmapped mount in a store with a mapping, unless it has a mount of its own', () => {
    expect(judge({}, { type: 'directory' }, MAPPED)).toMatchObject({ needsIdmap: true });
    const mounts = [{ store: '/store', path: '/other' }];
    expect(judge({ owners: ['4294967294:0'] }, { type: 'directory', mounts }, MAPPED)).toMatchObject({
      needsIdmap: false,
    });
  });

  test('that is empty, without record and catalog, is half published, but in the layout that has neither', () => {
    const empty = { owners: [], publisher: undefined, around: undefined };
    expect(doubtOf(empty, { layout: 'graphdriver' })).toBeUndefined();
    expect(doubtOf({ owners: [], publisher: undefined })).toBe('half_published');
    expect(doubtOf({ owners: [], publisher: undefined, record: record() })).toBeUndefined();
  });

  test('whose client lists its attributes would fill containers with them', () => {
    expect(doubtOf({ listed: ['user.fqrn', 'user.pid'] })).toBe('unusable_layer');
    expect(doubtOf({ listed: ['user.fqrn'] }, { type: 'directory' })).toBeUndefined();
    expect(doubtOf({ listed: ['security.selinux'] })).toBeUndefined();
  });
});

describe('what a flat root says of its configuration', () => {
  const cases: readonly (readonly [line: string, entry: string | undefined])[] = [
    ['export PATH="/bin"', 'PATH=/bin'],
    [`export A="\${A:-"b"}"`, 'A=b'],
    [`export A="\${B:-"b"}"`, `A=\${B:-"b"}`],
    ['export A=""', 'A='],
    ['export A="\\"q\\" \\$d \\`x\\` \\\\ \\n"', 'A="q" $d `x` \\ \\n'],
    ['export 1A="x"', undefined],
    ['export A=x', undefined],
    ['A="x"', undefined],
    ['unset A', undefined],
  ];
  for (const [line, entry] of cases) {
    test(line, () =>
      expect(parseSingularity(`#!/bin/sh\n${line}\n`, undefined).env).toEqual(
        entry === undefined ? [] : [entry],
      ),
    );
  }

  test('its command', () => {
    const script = `OCI_ENTRYPOINT='"/bin/sh" "-c"'\nOCI_CMD='"echo \\"a b\\"" ""'\nCMDLINE_ARGS=""\n`;
    expect(parseSingularity(undefined, script)).toEqual({
      env: [],
      entrypoint: ['/bin/sh', '-c'],
      cmd: ['echo "a b"', ''],
    });
    expect(parseSingularity(undefined, undefined)).toEqual({ env: [], entrypoint: [], cmd: [] });
  });
});
