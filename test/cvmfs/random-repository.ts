/** Random stacks of layers as a repository that is served through FUSE, and as layouts. */
import { mkdirSync, rmSync } from 'node:fs';
import type { Digest } from '../../lib/base/digest.ts';
import { isPluginError } from '../../lib/base/errors/error.ts';
import type { ImageId } from '../../lib/store/layout/image-id.ts';
import { archive, type Layer, type LayerStack } from '../property/entries.ts';
import { Random } from '../property/random.ts';
import { IngestAborted } from '../support/cvmfs/ingested.ts';
import { publishLayout } from '../support/cvmfs/publish-image.ts';
import { packTree, serveImage, setMagic } from '../support/cvmfs/server.ts';
import {
  layerOf,
  layoutImage,
  type MadeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/images/published-image.ts';
import type { TempDir } from '../support/temp.ts';

const NAME = 'random.example.org';
const SECOND = 1_000_000_000n;
/** Of the layers, these stay unpublished; of the published, these have a companion. */
const UNPUBLISHED = 0.1;
const COMPANIONS = 0.3;
/** And these were published by a server of 2.11, whose made-up directories are the publisher's. */
const OLD_SERVER = 0.3;

/** A stack by its number in a seed. */
export interface Numbered {
  readonly seed: number;
  readonly number: number;
  readonly stack: LayerStack;
}

export interface Case {
  readonly id: ImageId;
  /** What publishing keeps of it. */
  readonly stack: LayerStack;
  readonly image: PublishedImage;
}

export interface Served extends AsyncDisposable {
  readonly mount: string;
  readonly cases: readonly Case[];
}

/**
 * All layers of all these stacks in one repository, but those that are left out, to be fetched. What becomes of a layer
 * depends on its stack's seed and number alone.
 * @param repaired keep what publishing loses without a trace
 */
export async function serveStacks(
  dir: TempDir,
  stacks: readonly Numbered[],
  repaired: boolean,
): Promise<Served> {
  const root = dir.at('repository');
  mkdirSync(root);
  const writers = {
    plain: repositoryWriter(root),
    old: repositoryWriter(root, { server: '2.11' }),
    companion: repositoryWriter(root, { companion: true }),
  };
  const seen = new Set<Digest>();
  const cases: Case[] = [];
  for (const { seed, number, stack: whole } of stacks) {
    const random = new Random(seed, number, 1);
    const stack = asPublished(whole, repaired);
    const layers = stack.map((layer) => layerOf(archive(layer)));
    cases.push({ id: `case-${number}` as ImageId, stack, image: layoutImage(dir, layers) });
    for (const layer of layers) {
      const leftOut = random.chance(UNPUBLISHED);
      const other = random.chance(OLD_SERVER) ? writers.old : writers.plain;
      const writer = random.chance(COMPANIONS) ? writers.companion : other;
      if (seen.has(layer.digest) || leftOut) continue;
      seen.add(layer.digest);
      await publishIfPossible(writer, layer);
    }
  }
  return serve(dir, root, cases);
}

/** All these stacks as `graft publish` publishes them. A stack with a layer that depends on a lower one is not published. */
export async function publishStacks(dir: TempDir, stacks: readonly Numbered[]): Promise<Served> {
  const root = dir.at('repository');
  mkdirSync(root);
  const cases: Case[] = [];
  for (const { number, stack: whole } of stacks) {
    const stack = withoutLosses(whole);
    const layers = stack.map((layer) => layerOf(archive(layer)));
    const image = layoutImage(dir, layers);
    cases.push({ id: `case-${number}` as ImageId, stack, image });
    await publishCase(root, number, image);
  }
  return serve(dir, root, cases);
}

/** What nobody can unpack is refused by the create too, and a hard link into a lower layer is another tree each time. */
async function publishCase(root: string, number: number, image: PublishedImage): Promise<void> {
  try {
    await publishLayout({ root, url: image.url, name: `random.example.org/case:${number}` });
  } catch (error) {
    if (!isPluginError(error) || !/^(LAYER_|PUBLISH_LAYER_DEPENDS)/.test(error.code)) throw error;
  }
}

/** Squashfs keeps no more of a time, and the client of CernVM-FS shows no extended attributes of files. */
function withoutLosses(stack: LayerStack): LayerStack {
  return stack.map((layer) => ({
    ...layer,
    entries: layer.entries.map((entry) => {
      const { mark: _, mtime, ...rest } = entry.attributes;
      return { ...entry, attributes: { ...rest, mtime: mtime - (mtime % SECOND) } };
    }),
  }));
}

async function serve(dir: TempDir, root: string, cases: readonly Case[]): Promise<Served> {
  setMagic(root, { fqrn: NAME });
  await packTree(root, dir.at('image'));
  rmSync(root, { recursive: true });
  const standIn = await serveImage(dir.at('image'), dir.at('cvmfs', NAME));
  return { mount: standIn.mount, cases, [Symbol.asyncDispose]: () => standIn[Symbol.asyncDispose]() };
}

/**
 * Squashfs keeps whole seconds; devices are left out with what leads to them. Attributes of users, and all but the first
 * of several entries of one directory, are lost without a trace that a reader could see.
 */
function asPublished(stack: LayerStack, repaired: boolean): LayerStack {
  const made = new Map<Layer, Layer>();
  for (const layer of stack) {
    const named = new Set<string>();
    const kept = layer.entries.filter(({ kind, name }) => {
      if (kind !== 'directory') return kind !== 'device';
      const isFirst = !named.has(name);
      named.add(name);
      return isFirst || repaired;
    });
    const entries = kept.map((entry) => {
      const { mark, mtime, ...rest } = entry.attributes;
      const attributes = { ...rest, mtime: mtime - (mtime % SECOND) };
      return { ...entry, attributes: repaired && mark !== undefined ? { ...attributes, mark } : attributes };
    });
    made.set(layer, { ...layer, entries });
  }
  return stack.map((layer) => made.get(layer) ?? layer);
}

/** A layer that the ingest command aborts at is not published: one with a link into a lower layer, with a name twice. */
async function publishIfPossible(
  writer: ReturnType<typeof repositoryWriter>,
  layer: MadeLayer,
): Promise<void> {
  try {
    await publishLayers(writer, [layer]);
  } catch (error) {
    if (!(error instanceof IngestAborted)) throw error;
  }
}
