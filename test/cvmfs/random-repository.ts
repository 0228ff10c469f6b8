/** Random stacks of layers as a repository that is served through FUSE, and as layouts. */
import { mkdirSync, rmSync } from 'node:fs';
import type { Digest } from '../../lib/base/digest.ts';
import { isPluginError } from '../../lib/base/errors/error.ts';
import type { ImageId } from '../../lib/store/layout/image-id.ts';
import { archive, type Layer, type LayerStack } from '../property/entries.ts';
import { Random } from '../property/random.ts';
import { packTree, serveImage, setMagic } from '../support/cvmfs.ts';
import {
  layerOf,
  layoutImage,
  type MadeLayer,
  type PublishedImage,
  publishLayers,
  repositoryWriter,
} from '../support/published-image.ts';
import type { TempDir } from '../support/temp.ts';

const NAME = 'random.example.org';
const SECOND = 1_000_000_000n;
/** Of the layers, these stay unpublished; of the published, these have a companion. */
const UNPUBLISHED = 0.1;
const COMPANIONS = 0.3;

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
 * @param marks keep the attributes of users, which publishing loses
 */
export async function serveStacks(
  dir: TempDir,
  stacks: readonly Numbered[],
  marks: boolean,
): Promise<Served> {
  const root = dir.at('repository');
  mkdirSync(root);
  const writers = {
    plain: repositoryWriter(root, { companion: false }),
    companion: repositoryWriter(root, { companion: true }),
  };
  const seen = new Set<Digest>();
  const cases: Case[] = [];
  for (const { seed, number, stack: whole } of stacks) {
    const random = new Random(seed, number, 1);
    const stack = asPublished(whole, marks);
    const layers = stack.map((layer) => layerOf(archive(layer)));
    cases.push({ id: `case-${number}` as ImageId, stack, image: layoutImage(dir, layers) });
    for (const layer of layers) {
      const leftOut = random.chance(UNPUBLISHED);
      const writer = random.chance(COMPANIONS) ? writers.companion : writers.plain;
      if (seen.has(layer.digest) || leftOut) continue;
      seen.add(layer.digest);
      await publishIfPossible(writer, layer);
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
  writer: ReturnType<typeof repositoryWriter>,
  layer: MadeLayer,
): Promise<void> {
  try {
    await publishLayers(writer, [layer]);
  } catch (error) {
    if (!isPluginError(error, 'LAYER_BAD_HARDLINK')) throw error;
  }
}
