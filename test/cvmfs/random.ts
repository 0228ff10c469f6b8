/**
 * Random stacks of layers, each made into a root filesystem twice: from an OCI layout, and from the same layers
 * published as DUCC publishes them and served through FUSE. The two must be the same, name by name.
 */
import { mkdirSync } from 'node:fs';
import { isPluginError } from '../../lib/base/errors/error.ts';
import { silentLogger } from '../../lib/base/log.ts';
import { silentProgress } from '../../lib/base/progress.ts';
import { NO_MEMORY } from '../../lib/cvmfs/hang-memory.ts';
import { cvmfsSettings } from '../../lib/cvmfs/settings.ts';
import type { PullContext } from '../../lib/image/pull/context.ts';
import { createImage } from '../../lib/plugin/create.ts';
import { removeImage } from '../../lib/store/collect/remove.ts';
import type { ImageId } from '../../lib/store/layout/image-id.ts';
import type { Store } from '../../lib/store/store.ts';
import { minimise } from '../property/check-case.ts';
import { describeModel, differences } from '../property/differences.ts';
import { describeStack, type LayerStack } from '../property/entries.ts';
import { mergeStack } from '../property/model.ts';
import { COUNTED, type Counts, noCounts, randomStack } from '../property/stacks.ts';
import { unpackHere } from '../property/workbench.ts';
import { layoutSource } from '../support/cvmfs/publish-image.ts';
import { executable } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import type { PublishedImage } from '../support/images/published-image.ts';
import { must } from '../support/shell.ts';
import { scratchStore } from '../support/stores/scratch-store.ts';
import { mountXfs } from '../support/stores/store.ts';
import { tempDir } from '../support/temp.ts';
import { type Case, type Numbered, publishStacks, serveStacks } from './random-repository.ts';

/** Stacks that share a filesystem image. */
export const PER_IMAGE = 100;
/** Far beyond what anything here takes on a machine that is busy: this is about trees, not about time. */
const PATIENCE_MS = 600_000;

export interface RandomRun {
  readonly seed: number;
  readonly first: number;
  readonly cases: number;
  /** `ducc`: as DUCC and its stand-ins publish, which lose some things. `graft`: as `graft publish` does. */
  readonly publisher: Publisher;
}

export type Publisher = 'ducc' | 'graft';

export interface RandomOutcome {
  readonly counts: Counts;
  readonly totals: Totals;
  /** The first stack that differs, and how. */
  readonly failure: { readonly number: number; readonly text: string } | undefined;
}

interface Totals {
  stacks: number;
  /** Layers by where they came from in the second way. */
  published: number;
  fetched: number;
  /** Of the fetched, those that were published and in doubt. */
  doubted: number;
  /** Of the published, those that were used although what they lost is not known. */
  accepted: number;
  /** Stacks that were mounted with shims, and with masks. */
  withShims: number;
  withMasks: number;
}

function noTotals(): Totals {
  return { stacks: 0, published: 0, fetched: 0, doubted: 0, accepted: 0, withShims: 0, withMasks: 0 };
}

/**
 * What the policies of a filesystem image's repository are. Under `repair` everything is equal. Where layers fall back, the
 * attributes that leave no trace are not in them; `default` accepts a made-up root too, and what is then told of is no
 * difference.
 */
const POLICIES = {
  repair: { directories: 'repair', root: 'repair', capabilities: 'repair' },
  strict: { root: 'fall_back' },
  default: {},
} as const;
type Policy = keyof typeof POLICIES;
const KINDS: readonly Policy[] = ['repair', 'strict', 'default'];

/** Runs cases of a seed until one differs. */
export async function compareRandomStacks(run: RandomRun): Promise<RandomOutcome> {
  const totals = noTotals();
  const counts = noCounts();
  const last = run.first + run.cases;
  for (let from = run.first; from < last; ) {
    const to = Math.min(last, from - (from % PER_IMAGE) + PER_IMAGE);
    const stacks: Numbered[] = [];
    for (let number = from; number < to; number += 1) {
      const made = randomStack(run.seed, number, 'ours');
      for (const name of COUNTED) counts[name] += made.counts[name];
      stacks.push({ seed: run.seed, number, stack: made.stack });
    }
    const found = await compareStacks(stacks, totals, run.publisher);
    if (found !== undefined) return { counts, totals, failure: found };
    from = to;
  }
  return { counts, totals, failure: undefined };
}

/** One case again: what is wrong with it, with the smallest stack that shows it. Undefined when nothing is. */
export async function compareAgain(
  seed: number,
  number: number,
  publisher: Publisher,
): Promise<string | undefined> {
  const totals = noTotals();
  const check = async (stack: LayerStack) => {
    const found = await compareStacks([{ seed, number, stack }], totals, publisher);
    return found === undefined ? [] : [found.text];
  };
  const { stack } = randomStack(seed, number, 'ours');
  if ((await check(stack)).length === 0) return undefined;
  return (await check(await minimise(stack, check))).join('\n');
}

