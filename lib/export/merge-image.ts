/**
 * The layers of an image, fetched, verified, unpacked and merged into one tree, one after the other. Each layer is
 * unpacked on top of the tree of those below it: its names may go through their links, and its hard links may lead to
 * their files.
 */

import { PluginError } from '../base/errors/error.ts';
import { MiB } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import type { Progress } from '../base/progress.ts';
import { inTurns } from '../base/turns.ts';
import {
  blobOfLayer,
  compressionOfLayer,
  declaredSize,
  digestOfLayer,
  expectedFacts,
  type ImageLayer,
  shownLayer,
  type TarLayer,
} from '../image/source/image-layer.ts';
import { savedImageIn } from '../image/source/saved-image.ts';
import type { ImageSource, ResolvedImage } from '../image/source/source.ts';
import { isOfWrongBytes } from '../image/source/wrong-bytes.ts';
import { MergedTree } from '../layer/merge/merged-tree.ts';
import { MAX_LOOKS } from '../layer/tree/budget.ts';
import type { LayerBudget, Unpacked, UnpackRequest } from '../layer/tree/types.ts';
import { unpackLayer } from '../layer/unpack/unpack.ts';
import { mkdirAt, unlinkAt } from '../sys/kernel/files.ts';
import { AT_FDCWD } from '../sys/kernel/libc.ts';
import { lookIfThere } from '../sys/kernel/look.ts';
import type { LayersOnCvmfs } from './layers-on-cvmfs.ts';
import { removePath } from './remove-path.ts';
import { Totals, type TreeTotals } from './totals.ts';

export interface MergeDeps {
  readonly source: ImageSource;
  readonly log: Logger;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  /** The compiled second entry (or its source, in tests) that unpacks in a thread of its own. */
  readonly workerUrl: string | URL;
  readonly budget: LayerBudget;
  /** `own` for a caller who is not root (`Publication` in lib/layer/tree/types.ts). */
  readonly attributes: 'set' | 'own';
  /** For an image that says where its layers are published. The result is undefined where no repository is configured. */
  readonly onCvmfs?: (() => Promise<LayersOnCvmfs | undefined>) | undefined;
  /** In a thread for each layer, unless said otherwise. */
  readonly unpack?: typeof unpackLayer | undefined;
}

/** Two existing directories on one filesystem, both empty. */
export interface MergePlace {
  readonly tree: string;
  readonly work: string;
}

/**
 * A hard link into a lower layer takes a few bytes of an archive and a whole file on the disk, in each layer that has
 * one. An image may copy as much again as its layers have, and small images this much.
 */
const MIN_COPIES = 64 * MiB;

export interface MergedImage {
  readonly totals: TreeTotals;
  readonly tree: MergedTree;
}

/**
 * Writes the root filesystem of an image into `place.tree`. The caller ends the tree with `close` and `finish` of MergedTree.
 * @throws what the source throws, LAYER_*, SysError. The caller then removes both directories.
 */
export async function mergeImage(
  deps: MergeDeps,
  image: ResolvedImage,
  place: MergePlace,
): Promise<MergedImage> {
  const namesCvmfs = image.layers.some(({ kind }) => kind === 'directory');
  const onCvmfs = namesCvmfs ? await deps.onCvmfs?.() : undefined;
  await onCvmfs?.find(image.layers);
  const merge = new ImageMerge(deps, place, onCvmfs);
  for (const layer of image.layers) await merge.add(layer);
  deps.signal.throwIfAborted();
  return merge.result;
}

/**
 * Writes an image of one layer as one EROFS image, in one pass and without a tree. @throws as `mergeImage`, LAYER_BAD_XATTR
 */
export async function writeLayer(
  deps: MergeDeps,
  layer: ImageLayer,
  place: MergePlace,
  file: string,
): Promise<TreeTotals> {
  const merge = new ImageMerge(deps, place, undefined, file);
  await merge.add(layer);
  return merge.result.totals;
}

/** True for an image of one layer that `writeLayer` writes. The tree of a local tar is looked at first: it may be an image. */
export function isOneLayer({ attributes }: MergeDeps, { layers }: ResolvedImage): boolean {
  const [layer] = layers;
  if (layer === undefined || layers.length > 1 || attributes !== 'set') return false;
  const isBlob = layer.kind === 'blob' || layer.kind === 'unvalidated';
  return isBlob && layer.baseDirectory === undefined;
}

/** The facts of an archive that a repository's tree is read as. */
const NOTHING = { digest: undefined, diffId: undefined, size: undefined };

class ImageMerge {
  readonly #deps: MergeDeps;
  readonly #place: MergePlace;
  readonly #onCvmfs: LayersOnCvmfs | undefined;
  readonly #file: string | undefined;
  readonly #tree: MergedTree;
  readonly #totals = new Totals();
  #looksLeft = MAX_LOOKS;
  /** Bytes of files that the layers brought themselves, and of those that were copied from lower ones. */
  #own = 0;
  #copied = 0;

