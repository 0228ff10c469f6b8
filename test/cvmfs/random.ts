/**
 * Random stacks of layers, each made into a root filesystem twice: from an OCI layout, and from the same layers
 * published as DUCC publishes them and served through FUSE. The two must be the same, name by name.
 *
 *   bun test/cvmfs/random.ts [STACKS [FIRST [SEED]]]     10,000 stacks, 200 to a filesystem image, from number 1
 */
import { mkdirSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Digest } from '../../lib/base/digest.ts';
import { isPluginError } from '../../lib/base/errors/error.ts';
import { silentLogger } from '../../lib/base/log.ts';
import { silentProgress } from '../../lib/base/progress.ts';
import { NO_MEMORY } from '../../lib/cvmfs/hangs.ts';
import { cvmfsSettings } from '../../lib/cvmfs/settings.ts';
import { OciLayoutSource } from '../../lib/image/from-oci-layout.ts';
import type { PullDeps } from '../../lib/image/pull.ts';
import { platformOf } from '../../lib/oci/platform.ts';
import { createImage } from '../../lib/plugin/create.ts';
import type { ImageId } from '../../lib/store/image-id.ts';
import { removeImage } from '../../lib/store/remove.ts';
import type { Store } from '../../lib/store/store.ts';
import { describeModel, differences } from '../property/differences.ts';
import { archive, describeStack, type Layer, type LayerStack } from '../property/entries.ts';
import { mergeStack } from '../property/model.ts';
import { Random } from '../property/random.ts';
import { type Counts, noCounts, randomStack } from '../property/stacks.ts';
import { compareTrees } from '../support/compare-trees.ts';
import { packTree, serveImage, setMagic } from '../support/cvmfs.ts';
import { executable } from '../support/graft.ts';
import {
  layerOf,
  layoutImage,
  type MadeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/published-image.ts';
import { scratchStore } from '../support/scratch-store.ts';
import { PROJECT } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const NAME = 'random.example.org';
const PER_IMAGE = 200;
const MAX_DIFFERENT = 10;
const SECOND = 1_000_000_000n;

export interface Outcome {
  readonly stacks: number;
  readonly counts: Counts;
  /** Layers by where they came from in the second way. */
  readonly published: number;
  readonly fetched: number;
  /** Stacks that were mounted with shims, and with masks. */
  readonly withShims: number;
  readonly withMasks: number;
  readonly differences: readonly string[];
}

interface Case {
  readonly id: ImageId;
  readonly stack: LayerStack;
  readonly image: PublishedImage;
}

/** Runs the stacks `first` … `first + stacks - 1` of a seed. Stops at the tenth that differs. */
export async function compareRandomStacks(stacks: number, first: number, seed: number): Promise<Outcome> {
  const total = new Totals();
  for (let at = 0; at < stacks && total.different < MAX_DIFFERENT; at += PER_IMAGE) {
    const batch = { seed, first: first + at, count: Math.min(PER_IMAGE, stacks - at) };
    // Publishing loses the attributes of users: every other filesystem image has none, or what was lost is repaired.
    await compareBatch(batch, (at / PER_IMAGE) % 2 === 0, total);
  }
  return total;
}

class Totals {
  stacks = 0;
  published = 0;
  fetched = 0;
  withShims = 0;
  withMasks = 0;
  different = 0;
  readonly counts = noCounts();
  readonly differences: string[] = [];

  count(counts: Counts): void {
    for (const key of Object.keys(counts) as (keyof Counts)[]) this.counts[key] += counts[key];
  }

  differ(one: Case, lines: readonly string[]): void {
    if (lines.length === 0) return;
    this.different += 1;
    this.differences.push(...lines.map((line) => `${one.id}: ${line}`), describeStack(one.stack));
  }
}

interface Batch {
  readonly seed: number;
  readonly first: number;
  readonly count: number;
}

async function compareBatch(batch: Batch, repairs: boolean, total: Totals): Promise<void> {
  await using dir = tempDir();
  await using standIn = await publishAll(dir, batch, repairs, total);
  await using plain = await scratchStore();
  await using published = await scratchStore();
  const repository = {
    path: standIn.mount,
    probe_deadline_ms: 60_000,
    registries: ['*'],
    lost_metadata: { capabilities: repairs ? ('repair' as const) : ('accept' as const) },
  };
  const settings = cvmfsSettings({ repositories: [repository] }, 'random', published.path);
  const cvmfs: PullDeps['cvmfs'] = async () => ({
    settings,
    probeCommand: [executable(), '__probe'],
    mappings: { uids: [], gids: [] },
    hangs: NO_MEMORY,
    now: () => Date.now(),
    log: silentLogger,
  });
  for (const one of standIn.cases) {
    if (total.different === MAX_DIFFERENT) return;
    total.differ(one, await compareOne(one, plain.store, { store: published.store, cvmfs }, total));
    total.stacks += 1;
    await Promise.all([plain, published].map(({ store }) => removeImage(store, one.id, silentLogger)));
  }
}

interface Served extends AsyncDisposable {
  readonly mount: string;
  readonly cases: readonly Case[];
}

/** All layers of all these stacks in one repository; a tenth is left out, to be fetched. */
async function publishAll(dir: TempDir, batch: Batch, marks: boolean, total: Totals): Promise<Served> {
  const root = dir.at('repository');
  mkdirSync(root);
  const writers = [false, true].map((companion) => repositoryWriter(root, { companion }));
  const random = new Random(batch.seed, batch.first, 1);
  const seen = new Set<Digest>();
  const cases: Case[] = [];
  for (let number = batch.first; number < batch.first + batch.count; number += 1) {
    const made = randomStack(batch.seed, number, 'ours');
    total.count(made.counts);
    const stack = asPublished(made.stack, marks);
    const layers = stack.map((layer) => layerOf(archive(layer)));
    cases.push({ id: `case-${number}` as ImageId, stack, image: layoutImage(dir, layers) });
    for (const layer of layers) {
      if (seen.has(layer.digest) || random.chance(0.1)) continue;
      seen.add(layer.digest);
      await publishIfPossible(writers[random.chance(0.3) ? 1 : 0], layer);
    }
  }
  setMagic(root, { fqrn: NAME });
  await packTree(root, dir.at('image'));
  rmSync(root, { recursive: true });
  const standIn = await serveImage(dir.at('image'), dir.at('cvmfs', NAME));
  return { mount: standIn.mount, cases, [Symbol.asyncDispose]: () => standIn[Symbol.asyncDispose]() };
}

/** Squashfs keeps whole seconds, and publishing no attributes of users; devices are left out with what leads to them. */
function asPublished(stack: LayerStack, marks: boolean): LayerStack {
  const made = new Map<Layer, Layer>();
  for (const layer of stack) {
    const kept = layer.entries.filter(({ kind }) => kind !== 'device');
    const entries = kept.map((entry) => {
      const { mark, mtime, ...rest } = entry.attributes;
      const attributes = { ...rest, mtime: mtime - (mtime % SECOND) };
      return { ...entry, attributes: marks && mark !== undefined ? { ...attributes, mark } : attributes };
    });
    made.set(layer, { ...layer, entries });
  }
  return stack.map((layer) => made.get(layer) ?? layer);
}

/** A layer with a link into a lower one cannot be published: the ingest command aborts at it. */
async function publishIfPossible(
  writer: ReturnType<typeof repositoryWriter> | undefined,
  layer: MadeLayer,
): Promise<void> {
  try {
    if (writer) await publishLayers(writer, [layer]);
  } catch (error) {
    if (!isPluginError(error, 'LAYER_BAD_HARDLINK')) throw error;
  }
}

async function compareOne(
  { id, image, stack }: Case,
  plain: Store,
  other: { store: Store; cvmfs: PullDeps['cvmfs'] },
  total: Totals,
): Promise<string[]> {
  const refused = [
    await create(plain, undefined, image, id),
    await create(other.store, other.cvmfs, image, id),
  ];
  if (refused.some((code) => code !== undefined))
    return [`refused: ${refused[0]} from the layout, ${refused[1]} from CVMFS`];
  const record = other.store.images.record(id);
  for (const { source } of record?.layers ?? []) total[source === 'cvmfs' ? 'published' : 'fetched'] += 1;
  const lowers = record?.lowers ?? [];
  if (lowers.some((lower) => lower.includes('.c1-') && lower.endsWith('.shim'))) total.withShims += 1;
  if (lowers.some((lower) => lower.endsWith('.mask'))) total.withMasks += 1;
  const rootfs = other.store.layout.rootfs(id);
  const tree = mergeStack(stack);
  const lines = new Set(differences(tree, stack, rootfs));
  const model = describeModel(tree.root);
  for (const line of compareTrees(plain.layout.rootfs(id), rootfs, { linkCounts: false })) {
    // Publishing loses the times of directories that no entry made.
    if (model.get(line.slice(0, line.indexOf(': mtime: ')))?.['mtime'] !== 'any') lines.add(line);
  }
  // Once published, hard links are files of their own.
  return [...lines].filter((line) => !line.includes('linked together'));
}
/** The code of the error, if there is one. */
async function create(
  store: Store,
  cvmfs: PullDeps['cvmfs'],
  image: PublishedImage,
  id: ImageId,
): Promise<string | undefined> {
  const source = new OciLayoutSource({
    reference: { kind: 'oci', directory: image.url.slice('oci://'.length), ref: undefined },
    platform: platformOf(process.arch),
    skipLayerValidation: false,
    remote: { certificates: undefined, proxyFor: () => undefined, idleSeconds: 10 },
    log: silentLogger,
  });
  try {
    await createImage(
      {
        store,
        source,
        cvmfs,
        log: silentLogger,
        progress: silentProgress,
        signal: new AbortController().signal,
        workerUrl: join(PROJECT, 'cmd/unpack-worker.ts'),
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

if (import.meta.main) {
  const [stacks = 10_000, first = 1, seed = 1] = process.argv.slice(2).map(Number);
  const started = performance.now();
  const { differences: lines, ...outcome } = await compareRandomStacks(stacks, first, seed);
  const seconds = Math.round((performance.now() - started) / 1000);
  writeSync(
    1,
    `${[JSON.stringify(outcome), ...lines, `${outcome.stacks} stacks in ${seconds} s`].join('\n')}\n`,
  );
  process.exitCode = lines.length === 0 ? 0 : 1;
}
