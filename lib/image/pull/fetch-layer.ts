import { isPluginError, PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import type { Progress } from '../../base/progress.ts';
import type { LayerBudget, UnpackRequest, UnpackResult } from '../../layer/tree/types.ts';
import { unpackLayer } from '../../layer/unpack/unpack.ts';
import type { LayerForm } from '../../store/layout/layer-form.ts';
import { type LayerKey, layerKey } from '../../store/layout/layer-key.ts';
import type { Grant } from '../../store/records/grants.ts';
import { mountLayers } from '../../store/records/layer-mounts.ts';
import type { LayerRecord, StagedLayer } from '../../store/records/layers.ts';
import type { Store } from '../../store/store.ts';
import { mountErofs } from '../../sys/mounts/erofs.ts';
import { unmount } from '../../sys/mounts/mount.ts';
import {
  blobOfLayer,
  compressionOfLayer,
  declaredSize,
  digestOfLayer,
  expectedFacts,
  shownLayer,
  type TarLayer,
} from '../source/image-layer.ts';
import { savedImageIn } from '../source/saved-image.ts';
import type { ImageSource } from '../source/source.ts';
import { isOfWrongBytes } from '../source/wrong-bytes.ts';
import type { NamedLayer } from './layer-names.ts';

export interface FetchContext {
  readonly store: Store;
  readonly source: ImageSource;
  readonly log: Logger;
  readonly progress: Progress;
  /** Gets the time of each layer, in milliseconds. */
  readonly metrics?:
    | { duration(name: string, milliseconds: number): void; count(name: string, value: number): void }
    | undefined;
  readonly signal: AbortSignal;
  /** The compiled second entry (or its source, in tests) that unpacks in a thread of its own. */
  readonly workerUrl: string | URL;
  /** Unpacks a layer; by default in a thread for each. */
  readonly unpack?: typeof unpackLayer | undefined;
  readonly budget: LayerBudget;
}

/** The parts of a pull that a fetch needs. */
interface Fetch {
  readonly context: FetchContext;
  readonly request: { readonly quotaBytes: number | undefined };
}

export interface FetchedLayer {
  readonly named: NamedLayer;
  readonly staged: StagedLayer;
  readonly record: LayerRecord;
  /** Lookups of names that unpacking took. */
  readonly looks: number;
  readonly grant: Grant;
  /** True when the store had the layer before, and the caller had to show that its source has it too. */
  readonly again: boolean;
}

/** The second attempt for a layer that cannot stand alone: the trees below it, and its new name. */
export interface OnTopOf {
  readonly key: LayerKey;
  /** Topmost first. */
  readonly trees: readonly string[];
  /** Bytes of their files that the layer may copy, for hard links to them. */
  readonly copyBytes: number;
  /** Lookups of names that it may take. */
  readonly looks: number;
}

/** Fetches, verifies and unpacks one layer into a stage. After any failure no stage is left. */
export async function fetchLayer(
  fetch: Fetch,
  named: NamedLayer,
  onTop: OnTopOf | undefined,
): Promise<FetchedLayer> {
  let kind = kindFor(fetch, named, onTop);
  for (;;) {
    try {
      return await fetchOnce(fetch, named, { onTop, kind });
    } catch (error) {
      if (kind === 'images' && isPluginError(error, 'LAYER_BAD_XATTR')) {
        // The root of an image has less room for attributes than a directory. A tree says whether they are bad.
        kind = 'directories';
        continue;
      }
      // The loop ends: each rejection removes a mirror or kept bytes, and the registry itself is never rejected.
      if (!isOfWrongBytes(error) || fetch.context.source.reject?.(named.layer) !== true) throw error;
    }
  }
}

/** A layer that needs the trees below it is written as a directory: it may have to read them for every entry. */
function kindFor({ context }: Fetch, named: NamedLayer, onTop: OnTopOf | undefined): LayerForm['kind'] {
  if (onTop !== undefined || baseOf(named) !== undefined) return 'directories';
  return context.store.format.layers.kind;
}

function baseOf({ layer }: NamedLayer): string | undefined {
  return blobOfLayer(layer)?.baseDirectory;
}

interface Attempt {
  readonly onTop: OnTopOf | undefined;
  readonly kind: LayerForm['kind'];
}

async function fetchOnce(fetch: Fetch, named: NamedLayer, { onTop, kind }: Attempt): Promise<FetchedLayer> {
  const { context } = fetch;
  const { layer, parent } = named;
  const started = performance.now();
  // The attributes of a base directory come from the layer below.
  if (baseOf(named) !== undefined && parent !== undefined) await mountLayers(context.store, [parent]);
  const staged = context.store.layers.stage(kind);
  const bar = context.progress.layer(shownLayer(layer), declaredSize(layer));
  try {
    const bytes = await context.source.open(layer, context.signal);
    let before = 0;
    const unpack = context.unpack ?? unpackLayer;
    const { looks, ...result } = await unpack(requestOf(fetch, named, staged, onTop), bytes, {
      workerUrl: context.workerUrl,
      signal: context.signal,
      onProgress: (read) => {
        bar.advance(read - before);
        before = read;
      },
    });
    await context.source.verifyUnchanged?.(layer);
    if (layer.kind === 'tar') lookInto(context.store, staged, () => refuseSavedImage(layer, staged.tree));
    const described = context.store.layers.describe(staged, nameOf(named, result, onTop), result);
    const hosts = context.source.hosts?.(layer);
    const record = hosts === undefined ? described : { ...described, hosts };
    const milliseconds = performance.now() - started;
    // Bytes are unpacked while they arrive, so both metrics have the same time. GrootFS's first one includes the
    // second.
    context.metrics?.duration('DownloadTime', milliseconds);
    context.metrics?.duration('UnpackTime', milliseconds);
    context.log.info('layer-unpacked', {
      layer: record.key,
      digest: digestOfLayer(layer),
      bytes: result.compressedBytes,
      unpackedBytes: result.tarBytes,
      entries: result.entries,
      skippedDevices: result.skippedDevices,
      milliseconds: Math.round(milliseconds),
    });
    const grant = context.source.delivered(layer);
    return { named, staged, record, looks, grant, again: context.store.layers.has(record.key) };
  } catch (error) {
    context.store.layers.discard(staged);
    throw error;
  } finally {
    bar.done();
  }
}

/** Looks at the tree of a staged layer, which is mounted for that where the layer is an image. */
function lookInto(store: Store, { image, tree }: StagedLayer, look: () => void): void {
  if (image !== undefined) mountErofs(image, tree, store.format.layers.way);
  try {
    look();
  } finally {
    if (image !== undefined) unmount(tree, { detach: true });
  }
}

/**
 * Refuses an image in a file. Only a local tar can be one: a layer with a digest has the content that its builder
 * chose.
 */
function refuseSavedImage({ path }: TarLayer, tree: string): void {
  const format = savedImageIn(tree);
  if (format === undefined) return;
  throw new PluginError('IMAGE_SAVED', { path, format });
}

function requestOf(
  { context, request }: Fetch,
  { layer, parent }: NamedLayer,
  staged: StagedLayer,
  onTop: OnTopOf | undefined,
): UnpackRequest {
  const directory = blobOfLayer(layer)?.baseDirectory;
  return {
    target: staged.tree,
    manifestPath: staged.manifest,
    compression: compressionOfLayer(layer),
    expected: expectedFacts(layer),
    mappings: context.store.format.mappings,
    budget: context.budget,
    quotaBytes: request.quotaBytes,
    base:
      directory === undefined
        ? undefined
        : { directory, parentTree: parent && context.store.layout.tree(parent) },
    image: staged.image === undefined ? undefined : { path: staged.image, isWhole: false },
    lowers: onTop?.trees,
    copyBytes: onTop?.copyBytes,
    looks: onTop?.looks,
  };
}

function nameOf({ key, layer }: NamedLayer, { diffId }: UnpackResult, onTop: OnTopOf | undefined) {
  const name = onTop?.key ?? key ?? layerKey({ content: diffId, validated: true });
  return { key: name, validated: layer.kind !== 'unvalidated' };
}