  /** @param file the EROFS image that the only layer becomes */
  constructor(deps: MergeDeps, place: MergePlace, onCvmfs: LayersOnCvmfs | undefined, file?: string) {
    this.#file = file;
    this.#deps = deps;
    this.#onCvmfs = onCvmfs;
    this.#place = place;
    this.#tree = new MergedTree(place.tree, deps.attributes === 'set' ? { uid: 0, gid: 0 } : undefined);
  }

  async add(layer: ImageLayer): Promise<void> {
    const { signal, log, progress } = this.#deps;
    signal.throwIfAborted();
    const started = performance.now();
    const bar = progress.layer(shownLayer(layer), declaredSize(layer));
    try {
      const unpacked = await this.#unpack(layer, (bytes) => bar.advance(bytes));
      if (this.#file === undefined) await inTurns(this.#tree.add(this.#layerTree, unpacked), signal);
      this.#clear();
      this.#count(unpacked);
      log.info('layer-merged', {
        digest: digestOfLayer(layer),
        entries: unpacked.entries,
        milliseconds: Math.round(performance.now() - started),
      });
    } finally {
      bar.done();
    }
  }

  get result(): MergedImage {
    return { totals: this.#totals.all, tree: this.#tree };
  }

  get #layerTree(): string {
    return `${this.#place.work}/layer`;
  }

  get #manifest(): string {
    return `${this.#place.work}/manifest`;
  }

  async #unpack(layer: ImageLayer, advance: (bytes: number) => void): Promise<Unpacked> {
    const { source } = this.#deps;
    for (;;) {
      try {
        return await this.#unpackOnce(layer, advance);
      } catch (error) {
        // The loop ends: each rejection takes a mirror or kept bytes away, and the registry itself never counts.
        if (!isOfWrongBytes(error) || source.reject?.(layer) !== true) throw error;
        this.#clear();
        if (this.#file !== undefined && lookIfThere(this.#file) !== undefined) removePath(this.#file);
      }
    }
  }

  async #unpackOnce(layer: ImageLayer, advance: (bytes: number) => void): Promise<Unpacked> {
    const { source, signal, workerUrl, unpack = unpackLayer } = this.#deps;
    mkdirAt(AT_FDCWD, this.#layerTree, 0o700);
    const archive = this.#onCvmfs?.open(layer);
    if (archive !== undefined) return this.#unpackArchive(layer, archive, advance);
    const bytes = { compression: compressionOfLayer(layer), expected: expectedFacts(layer) };
    let before = 0;
    const unpacked = await unpack(this.#request(layer, bytes), await source.open(layer, signal), {
      workerUrl,
      signal,
      onProgress: (read) => {
        advance(read - before);
        before = read;
      },
    });
    await source.verifyUnchanged?.(layer);
    if (layer.kind === 'tar') refuseSavedImage(layer, this.#layerTree);
    return unpacked;
  }

  /** A layer from a repository: its tar is another one than the image's, so no digest can be compared. */
  #unpackArchive(
    layer: ImageLayer,
    chunks: AsyncIterable<Uint8Array>,
    advance: (bytes: number) => void,
  ): Promise<Unpacked> {
    const { signal, workerUrl, unpack = unpackLayer } = this.#deps;
    let before = 0;
    return unpack(
      this.#request(layer, { compression: 'none', expected: NOTHING }),
      { kind: 'stream', chunks },
      {
        workerUrl,
        signal,
        onProgress: (read) => {
          advance(read - before);
          before = read;
        },
      },
    );
  }

  #request(layer: ImageLayer, bytes: Pick<UnpackRequest, 'compression' | 'expected'>): UnpackRequest {
    return {
      target: this.#layerTree,
      manifestPath: this.#manifest,
      ...bytes,
      mappings: { uids: [], gids: [] },
      budget: this.#deps.budget,
      quotaBytes: undefined,
      looks: this.#looksLeft,
      ...(this.#file === undefined
        ? this.#onTree(blobOfLayer(layer)?.baseDirectory)
        : { base: undefined, lowers: undefined, image: { path: this.#file, isWhole: true } }),
    };
  }

  /** On top of the tree of the layers below. */
  #onTree(directory: string | undefined) {
    const { tree } = this.#place;
    return {
      base: directory === undefined ? undefined : { directory, parentTree: tree },
      lowers: [tree],
      copyBytes: Math.max(0, Math.max(MIN_COPIES, this.#own) - this.#copied),
      publication: { attributes: this.#deps.attributes },
    };
  }

  #count(unpacked: Unpacked): void {
    // Bytes beyond those of the layer's own tar certainly are copies.
    const copied = Math.max(0, unpacked.fileBytes - unpacked.tarBytes);
    this.#copied += copied;
    this.#own += unpacked.fileBytes - copied;
    this.#looksLeft -= unpacked.looks;
    this.#totals.add(unpacked);
  }

  #clear(): void {
    removePath(this.#layerTree);
    if (lookIfThere(this.#manifest) !== undefined) unlinkAt(AT_FDCWD, this.#manifest);
  }
}

/** Only a file that was given by its path can be an image in a file: a layer's content is what its builder meant. */
function refuseSavedImage({ path }: TarLayer, tree: string): void {
  const format = savedImageIn(tree);
  if (format === undefined) return;
  throw new PluginError('IMAGE_SAVED', { path, format });
}
