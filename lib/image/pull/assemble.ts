import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import { inTurns } from '../../base/turns.ts';
import { MAX_LOOKS } from '../../layer/tree/budget.ts';
import type { LayerKey, VolumeName } from '../../store/layout/layer-key.ts';
import { mountLayers } from '../../store/records/layer-mounts.ts';
import type { LayerRecord } from '../../store/records/layers.ts';
import type { Store } from '../../store/store.ts';
import { isHeld, type LayerTurns } from '../source/layer-turns.ts';
import { HollowDirectories } from '../stack/hollow-directories.ts';
import { MergedNames } from '../stack/merged-names.ts';
import { NameBudget } from '../stack/name-budget.ts';
import { PlanningWork } from '../stack/planning-work.ts';
import type { StackRules } from '../stack/rules.ts';
import { needsLower, showingLayers } from '../stack/stack.ts';
import { type CvmfsStackLayer, nameOf, type StackLayer } from '../stack/stack-view.ts';
import type { Pull } from './context.ts';
import { publishDelivered } from './deliver.ts';
import { type FetchedLayer, fetchLayer, type OnTopOf } from './fetch-layer.ts';
import { chainedKey, type NamedLayer } from './layer-names.ts';

/**
 * The bytes that hard links into lower layers may copy in a small image. Such a link takes a few bytes of an archive
 * and a whole file on the disk, in each layer that has it. An image may copy as much again as its layers have, and at
 * least this much: a link to each file of a tool.
 */
const MIN_COPIES = 64 * MiB;

/** A layer of an image that is in the store or on CVMFS. */
export interface AvailableLayer extends NamedLayer {
  readonly onCvmfs: CvmfsStackLayer | undefined;
}

/**
 * Puts the layers on top of each other, bottom first. Nearly every layer stands alone. A layer that links into a lower
 * layer, or whose files would go through a link of a lower one, is fetched again on top of the layers below it and kept
 * under another name.
 */
export async function assembleLayers(
  pull: Pull,
  layers: readonly AvailableLayer[],
  { turns, rules }: { turns: LayerTurns; rules: StackRules },
): Promise<{ layers: StackLayer[]; fetched: FetchedLayer[] }> {
  const { store, signal } = pull.context;
  const stacked: StackLayer[] = [];
  const fetched: FetchedLayer[] = [];
  const work = new PlanningWork();
  /** All layers that are fetched on top of others may take together as many lookups as one layer. */
  let looks = MAX_LOOKS;
  const [names, hollow, known] = [
    new MergedNames(work, true),
    new HollowDirectories(work),
    new KnownLayers(store),
  ];
  const put = (layer: StackLayer) => {
    stacked.push(layer);
    names.add(layer);
  };
  // Planning reads attributes of directories, and layers that are written on top of others read these.
  await mountLayers(
    store,
    layers.flatMap(({ key }) => (key !== undefined && store.layers.has(key) ? [key] : [])),
  );
  for (const layer of layers) {
    const alone = aloneIfPossible(known, layer);
    // A directory that is published under a name of its own has no tar from which it could be made again.
    const stands = layer.key === undefined || !rules.needsLower;
    if (alone && (stands || !(await inTurns(needsLower(alone, names, hollow), signal)))) {
      put(alone);
      continue;
    }
    const below = showingLayers(stacked);
    // The layer's new name depends on all their names.
    for (const _ of stacked) work.step();
    const key = chainedKey(
      layer,
      keyOf(layer),
      stacked.map((one) => nameOf(one) as LayerKey),
    );
    pull.request.lease.add([key]);
    const again = await fetchOnTop(pull, turns, layer, {
      key,
      trees: below.flatMap((one) => treesOf(store, one)),
      copyBytes: known.copiesLeft,
      looks,
    });
    if (again !== undefined) {
      fetched.push(again);
      looks -= again.looks;
    }
    put(known.copying(key));
  }
  return { layers: stacked, fetched };
}

