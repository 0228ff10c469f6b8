/**
 * Examines each repository for the verb `doctor`: whether it is mounted and answers, what publishing lost, and how fast
 * reads are.
 */

import { clientSettings, mappedMountSettings, mappedRoot } from './client-settings.ts';
import { judgeLayer } from './judge-layer.ts';
import type { CvmfsDeps } from './locate.ts';
import { probe } from './probe.ts';
import type { RandomLayersAnswer, RepositoryAnswer } from './probe-protocol.ts';
import { judgeProbe, type RepositoryState } from './repository.ts';
import type { Repository } from './settings.ts';

export interface RepositoryDiagnosis {
  readonly name: string;
  readonly verdict: 'ok' | 'warning' | 'problem';
  readonly detail: string;
  /** The advice for the operator, in one or several lines; empty when all is well. */
  readonly advice: string;
}

/** Looks at every repository of the configuration. @param seed picks the layers that are looked at */
export async function diagnoseRepositories(deps: CvmfsDeps, seed: number): Promise<RepositoryDiagnosis[]> {
  const all = await Promise.all(
    deps.settings.repositories.map((repository) => diagnose(deps, repository, seed)),
  );
  return all.flat();
}

const LOOKED_AT = 4;
/** A container notices a first read that takes longer at every file that it opens. */
const SLOW_READ_MS = 500;

async function diagnose(
  deps: CvmfsDeps,
  repository: Repository,
  seed: number,
): Promise<RepositoryDiagnosis[]> {
  const { path, type, name } = repository;
  const layers = [repository.subdirectory, '.layers'].filter((part) => part !== '').join('/');
  const steps =
    repository.layout === 'ducc'
      ? ([{ step: 'random layers', layers, count: LOOKED_AT, seed }] as const)
      : [];
  const outcome = await probe(
    { repository: { path, type, name }, steps },
    {
      command: deps.probeCommand,
      deadlineMs: repository.probeDeadlineMs,
      stallMs: repository.probeDeadlineMs,
    },
  );
  const judged = judgeProbe(repository, outcome, deps.now() / 1000);
  const title = `repository ${name}`;
  if (!judged.ok) {
    const advice = adviceFor(deps, repository, judged.doubt, outcome.repository?.ok === true);
    return [
      { name: title, verdict: 'problem', detail: `${path}: ${judged.reason} (${judged.doubt})`, advice },
    ];
  }
  const sample = outcome.steps[0] as RandomLayersAnswer | undefined;
  return [
    { name: title, verdict: 'ok', detail: describeState(judged.state, repository), advice: '' },
    ...(outcome.repository?.ok ? clientHealth(title, outcome.repository) : []),
    ...mappedMount(deps, repository, title),
    ...layersLookedAt(deps, repository, judged.state, sample, title),
  ];
}

function describeState(
  { path, revision, rootHash, pinned, client }: RepositoryState,
  { type }: Repository,
): string {
  if (type === 'directory') return `${path}: a directory that the configuration vouches for`;
  const fixed = pinned ? 'pinned' : 'follows new revisions';
  return `${path}: revision ${revision}, root hash ${rootHash}, ${fixed}, client ${client ?? 'of unknown version'}`;
}

function adviceFor(deps: CvmfsDeps, repository: Repository, doubt: string, isAlive: boolean): string {
  const { name, path, type } = repository;
  if (type === 'directory') return adviceForDirectory(repository, doubt);
  switch (doubt) {
    case 'not_mounted':
    case 'not_cvmfs':
      if (repository.mapped) return mountMapped(deps, repository);
      return `mount it: mount -t cvmfs ${name} ${path}, or see why not: cvmfs_config probe ${name}`;
    case 'wrong_repository':
      return 'correct name or path of the repository in the extra settings, or what is mounted there';
    case 'not_pinned':
      return `pin the client with CVMFS_ROOT_HASH, or set revision: follow for ${name}`;
    case 'hang':
      return `see what the client waits for: cvmfs_talk -i ${name} host info; mount it again if its process is stuck`;
    default:
      if (isAlive) {
        const window = repository.ioErrorWindowSeconds;
        return `it answers again: wait until ${window} s have passed without an error (io_error_window_s); if it fails again, see the client's log`;
      }
      return `see the client's log; after its process has died: umount -l ${path}, then mount it again`;
  }
}

