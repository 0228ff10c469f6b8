/** Walks layers and plans their shims and masks, in child processes of each repository's own. */
import type { ByteName } from '../base/bytes.ts';
import type { FoundLayer, RepositoryDoubt } from './found-layer.ts';
import { type Guesses, guessesOf } from './guesses.ts';
import type { CvmfsDeps } from './locate.ts';
import { noteHang } from './locate.ts';
import { type ProbeOutcome, probe } from './probe.ts';
import type { WalkAnswer } from './probe-protocol.ts';
import { doubtful, judgeProbe } from './repository.ts';
import type { Repository } from './settings.ts';
import { planShims, type ShimPlan } from './shim-plan.ts';

/**
 * The most processes that search the layers of an image side by side. Measured on bindfs with 1 ms added to each answer,
 * eight equal layers: 19.6 s with one, 9.6 with two, 5.1 with four, 2.6 with eight. More than four help few images, whose
 * largest layer decides, and a burst of creates would start too many.
 */
const READERS = 4;

export type PreparedPlan =
  | {
      readonly ok: true;
      readonly plan: ShimPlan;
      readonly guesses: Guesses;
      readonly milliseconds: number;
    }
  | ({ readonly ok: false } & RepositoryDoubt);

/**
 * Plans for layers that were found, in their order. A fault of a repository is an answer, not an error.
 * @param explicit directories that are known to have entries of their own; for a question about one layer
 * @param sizes also sum up the files where no record has the size, which costs a request for each file
 */
export async function planLayers(
  deps: CvmfsDeps,
  layers: readonly FoundLayer[],
  sizes: boolean,
  explicit: readonly ByteName[] = [],
): Promise<PreparedPlan[]> {
  const repositories = [...new Set(layers.map(({ repository }) => repository))];
  const plans = new Map<FoundLayer, PreparedPlan>();
  await Promise.all(
    repositories.map(async (repository) => {
      const own = layers.filter((layer) => layer.repository === repository);
      const searched = await Promise.all(
        sharesOf(own).map(async (share) => ({
          share,
          outcome: await walkAll(deps, repository, share, { sizes, explicit }),
        })),
      );
      // A single reader that hangs is told, whatever the others found.
      const told = searched.find(({ outcome }) => outcome.ended === 'late') ?? searched[0];
      if (told !== undefined) noteHang(deps, repository, told.outcome);
      for (const { share, outcome } of searched) {
        for (const [index, layer] of share.entries())
          plans.set(layer, judgeWalk(deps, layer, outcome, index));
      }
    }),
  );
  return layers.map(
    (layer) =>
      plans.get(layer) ?? { ok: false, repository: layer.repository, doubt: 'hang', reason: 'not asked' },
  );
}

/** Deals the layers out in turn. The large layers of an image mostly lie side by side at its bottom. */
function sharesOf(layers: readonly FoundLayer[]): FoundLayer[][] {
  const searched = layers.filter(({ companion }) => !companion).length;
  const shares = Array.from({ length: Math.max(1, Math.min(READERS, searched)) }, (): FoundLayer[] => []);
  for (const [index, layer] of layers.entries()) shares[index % shares.length]?.push(layer);
  return shares;
}

async function walkAll(
  deps: CvmfsDeps,
  repository: Repository,
  layers: readonly FoundLayer[],
  { sizes, explicit }: { readonly sizes: boolean; readonly explicit: readonly ByteName[] },
): Promise<ProbeOutcome> {
  const steps = layers.map((layer) => ({
    step: 'walk' as const,
    directory: layer.directory,
    tree: layer.tree,
    sizes: sizes && layer.tarBytes === undefined && !layer.companion,
    companionOf: layer.companion ? layer.recordedDigest : undefined,
    made: layer.made,
    explicit,
  }));
  return probe(
    { repository: { path: repository.path, type: repository.type, name: repository.name }, steps },
    {
      command: deps.probeCommand,
      deadlineMs: repository.walkDeadlineMs,
      stallMs: repository.probeDeadlineMs,
    },
  );
}

function judgeWalk(deps: CvmfsDeps, layer: FoundLayer, outcome: ProbeOutcome, index: number): PreparedPlan {
  const { repository } = layer;
  const no = (found: { doubt: RepositoryDoubt['doubt']; reason: string }): PreparedPlan => ({
    ok: false,
    repository,
    doubt: found.doubt,
    reason: found.reason,
  });
  const judged = judgeProbe(repository, outcome, deps.now() / 1000);
  if (!judged.ok) return no(judged);
  const answer = outcome.steps[index] as WalkAnswer | undefined;
  if (answer === undefined) {
    return no(
      outcome.ended === 'late'
        ? doubtful('hang', `its search did not end in ${Math.round(outcome.milliseconds)} ms`)
        : doubtful('io_error', 'its search ended early'),
    );
  }
  if (answer.result === 'failed') return no(doubtful('io_error', answer.failure.what));
  const { unusable } = answer.walk;
  if (unusable !== undefined) return no(doubtful('unusable_layer', unusable));
  const guesses = guessesOf(answer.walk, layer.owners);
  return { ok: true, plan: planShims(answer.walk), guesses, milliseconds: outcome.milliseconds };
}
