/** What the doctor makes of a repository's answers, each with what to do; the answers are a file that a child prints. */
import { expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { silentLogger } from '../../../lib/base/log.ts';
import { diagnoseRepositories, type RepositoryDiagnosis } from '../../../lib/cvmfs/doctor.ts';
import { NO_MEMORY } from '../../../lib/cvmfs/hang-memory.ts';
import type {
  LayerAnswer,
  ProbeLine,
  RandomLayersAnswer,
  RepositoryAnswer,
} from '../../../lib/cvmfs/probe-protocol.ts';
import { cvmfsSettings, type RepositoryFile } from '../../../lib/cvmfs/settings.ts';
import { tempDir } from '../../support/temp.ts';

const NAME = 'unpacked.example.org';
const HASH = 'a'.repeat(40);
const NOW_S = 1_800_000_000;
const CLIENT = 990;

function alive(magic: Record<string, string> = {}): RepositoryAnswer {
  const all = { fqrn: NAME, revision: '7', root_hash: HASH, version: '2.12.7', expires: '3', nioerr: '0' };
  return { ok: true, filesystem: 'fuse', mount: undefined, magic: { ...all, ...magic } };
}

function layer(changes: Partial<Extract<LayerAnswer, { result: 'found' }>> = {}): LayerAnswer {
  return {
    result: 'found',
    root: { mode: 0o40755, uid: CLIENT, gid: CLIENT, sec: 1, nsec: 0 },
    publisher: { uid: CLIENT, gid: CLIENT },
    owners: ['0:0', '1000:1000'],
    allOwners: changes.owners ?? ['0:0', '1000:1000'],
    around: `${CLIENT}:${CLIENT}`,
    fingerprint: 'x',
    record: undefined,
    stickyLost: false,
    listed: [],
    companion: false,
    ...changes,
  };
}

function sampled(answer: LayerAnswer, milliseconds = 12): RandomLayersAnswer {
  const directory = `.layers/aa/${'a'.repeat(64)}`;
  return { result: 'looked at', layers: [{ directory, answer }], read: { bytes: 4096, milliseconds } };
}

interface Told {
  readonly repository: RepositoryAnswer;
  readonly sample?: RandomLayersAnswer;
  readonly entry?: Partial<RepositoryFile>;
  readonly uids?: readonly { container: number; host: number; size: number }[];
}

async function diagnose({ repository, sample, entry, uids = [] }: Told): Promise<RepositoryDiagnosis[]> {
  await using dir = tempDir();
  const lines: ProbeLine[] = [{ line: 'repository', answer: repository }];
  if (sample !== undefined) lines.push({ line: 'step', index: 0, answer: sample });
  writeFileSync(dir.at('answers'), lines.map((line) => `${JSON.stringify(line)}\n`).join(''));
  const file = { path: `/cvmfs/${NAME}`, probe_deadline_ms: 300_000, ...entry };
  const deps = {
    settings: cvmfsSettings({ repositories: [file] }, 'x', '/store'),
    probeCommand: ['/bin/cat', dir.at('answers')],
    mappings: { uids, gids: uids },
    hangs: NO_MEMORY,
    now: () => NOW_S * 1000,
    log: silentLogger,
  };
  // Before the directory goes.
  return await diagnoseRepositories(deps, 1);
}

test('a repository that is as it should be has its revision, and nothing to do', async () => {
  const all = await diagnose({ repository: alive(), sample: sampled(layer()) });
  expect(all.map(({ verdict, advice }) => [verdict, advice])).toEqual([
    ['ok', ''],
    ['ok', ''],
    ['ok', ''],
  ]);
  expect(all[0]?.detail).toBe(
    `/cvmfs/${NAME}: revision 7, root hash ${HASH}, follows new revisions, client 2.12.7`,
  );
  expect(all[2]?.detail).toBe('first read of a file: 4096 bytes in 12 ms');
});

test('one that is pinned says so', async () => {
  const magic = { expires: 'never (fixed root catalog)' };
  const [first] = await diagnose({ repository: alive(magic), entry: { revision: 'fixed' } });
  expect(first).toMatchObject({ verdict: 'ok', detail: expect.stringContaining('pinned') } as never);
});

const failed = (code: string): RepositoryAnswer => ({ ok: false, failure: { code, what: code } });
const nothing: RepositoryAnswer = { ok: true, filesystem: 'ext4', mount: undefined, magic: {} };
const problems: readonly (readonly [what: string, told: Told, doubt: string, advice: RegExp])[] = [
  ['is not mounted', { repository: nothing }, 'not_mounted', /mount -t cvmfs .*cvmfs_config probe/],
  ['has no directory', { repository: failed('ENOENT') }, 'not_mounted', /mount -t cvmfs/],
  ['has a dead client', { repository: failed('ENOTCONN') }, 'io_error', /umount -l .*mount it again/],
  ['is stale', { repository: failed('ESTALE') }, 'io_error', /umount -l/],
  ['is another', { repository: alive({ fqrn: 'other' }) }, 'wrong_repository', /name or path/],
  ['is no CernVM-FS', { repository: alive({ revision: 'x' }) }, 'not_cvmfs', /mount -t cvmfs/],
  [
    'is not pinned',
    { repository: alive(), entry: { revision: 'fixed' } },
    'not_pinned',
    /CVMFS_ROOT_HASH|revision: follow/,
  ],
  [
    'just failed to read',
    { repository: alive({ timestamp_last_ioerr: String(NOW_S - 5), nioerr: '3' }) },
    'io_error',
    /wait until 60 s have passed .*client's log/,
  ],
];
const mounts = [{ store: '/store', path: '/cvmfs-mapped/it' }];
const mapped: Told = {
  repository: nothing,
  entry: { mounts },
  uids: [{ container: 0, host: 4_294_967_294, size: 1 }],
};
const more: typeof problems = [
  [
    'of its own for a mapping is not mounted',
    mapped,
    'not_mounted',
    /uid\.map\n0 4294967294\n[\s\S]*mkdir -p \/cvmfs-mapped\/it && cvmfs2 -o config=/,
  ],
  [
    'is a directory that is not there',
    { repository: failed('ENOENT'), entry: { type: 'directory' } },
    'not_mounted',
    /^make the directory \/cvmfs\/unpacked\.example\.org readable/,
  ],
];
for (const [what, told, doubt, advice] of [...problems, ...more]) {
  test(`one that ${what} is a problem, with what to do`, async () => {
    expect(await diagnose(told)).toEqual([
      {
        name: `repository ${NAME}`,
        verdict: 'problem',
        detail: expect.stringContaining(`(${doubt})`),
        advice: expect.stringMatching(advice),
      },
    ] as never);
  });
}

test('layers that cannot be listed are a problem', async () => {
  const sample: RandomLayersAnswer = {
    result: 'failed',
    failure: { code: 'EIO', what: 'read .layers: EIO' },
  };
  const all = await diagnose({ repository: alive(), sample });
  expect(all.at(-1)).toMatchObject({ verdict: 'problem', detail: 'its layers: read .layers: EIO' });
  expect(all.at(-1)?.advice).not.toBe('');
});

const root = [
  { container: 0, host: 4_294_967_294, size: 1 },
  { container: 1, host: 1, size: 4_294_967_293 },
];
const warnings: readonly (readonly [what: string, told: Told, detail: RegExp, advice: RegExp])[] = [
  [
    'whose client claims every file',
    { repository: alive(), sample: sampled(layer({ owners: [`${CLIENT}:${CLIENT}`] })) },
    /all its files belong to 990.*CVMFS_CLAIM_OWNERSHIP.*\(lost_metadata\)/,
    /\nCVMFS_CLAIM_OWNERSHIP=no\n/,
  ],
  [
    'whose client lists its attributes',
    { repository: alive(), sample: sampled(layer({ listed: ['user.fqrn'] })) },
    /\(unusable_layer\)/,
    /\nCVMFS_MAGIC_XATTRS_VISIBILITY=rootonly\n/,
  ],
  [
    'whose files belong to the host’s root, for a store with a mapping',
    { repository: alive(), sample: sampled(layer()), uids: root },
    /its files belong to 0, and root of this store's containers is 4294967294.*\(wrong_owner\)/,
    /CVMFS_CLAIM_OWNERSHIP=no/,
  ],
  [
    'without a mount of its own for a store with a mapping',
    { repository: alive(), uids: root },
    /maps root to 4294967294/,
    /\nCVMFS_UID_MAP=.*\nCVMFS_GID_MAP=/,
  ],
  [
    'whose client has failed to read before',
    { repository: alive({ nioerr: '7', timestamp_last_ioerr: '1000' }) },
    /7 input\/output errors/,
    /proxy info/,
  ],
  [
    'that is slow',
    { repository: alive(), sample: sampled(layer(), 1234.5) },
    /^first read of a file: 4096 bytes in 1235 ms$/,
    /CVMFS_HTTP_PROXY.*CVMFS_QUOTA_LIMIT/,
  ],
];
for (const [what, told, detail, advice] of warnings) {
  test(`one ${what} is warned of, with what to do`, async () => {
    const all = await diagnose(told);
    expect(all[0]?.verdict).toBe('ok');
    const found = all.find((one) => detail.test(one.detail));
    expect(found).toMatchObject({ verdict: 'warning', advice: expect.stringMatching(advice) } as never);
  });
}

test('a half published layer in a repository that is well is warned of', async () => {
  const sample = sampled({ result: 'half', failure: { code: 'ENOENT', what: 'x' } });
  const all = await diagnose({ repository: alive(), sample });
  expect(all.filter(({ verdict }) => verdict === 'warning').map(({ detail }) => detail)).toEqual([
    expect.stringContaining('(half_published)'),
  ] as never);
});
