/**
 * Finds layers in the configured repositories. All repositories are asked at the same time, each by a child process
 * with the repository's own deadline. The first repository in the order of the configuration that has a layer serves
 * it.
 */
import { type Digest, hexOf } from '../base/digest.ts';
import type { IdMappings } from '../base/id-mapping.ts';
import type { Logger } from '../base/log.ts';
import type { FoundLayer, LayerPaths, RepositoryDoubt, SoughtLayer } from './found-layer.ts';
import type { HangMemory } from './hang-memory.ts';
import { judgeLayer } from './judge-layer.ts';
import { probe, type ReadyChild } from './probe.ts';
import type { LayerAnswer } from './probe-protocol.ts';
import { type Doubtful, doubtful, hang, judgeProbe } from './repository.ts';
import { type CvmfsSettings, type Repository, serves } from './settings.ts';

export interface CvmfsDeps {
  readonly settings: CvmfsSettings;
  /** The command of the child that asks a repository: graft itself with the hidden verb. */
  readonly probeCommand: readonly string[];
  /** Children of that command that were started ahead. A caller takes one from the list. */
  readonly ready?: ReadyChild[] | undefined;
  /** The mapping of the store that will use the layers. */
  readonly mappings: IdMappings;
  readonly hangs: HangMemory;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly log: Logger;
}

export type Finding =
  | { readonly result: 'found'; readonly layer: FoundLayer }
  /** `reasons` has one entry for each repository that was asked, fit for a log. */
  | {
      readonly result: 'absent';
      readonly reasons: readonly string[];
      readonly doubts: readonly RepositoryDoubt[];
    };

/** Looks for all layers. The answers have the order of `sought`. A fault of a repository is an answer, not an error. */
export async function locateLayers(deps: CvmfsDeps, sought: readonly SoughtLayer[]): Promise<Finding[]> {
  const asked = deps.settings.repositories.map((repository) => ({
    repository,
    allPaths: sought.map((layer) => pathsOf(repository, layer)),
  }));
  const answers = await Promise.all(
    asked.map(({ repository, allPaths }) => askFor(deps, repository, allPaths, sought)),
  );
  return sought.map((_, index) => combine(answers.map((answer) => answer[index])));
}

/** The paths of a layer in a repository; undefined where the repository is not asked for the layer. */
export function pathsOf(repository: Repository, layer: SoughtLayer): LayerPaths | undefined {
  if ('address' in layer.at) {
    return layer.at.address.repository.name === repository.name
      ? addressed(layer.at.address.path)
      : undefined;
  }
  if (layer.digest === undefined || repository.layout === 'flat') return undefined;
  if (!serves(repository, layer.at.origin)) return undefined;
  if (repository.layout === 'graphdriver') {
    return { directory: below(repository, `layers/${hexOf(layer.digest)}`), tree: '' };
  }
  return { directory: layerDirectory(repository, layer.digest), tree: 'layerfs' };
}

/** The directory of a layer as DUCC publishes it, relative to the repository. */
export function layerDirectory(repository: Repository, digest: Digest): string {
  const hex = hexOf(digest);
  return below(repository, `.layers/${hex.slice(0, 2)}/${hex}`);
}

function below(repository: Repository, path: string): string {
  return repository.subdirectory === '' ? path : `${repository.subdirectory}/${path}`;
}

/**
 * The paths of a layer at an address: DUCC keeps records beside the tree `layerfs`; any other directory is itself the
 * tree.
 */
function addressed(path: string): LayerPaths {
  const ducc = /^(.*[0-9a-f]{64})\/(layerfs)$/.exec(path);
  return ducc === null ? { directory: path, tree: '' } : { directory: ducc[1] ?? '', tree: 'layerfs' };
}

type Answer = { layer: FoundLayer } | { miss: Repository } | RepositoryDoubt;

async function askFor(
  deps: CvmfsDeps,
  repository: Repository,
  allPaths: readonly (LayerPaths | undefined)[],
  sought: readonly SoughtLayer[],
): Promise<(Answer | undefined)[]> {
  if (allPaths.every((paths) => paths === undefined)) return [];
  const memory = deps.hangs.recall(repository.path, repository.retryAfterHangSeconds);
  if (memory !== undefined) return all(allPaths, { repository, ...doubtful('hang', memory) });
  const distinct = new Map<string, LayerPaths>();
  for (const paths of allPaths) if (paths !== undefined) distinct.set(keyOf(paths), paths);
  const steps = [...distinct.values()].map((paths) => ({ step: 'layer', ...paths }) as const);
  const outcome = await probe(
    { repository: { path: repository.path, type: repository.type, name: repository.name }, steps },
    {
      command: deps.probeCommand,
      deadlineMs: repository.probeDeadlineMs,
      stallMs: repository.probeDeadlineMs,
    },
    deps.ready?.pop(),
  );
  noteHang(deps, repository, outcome);
  const judged = judgeProbe(repository, outcome, deps.now() / 1000);
  deps.log.debug('cvmfs-asked', {
    repository: repository.name,
    layers: steps.length,
    milliseconds: Math.round(outcome.milliseconds),
    ...(judged.ok ? { revision: judged.state.revision } : { doubt: judged.doubt, reason: judged.reason }),
  });
  if (!judged.ok) return all(allPaths, { repository, doubt: judged.doubt, reason: judged.reason });
  const byPaths = new Map<string, LayerAnswer | undefined>();
  [...distinct.keys()].forEach((key, index) => {
    byPaths.set(key, outcome.steps[index] as LayerAnswer | undefined);
  });
  return allPaths.map((paths, index) => {
    const layer = sought[index];
    if (paths === undefined || layer === undefined) return undefined;
    const answer = byPaths.get(keyOf(paths));
    if (answer === undefined) return { repository, ...unanswered(repository, outcome.ended) };
    return judgeLayer({ repository, state: judged.state, paths, layer, answer, mappings: deps.mappings });
  });
}

function unanswered(repository: Repository, ended: string): Doubtful {
  return ended === 'late' ? hang(repository) : doubtful('io_error', 'the process that asked for it ended');
}

/** Records for later creates whether the repository hung or answered. */
export function noteHang(
  deps: Pick<CvmfsDeps, 'hangs'>,
  repository: Repository,
  outcome: { readonly ended: string; readonly leftBehind: number | undefined },
): void {
  if (outcome.ended === 'late') deps.hangs.remember(repository.path, outcome.leftBehind);
  else if (outcome.ended === 'answered') deps.hangs.forget(repository.path);
}

function all(allPaths: readonly (LayerPaths | undefined)[], doubt: RepositoryDoubt): (Answer | undefined)[] {
  return allPaths.map((paths) => (paths === undefined ? undefined : doubt));
}

function keyOf(paths: LayerPaths): string {
  return `${paths.directory}\0${paths.tree}`;
}

function combine(answers: readonly (Answer | undefined)[]): Finding {
  const reasons: string[] = [];
  const doubts: RepositoryDoubt[] = [];
  for (const answer of answers) {
    if (answer === undefined) continue;
    if ('layer' in answer) return { result: 'found', layer: answer.layer };
    if ('miss' in answer) {
      reasons.push(`not published in ${answer.miss.name}`);
      continue;
    }
    doubts.push(answer);
    reasons.push(`${answer.repository.name}: ${answer.reason} (${answer.doubt})`);
  }
  return { result: 'absent', reasons, doubts };
}
