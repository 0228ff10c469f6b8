/** What becomes of a layer whose search does not end well; the child is a shell that answers what a test says. */
import { describe, expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { silentLogger } from '../../../lib/base/log.ts';
import type { FoundLayer } from '../../../lib/cvmfs/found-layer.ts';
import { planLayers } from '../../../lib/cvmfs/plan-layers.ts';
import type { LayerWalk, ProbeLine } from '../../../lib/cvmfs/probe-protocol.ts';
import { cvmfsSettings, type Repository } from '../../../lib/cvmfs/settings.ts';
import { tempDir } from '../../support/temp.ts';

const NAME = 'unpacked.example.org';
const PATIENCE_MS = 300_000;
const ALIVE: ProbeLine = {
  line: 'repository',
  answer: {
    ok: true,
    filesystem: 'fuse',
    mount: undefined,
    magic: { fqrn: NAME, revision: '7', root_hash: 'a'.repeat(40) },
  },
};
const WALK: LayerWalk = {
  entries: 1,
  directories: [],
  explicitRoot: true,
  vouched: true,
  late: [],
  owners: [],
  ownersKept: false,
  fileBytes: undefined,
  unusable: undefined,
};

function repositoryWith(deadlines: { probe_deadline_ms: number; walk_deadline_ms: number }): Repository {
  const file = { repositories: [{ path: `/cvmfs/${NAME}`, ...deadlines }] };
  const [made] = cvmfsSettings(file, 'x', '/store').repositories;
  if (made === undefined) throw new Error('no repository');
  return made;
}

function layerOf(repository: Repository, digit: string): FoundLayer {
  const directory = `.layers/${digit}${digit}/${digit.repeat(64)}`;
  return {
    repository,
    state: {
      name: NAME,
      path: repository.path,
      revision: '7',
      rootHash: 'a'.repeat(40),
      pinned: false,
      client: undefined,
    },
    directory,
    tree: 'layerfs',
    path: `${repository.path}/${directory}/layerfs`,
    root: { mode: 0o40755, uid: 0, gid: 0, sec: 1, nsec: 0 },
    fingerprint: 'x',
    tarBytes: undefined,
    recordedDigest: undefined,
    companion: false,
    needsIdmap: false,
    made: 'ingest',
    owners: 'kept',
  };
}

/**
 * Plans for five layers when each child prints these lines and then does `end`: of the first layer and of the fifth, which
 * one child searches.
 */
async function plansAfter(
  lines: readonly ProbeLine[],
  end: string,
  deadlines = { probe_deadline_ms: PATIENCE_MS, walk_deadline_ms: PATIENCE_MS },
  start = 'cat >/dev/null',
) {
  const repository = repositoryWith(deadlines);
  const remembered: string[] = [];
  const text = lines.map((line) => `${JSON.stringify(line)}\n`).join('');
  const deps = {
    settings: { repositories: [repository] },
    probeCommand: ['/bin/sh', '-c', `${start}; printf '%s' "$0"; ${end}`, text],
    mappings: { uids: [], gids: [] },
    hangs: {
      recall: () => undefined,
      remember: (path: string) => void remembered.push(path),
      forget: () => undefined,
    },
    now: () => 0,
    log: silentLogger,
  };
  const layers = ['a', 'b', 'c', 'd', 'e'].map((digit) => layerOf(repository, digit));
  const plans = await planLayers(deps, layers, false);
  return { plans: [plans[0], plans[4]], all: plans, remembered };
}

const walked = (index: number, changes: Partial<LayerWalk> = {}): ProbeLine => ({
  line: 'step',
  index,
  answer: { result: 'walked', walk: { ...WALK, ...changes } },
});

describe('a search for whiteouts', () => {
  test('deals the layers out to four processes', async () => {
    await using dir = tempDir();
    const { all } = await plansAfter(
      [ALIVE, walked(0), walked(1)],
      'exit 0',
      undefined,
      `cat > ${dir.path}/$$`,
    );
    expect(all).toMatchObject([{ ok: true }, { ok: true }, { ok: true }, { ok: true }, { ok: true }]);
    const asked = readdirSync(dir.path).map((name) =>
      [...readFileSync(dir.at(name), 'latin1').matchAll(/layers\/(.)/g)].map(([, digit]) => digit).join(''),
    );
    expect(asked.sort()).toEqual(['ae', 'b', 'c', 'd']);
  });

  test('that ends well gives a plan for each layer', async () => {
    const { plans, remembered } = await plansAfter([ALIVE, walked(0), walked(1)], 'exit 0');
    expect(plans).toMatchObject([{ ok: true }, { ok: true }]);
    expect(remembered).toEqual([]);
  });

  const deadlines = [
    ['without a sign of life', { probe_deadline_ms: 3000, walk_deadline_ms: PATIENCE_MS }],
    ['for too long', { probe_deadline_ms: PATIENCE_MS, walk_deadline_ms: 3000 }],
  ] as const;
  for (const [what, deadline] of deadlines) {
    test(`that goes on ${what} is a hang, which is remembered; what was found before counts`, async () => {
      const { plans, remembered } = await plansAfter([ALIVE, walked(0)], 'exec sleep 3600', deadline);
      expect(plans).toMatchObject([{ ok: true }, { ok: false, doubt: 'hang' }]);
      expect(remembered).toEqual([`/cvmfs/${NAME}`]);
    });
  }

  test('that fails, that is cut off, or that finds what no container can be made of', async () => {
    const failed: ProbeLine = {
      line: 'step',
      index: 0,
      answer: { result: 'failed', failure: { code: 'EIO', what: 'readdir etc: input/output error' } },
    };
    const { plans } = await plansAfter([ALIVE, failed], 'exit 3');
    expect(plans).toMatchObject([
      { ok: false, doubt: 'io_error', reason: 'readdir etc: input/output error' },
      { ok: false, doubt: 'io_error', reason: 'its search ended early' },
    ]);
    const unusable = walked(1, { unusable: 'a whiteout without a name' });
    const { plans: others } = await plansAfter([ALIVE, walked(0), unusable], 'exit 0');
    expect(others).toMatchObject([
      { ok: true },
      { ok: false, doubt: 'unusable_layer', reason: 'a whiteout without a name' },
    ]);
  });

  test('of a repository that has gone since it was asked is that repository’s doubt', async () => {
    const gone: ProbeLine = {
      line: 'repository',
      answer: { ok: false, failure: { code: 'ENOTCONN', what: 'x' } },
    };
    const { plans } = await plansAfter([gone], 'exit 0');
    expect(plans).toMatchObject([
      { ok: false, doubt: 'io_error', reason: expect.stringContaining('ENOTCONN') },
      { ok: false, doubt: 'io_error' },
    ] as never);
  });
});