/** Fetches a layer on top of the layers below it. Of several creates that want the same, one fetches it. */
async function fetchOnTop(
  pull: Pull,
  turns: LayerTurns,
  layer: AvailableLayer,
  onTop: OnTopOf,
): Promise<FetchedLayer | undefined> {
  const { admission, context } = pull;
  const { store } = context;
  const isThere = () => admission.has(onTop.key);
  await admission.ask([onTop.key]);
  while (!isThere()) {
    const turn = turns.take(onTop.key, layer.layer);
    if (isHeld(turn)) {
      const before = store.layers.has(onTop.key);
      await turns.wait(turn, () => isThere() || (!before && store.layers.has(onTop.key)));
      await admission.ask([onTop.key]);
      continue;
    }
    using _claim = turn;
    if (isThere()) break;
    const fetched = await fetchLayer(pull, layer, onTop);
    publishDelivered(store, admission, [fetched]);
    return fetched;
  }
  return undefined;
}

/**
 * The trees of a layer as the kernel stacks them. Markers of a layer on CVMFS are files; only its shim and mask have
 * their meaning.
 */
function treesOf(store: Store, layer: StackLayer): string[] {
  if (layer.kind === 'stored') return [layer.tree];
  const volume = (name: VolumeName | undefined) => (name === undefined ? [] : [store.layout.tree(name)]);
  return [...volume(layer.maskAbove), layer.tree, ...volume(layer.shimBelow)];
}

/** Layers as the stack sees them. Each is read once, since an image may list a layer many times. */
class KnownLayers {
  readonly store: Store;
  readonly #layers = new Map<LayerKey, StackLayer>();
  readonly #names = new NameBudget();
  #own = 0;
  #copied = 0;

  constructor(store: Store) {
    this.store = store;
  }

  /** Bytes that later layers may still copy from lower ones. */
  get copiesLeft(): number {
    return Math.max(0, Math.max(MIN_COPIES, this.#own) - this.#copied);
  }

  /** A layer that may have copied files from lower ones. The bytes beyond its own tar were certainly copied. */
  copying(key: LayerKey): StackLayer {
    const { layer, tarBytes } = this.#read(key);
    const copied = Math.max(0, layer.bytes - tarBytes);
    this.#copied += copied;
    this.#own += layer.bytes - copied;
    return layer;
  }

  onCvmfs(layer: StackLayer): StackLayer {
    this.#own += layer.bytes;
    return layer;
  }

  layer(key: LayerKey): StackLayer {
    const before = this.#layers.get(key);
    if (before !== undefined) return before;
    const { layer } = this.#read(key);
    this.#own += layer.bytes;
    this.#layers.set(key, layer);
    return layer;
  }

  #read(key: LayerKey): { layer: StackLayer; tarBytes: number } {
    const record = recordOf(this.store, key);
    this.#names.add(record);
    return { layer: fromRecord(this.store, record), tarBytes: record.tarBytes };
  }
}

function aloneIfPossible(known: KnownLayers, layer: AvailableLayer): StackLayer | undefined {
  if (layer.onCvmfs !== undefined) return known.onCvmfs(layer.onCvmfs);
  const key = keyOf(layer);
  return known.store.sources.needsLower(key) ? undefined : known.layer(key);
}

function keyOf(layer: NamedLayer): LayerKey {
  if (layer.key === undefined) throw new Error('a layer was fetched without a name');
  return layer.key;
}

/** @throws STORE_LAYER_GONE when the layer went away although a lease names it; STORE_DAMAGED */
export function toStackLayer(store: Store, key: LayerKey): StackLayer {
  return fromRecord(store, recordOf(store, key));
}

function recordOf(store: Store, key: LayerKey): LayerRecord {
  const record = store.layers.record(key);
  if (!record) throw new PluginError('STORE_LAYER_GONE', { layer: key });
  return record;
}

function fromRecord(store: Store, record: LayerRecord): StackLayer {
  const { impliedDirs, whiteoutDirs, opaqueDirs } = store.layers.names(record.key);
  return {
    kind: 'stored',
    lower: record.key,
    tree: store.layout.tree(record.key),
    bytes: record.fileBytes,
    explicitRoot: record.explicitRoot,
    impliedDirs: new Set(impliedDirs),
    whiteoutDirs,
    opaqueDirs: new Set(opaqueDirs),
  };
}
