/**
 * Finds layers on CernVM-FS that have vanished below containers. A child process looks, since a lookup in a hung
 * repository may never return (lib/cvmfs/probe.ts).
 */
import { HangFiles } from '../cvmfs/hang-memory.ts';
import { probe } from '../cvmfs/probe.ts';
import type { ReachAnswer } from '../cvmfs/probe-protocol.ts';
import type { ImageId } from '../store/layout/image-id.ts';
import type { Store } from '../store/store.ts';

/** A lower directory outside the store that a container needs and that cannot be reached. */
export interface MissingOutside {
  readonly id: ImageId;
  /** An absolute path. */
  readonly lower: string;
  readonly reason: string;
}

/** A repository that answers needs milliseconds; one that reads from far away gets as long as a create's probe. */
const DEADLINE_MS = 10_000;

/** @param probeCommand the command of the child; without one nothing is looked at */
export async function missingOutside(
  store: Store,
  probeCommand: readonly string[] | undefined,
): Promise<MissingOutside[]> {
  if (probeCommand === undefined) return [];
  const users = new Map<string, ImageId[]>();
  for (const id of store.images.list())
    for (const lower of store.images.recordIfReadable(id)?.lowers ?? [])
      if (lower.startsWith('/')) users.set(lower, [...(users.get(lower) ?? []), id]);
  const groups = Map.groupBy(users.keys(), repositoryOf);
  // A create remembers a hang. To ask again would leave one more process that no signal ends. Nothing is remembered
  // here, since `check` changes nothing.
  const hangs = new HangFiles(store.layout.locks, () => Date.now());
  const looks = await Promise.all(
    [...groups].map(([repository, lowers]) => {
      const hang = hangs.recall(repository, 0);
      return hang === undefined
        ? lookAt(lowers, probeCommand)
        : lowers.map((lower) => [lower, hang] as const);
    }),
  );
  return looks
    .flat()
    .flatMap(([lower, reason]) => (users.get(lower) ?? []).map((id) => ({ id, lower, reason })));
}

/** `/cvmfs/NAME` for most paths: layers of one repository share a child, so that a hung one keeps no other waiting. */
function repositoryOf(lower: string): string {
  return lower.split('/', 3).join('/');
}

async function lookAt(
  lowers: readonly string[],
  command: readonly string[],
): Promise<(readonly [lower: string, reason: string])[]> {
  const { steps } = await probe(
    {
      repository: { path: '/', type: 'directory', name: '' },
      steps: lowers.map((path) => ({ step: 'reach', path })),
    },
    { command, deadlineMs: DEADLINE_MS, stallMs: DEADLINE_MS },
  );
  return lowers.flatMap((lower, at) => {
    const reason = whyMissing(steps[at] as ReachAnswer | undefined);
    return reason === undefined ? [] : [[lower, reason] as const];
  });
}

function whyMissing(answer: ReachAnswer | undefined): string | undefined {
  if (answer === undefined) return 'its repository does not answer';
  if (answer.result === 'reached') return undefined;
  if (answer.result === 'failed') return `looking it up fails with ${answer.failure.code}`;
  return 'it is gone, or its repository is not mounted';
}