/** Advice to mount the repository for this store alone, with the files that map its ids. */
function mountMapped({ mappings }: CvmfsDeps, repository: Repository): string {
  return [
    'mount it with the ids of this store:',
    ...mappedMountSettings(repository, mappings, repository.path),
  ].join('\n');
}

function adviceForDirectory({ path }: Repository, doubt: string): string {
  if (doubt === 'hang')
    return `see why the directory ${path} does not answer: what is mounted there, and its server`;
  return `make the directory ${path} readable, and mount there what has to be mounted; or correct path in the extra settings`;
}

function clientHealth(title: string, answer: RepositoryAnswer & { ok: true }): RepositoryDiagnosis[] {
  const errors = Number(answer.magic['nioerr'] ?? 0);
  if (!(errors > 0)) return [];
  const detail = `the client has had ${errors} input/output errors since it was mounted`;
  const advice = 'look at proxies and servers: cvmfs_talk -i <repository> proxy info, host info';
  return [{ name: title, verdict: 'warning', detail, advice }];
}

/**
 * Warns when a store with a mapping has no mount of its own: files of the main mount show other ids than its containers
 * need.
 */
function mappedMount(deps: CvmfsDeps, repository: Repository, title: string): RepositoryDiagnosis[] {
  const { mappings } = deps;
  if (mappings.uids.length === 0 || repository.mapped || repository.type === 'directory') return [];
  const detail = `this store maps root to ${mappedRoot(mappings)}, and no mount of its own is configured for it`;
  const path = `/cvmfs-unprivileged/${repository.name}`;
  const advice = [
    'make a second mount and name it under mounts of the repository:',
    ...mappedMountSettings(repository, mappings, path),
  ].join('\n');
  return [{ name: title, verdict: 'warning', detail, advice }];
}

function layersLookedAt(
  deps: CvmfsDeps,
  repository: Repository,
  state: RepositoryState,
  sample: RandomLayersAnswer | undefined,
  title: string,
): RepositoryDiagnosis[] {
  if (sample === undefined) return [];
  if (sample.result === 'failed') {
    const advice = adviceFor(deps, repository, 'io_error', false);
    return [{ name: title, verdict: 'problem', detail: `its layers: ${sample.failure.what}`, advice }];
  }
  if (sample.layers.length === 0) return [];
  const doubts = new Map<string, string>();
  for (const { directory, answer } of sample.layers) {
    const paths = { directory, tree: 'layerfs' };
    const layer = {
      digest: undefined,
      diffId: undefined,
      at: { address: { repository, path: directory } },
    } as const;
    const judged = judgeLayer({ repository, state, paths, layer, answer, mappings: deps.mappings });
    if ('doubt' in judged) doubts.set(judged.doubt, judged.reason);
  }
  return [...owners(repository, doubts, title), ...losses(repository, title), ...speed(sample, title)];
}

function owners(
  repository: Repository,
  doubts: ReadonlyMap<string, string>,
  title: string,
): RepositoryDiagnosis[] {
  return [...doubts].map(([doubt, reason]) => {
    const settings = ['client settings for root filesystems:', ...clientSettings(repository)];
    const advice =
      doubt === 'lost_metadata' || doubt === 'wrong_owner' || doubt === 'unusable_layer' ? settings : [];
    return {
      name: title,
      verdict: 'warning',
      detail: `sampled layers: ${reason} (${doubt})`,
      advice: advice.join('\n'),
    };
  });
}

/** Names the attributes that every published layer lacks, with the policy for them. */
function losses(repository: Repository, title: string): RepositoryDiagnosis[] {
  if (repository.type === 'directory') return [];
  const policy = repository.lostMetadata.capabilities;
  const detail = `published layers have no file capabilities or other extended attributes (policy: ${policy})`;
  return [{ name: title, verdict: 'ok', detail, advice: '' }];
}

function speed(sample: RandomLayersAnswer & { result: 'looked at' }, title: string): RepositoryDiagnosis[] {
  if (sample.read === undefined) return [];
  const milliseconds = Math.round(sample.read.milliseconds);
  const detail = `first read of a file: ${sample.read.bytes} bytes in ${milliseconds} ms`;
  if (milliseconds <= SLOW_READ_MS) return [{ name: title, verdict: 'ok', detail, advice: '' }];
  const advice =
    'give the client a proxy near the cell (CVMFS_HTTP_PROXY) and a larger cache (CVMFS_QUOTA_LIMIT)';
  return [{ name: title, verdict: 'warning', detail, advice }];
}