/** All in one filesystem image, until one differs. */
async function compareStacks(
  stacks: readonly Numbered[],
  totals: Totals,
  publisher: Publisher,
): Promise<RandomOutcome['failure']> {
  await using dir = tempDir();
  // In memory, since the layers are small and many, and each is synced; and on XFS, as stores are.
  mkdirSync(dir.at('memory'));
  await must('mount', ['-t', 'tmpfs', '-o', 'mode=0755', 'tmpfs', dir.at('memory')]);
  await using work = tempDir(await mountXfs(dir.at('memory'), { bytes: 2 ** 31 }));
  const byNumber = KINDS[Math.floor((stacks[0]?.number ?? 0) / PER_IMAGE) % KINDS.length] ?? 'default';
  const policy = publisher === 'graft' ? 'strict' : byNumber;
  await using served =
    publisher === 'graft'
      ? await publishStacks(work, stacks)
      : await serveStacks(work, stacks, policy === 'repair');
  await using plain = await scratchStore(undefined, work.path);
  await using published = await scratchStore(undefined, work.path);
  const cvmfs = repositoryAt(served.mount, policy, published.path);
  for (const [index, one] of served.cases.entries()) {
    const lines = await compareOne(one, plain.store, { store: published.store, cvmfs }, totals);
    totals.stacks += 1;
    const number = stacks[index]?.number ?? 0;
    if (lines.length > 0) return { number, text: [describeStack(one.stack), ...lines].join('\n') };
    await Promise.all([plain, published].map(({ store }) => removeImage(store, one.id, silentLogger)));
  }
  return undefined;
}

function repositoryAt(path: string, policy: Policy, store: string): PullContext['cvmfs'] {
  const repository = {
    path,
    probe_deadline_ms: PATIENCE_MS,
    walk_deadline_ms: PATIENCE_MS,
    registries: ['*'],
    lost_metadata: POLICIES[policy],
  };
  const settings = cvmfsSettings({ repositories: [repository] }, 'random', store);
  return async () => ({
    settings,
    probeCommand: [executable(), '__probe'],
    mappings: { uids: [], gids: [] },
    hangs: NO_MEMORY,
    now: () => Date.now(),
    log: silentLogger,
  });
}

async function compareOne(
  { id, image, stack }: Case,
  plain: Store,
  other: { store: Store; cvmfs: PullContext['cvmfs'] },
  totals: Totals,
): Promise<string[]> {
  const refused = [
    await create(plain, undefined, image, id),
    await create(other.store, other.cvmfs, image, id),
  ];
  // A stack that nobody can make is refused alike.
  if (refused[0] !== undefined && refused[0] === refused[1]) return [];
  if (refused.some((code) => code !== undefined))
    return [`refused: ${refused[0]} from the layout, ${refused[1]} from CVMFS`];
  const record = other.store.images.record(id);
  let isRootOpen = false;
  for (const { source, reason } of record?.layers ?? []) {
    totals[source === 'cvmfs' ? 'published' : 'fetched'] += 1;
    if (reason?.includes('(lost_metadata)') === true) totals.doubted += 1;
    if (source !== 'cvmfs' || reason?.includes('root directory') !== true) continue;
    totals.accepted += 1;
    isRootOpen = true;
  }
  const lowers = record?.lowers ?? [];
  if (lowers.some((lower) => lower.includes('.c1-') && lower.endsWith('.shim'))) totals.withShims += 1;
  if (lowers.some((lower) => lower.endsWith('.mask'))) totals.withMasks += 1;
  const rootfs = other.store.layout.rootfs(id);
  const tree = mergeStack(stack);
  const lines = new Set(differences(tree, stack, rootfs));
  const model = describeModel(tree.root);
  for (const line of compareTrees(plain.layout.rootfs(id), rootfs, { linkCounts: false })) {
    // Publishing loses the times of directories that no entry made.
    if (model.get(line.slice(0, line.indexOf(': mtime: ')))?.['mtime'] !== 'any') lines.add(line);
  }
  // Once published, hard links are files of their own.
  return [...lines].filter(
    (line) => !line.includes('linked together') && !(isRootOpen && /^\/: /.test(line)),
  );
}

/** The code of the error, if there is one. */
async function create(
  store: Store,
  cvmfs: PullContext['cvmfs'],
  image: PublishedImage,
  id: ImageId,
): Promise<string | undefined> {
  const source = layoutSource(image.url);
  try {
    await createImage(
      {
        store,
        source,
        cvmfs,
        log: silentLogger,
        progress: silentProgress,
        signal: new AbortController().signal,
        // Starting a thread for each of a few entries would take most of a case's time.
        unpack: unpackHere,
        workerUrl: 'file:///nowhere',
        budget: { tarBytes: 2 ** 30, entries: 10_000, ratio: 200, ratioFloor: 2 ** 30, stallSeconds: 600 },
        concurrency: 1,
      },
      { id, limit: undefined, mount: true },
    );
    return undefined;
  } catch (error) {
    if (isPluginError(error)) return error.code;
    throw error;
  } finally {
    await source.close();
  }
}
