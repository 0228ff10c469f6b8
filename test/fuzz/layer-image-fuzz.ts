/**
 * Random layers, written as a directory tree and as an EROFS image: both take the same layers, with the same facts, and show
 * the same tree; or both refuse by the same code.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { PluginError } from '../../lib/base/errors/error.ts';
import type { IdMappings } from '../../lib/base/id-mapping.ts';
import { LayerWriter } from '../../lib/layer/erofs/layer-writer.ts';
import { MergedTree } from '../../lib/layer/merge/merged-tree.ts';
import { TarReader } from '../../lib/layer/tar/reader.ts';
import { Budget } from '../../lib/layer/tree/budget.ts';
import type { Unpacked } from '../../lib/layer/tree/types.ts';
import { unmount } from '../../lib/sys/mounts/mount.ts';
import { archive } from '../property/entries.ts';
import { Random } from '../property/random.ts';
import { randomStack } from '../property/stacks.ts';
import { readTree, type TreeEntry } from '../support/images/compare-trees.ts';
import { compareImage, mountErofs } from '../support/images/erofs.ts';
import { ROOMY, requestIn, unpack } from '../support/images/unpack.ts';
import { must } from '../support/shell.ts';
import { randomArchive } from './archives.ts';

const FACTS = [
  'fileBytes',
  'explicitRoot',
  'impliedDirs',
  'whiteoutDirs',
  'opaqueDirs',
  'skippedDevices',
  'droppedXattrs',
  'lostOwners',
  'closedDirs',
] as const;
type Facts = Readonly<Record<string, unknown>>;
type Outcome = { readonly facts: Facts } | { readonly refused: string };

/** Layers of random stacks, and random archives that hold more kinds of entries and contradict themselves. */
export function randomLayers(seed: number, number: number): Buffer[] {
  if (number % 2 === 0) return randomStack(seed, number, 'ours').stack.map(archive);
  return [randomArchive(new Random(seed, number))];
}

/** @param directory a new one, which is removed. @returns the differences between both forms */
export async function layerCase(tar: Uint8Array, directory: string, mappings: IdMappings): Promise<string[]> {
  mkdirSync(directory);
  try {
    const request = requestIn(directory, { mappings });
    const tree = await outcomeOf(async () => pick(await unpack(request, tar)));
    const image = await outcomeOf(() => Promise.resolve(pick(imageOf(tar, `${directory}/image`, mappings))));
    if (JSON.stringify(tree) !== JSON.stringify(image))
      return [`tree: ${JSON.stringify(tree)}`, `image: ${JSON.stringify(image)}`];
    if ('refused' in tree) return [];
    return await differences(request.target, `${directory}/image`, `${directory}/mounted`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/**
 * As `layerCase`, for a layer that is the whole image: the tree is the one that is exported as a directory.
 * @param directory a new one, which is removed
 */
export async function wholeCase(tar: Uint8Array, directory: string): Promise<string[]> {
  mkdirSync(directory);
  try {
    const merged = `${directory}/merged`;
    mkdirSync(merged, { mode: 0o700 });
    const tree = await outcomeOf(async () => {
      const into = new MergedTree(merged, { uid: 0, gid: 0 });
      const request = requestIn(`${directory}/a`, { lowers: [merged], publication: { attributes: 'set' } });
      const facts = await unpack(request, tar);
      for (const _ of into.add(request.target, facts));
      into.close();
      into.finish();
      return countsOf(facts);
    });
    const imagePath = `${directory}/image`;
    const image = await outcomeOf(async () =>
      countsOf(await unpack(requestIn(`${directory}/b`, { image: { path: imagePath, isWhole: true } }), tar)),
    );
    if (JSON.stringify(tree) !== JSON.stringify(image))
      return [`tree: ${JSON.stringify(tree)}`, `image: ${JSON.stringify(image)}`];
    return 'refused' in tree ? [] : await compareImage(merged, imagePath, `${directory}/mounted`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

function countsOf({ entries, fileBytes, skippedDevices, droppedXattrs, diffId }: Unpacked): Facts {
  return { entries, fileBytes, skippedDevices, droppedXattrs, diffId };
}

function imageOf(tar: Uint8Array, file: string, mappings: IdMappings) {
  const budget = new Budget(ROOMY, undefined);
  const writer = new LayerWriter(file, mappings, budget);
  try {
    const reader = new TarReader(writer, budget.maxFileSize);
    reader.push(Buffer.from(tar));
    reader.end();
    return writer.finish();
  } finally {
    writer.abandon();
  }
}

function pick(result: object): Facts {
  return Object.fromEntries(FACTS.map((fact) => [fact, (result as Facts)[fact]]));
}

async function outcomeOf(work: () => Promise<Facts>): Promise<Outcome> {
  try {
    return { facts: await work() };
  } catch (error) {
    if (!(error instanceof PluginError)) throw error;
    return { refused: error.code };
  }
}

async function differences(tree: string, image: string, at: string): Promise<string[]> {
  await must('fsck.erofs', [image]);
  await mountErofs(image, at);
  try {
    const [left, right] = [entriesOf(tree), entriesOf(at)];
    return [...new Set([...left.keys(), ...right.keys()])].flatMap((name) => {
      const [one, other] = [left.get(name), right.get(name)].map((entry) => JSON.stringify(entry));
      return one === other ? [] : [`${name}: ${one} and ${other}`];
    });
  } finally {
    unmount(at);
  }
}

/** All whiteouts of an image are one inode, and those of a tree have the time at which they were made. */
function entriesOf(root: string): Map<string, TreeEntry> {
  const entries = readTree(root, { ignoreXattrs: ['trusted.SGI_'] });
  for (const [name, entry] of entries) {
    const { links, mtime, 'linked together': _, ...rest } = entry;
    if (entry['type'] === 'character device') entries.set(name, rest);
    else entries.set(name, Object.fromEntries(Object.entries(entry).sort()));
  }
  return entries;
}
