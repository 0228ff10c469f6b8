/**
 * Makes lower directories from a list of layers. A layer is kept by its own content, so its effect on top of other
 * layers is settled here, by small generated directories (shims) between layers. These facts of overlayfs make shims
 * necessary, each measured:
 *  - The same layer twice gives ELOOP. Only the topmost one counts; the tree is the same.
 *  - A whiteout in a directory that no lower layer has is listed by readdir and absent for a lookup. An empty copy of
 *   that directory right below the layer makes it a merged directory, where whiteouts are left out.
 *  - overlayfs ignores an opaque marker on the root of a layer. The stack ends there.
 *  - A directory that a layer has for its whiteouts alone would show (hollow-directories.ts).
 *  - A directory that a layer only implies hides the mode and owner of the lower one. A shim on top of the whole stack
 *   has the right ones.
 */
import type { ByteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MAX_LOWER_DIRS } from '../../base/limits.ts';
import { withParents } from '../../base/name-set.ts';
import type { Steps } from '../../base/turns.ts';
import {
  type LayerKey,
  type Lower,
  type StackKey,
  shimOf,
  type VolumeName,
} from '../../store/layout/layer-key.ts';
import type { DirectoryAttributes, StackPlan } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import type { HollowDirectories } from './hollow-directories.ts';
import type { MergedNames } from './merged-names.ts';
import { attributesIn, plainDirectory, planShims } from './plan-shims.ts';
import { PlanningWork } from './planning-work.ts';
import { STACK_RULES, type StackRules } from './rules.ts';
import { buildShim, type ShimDirectory } from './shims.ts';
import { nameOf, type StackLayer } from './stack-view.ts';

type Owner = Store['owner'];

export interface Stack {
  readonly key: StackKey;
  /** The layers, bottom first, with repetitions. */
  readonly layers: readonly StackLayer[];
}

/**
 * Works out the plan and makes its shims. The caller holds a lease on the layers and the stack.
 * @throws IMAGE_TOO_MANY_LAYERS, IMAGE_TOO_COMPLEX
 */
export function* planStack(
  store: Store,
  stack: Stack,
  rules: StackRules = STACK_RULES,
  work: PlanningWork = new PlanningWork(),
): Steps<StackPlan> {
  const once = rules.topmostOnly ? topmostOnly(stack.layers) : [...stack.layers].reverse();
  const topFirst = rules.opaqueRoot ? downToOpaqueRoot(once) : once;
  const { hidden, top, ghosts } = yield* planShims(topFirst, store.owner, rules, work);
  const lowers: Lower[] = [];
  if (top.length + hidden.length > 0) lowers.push(yield* ensureShim(store, shimOf(stack.key), top, hidden));
  for (const layer of topFirst) {
    if (layer.kind === 'cvmfs') {
      const { maskAbove, shimBelow } = layer;
      lowers.push(...(maskAbove ? [maskAbove] : []), layer.lower, ...(shimBelow ? [shimBelow] : []));
    } else {
      lowers.push(layer.lower);
      if (ghosts.has(layer)) lowers.push(yield* ensureGhostShim(store, layer.lower, layer.whiteoutDirs));
    }
  }
  // An image may have no layer, and overlayfs needs at least one lower directory.
  if (lowers.length === 0) lowers.push(yield* ensureShim(store, shimOf(stack.key), []));
  if (lowers.length > MAX_LOWER_DIRS) {
    throw new PluginError('IMAGE_TOO_MANY_LAYERS', { layers: lowers.length, limit: MAX_LOWER_DIRS });
  }
  const uses = [stack.key, ...topFirst.map(nameOf)];
  const idmapRoots = [
    ...new Set(topFirst.flatMap((one) => (one.kind === 'cvmfs' ? (one.idmapRoot ?? []) : []))),
  ];
  return {
    lowers,
    ...(idmapRoots.length > 0 ? { idmapRoots } : {}),
    uses,
    layerBytes: topFirst.reduce((sum, layer) => sum + layer.bytes, 0),
    root: rootAttributes(rules.root ? once : [], store.owner),
  };
}

/** The layers, topmost first, each once, at its topmost position. */
function topmostOnly(bottomFirst: readonly StackLayer[]): StackLayer[] {
  const kept = new Map<string, StackLayer>();
  for (const layer of [...bottomFirst].reverse()) if (!kept.has(layer.lower)) kept.set(layer.lower, layer);
  return [...kept.values()];
}

/** The layers that can show, topmost first. */
export function showingLayers(bottomFirst: readonly StackLayer[]): readonly StackLayer[] {
  return downToOpaqueRoot(topmostOnly(bottomFirst));
}

/**
 * The layers down to one with an opaque root. overlayfs always merges the roots of all layers, whatever attribute they
 * have (tried).
 */
function downToOpaqueRoot(topFirst: readonly StackLayer[]): readonly StackLayer[] {
  const end = topFirst.findIndex((layer) => layer.opaqueDirs.has('' as ByteName));
  return end < 0 ? topFirst : topFirst.slice(0, end + 1);
}

/**
 * The shim with all whiteout directories of the layer, empty. This shim depends on the layer alone and is kept beside
 * it.
 */
function* ensureGhostShim(
  store: Store,
  layer: LayerKey,
  whiteoutDirs: readonly ByteName[],
): Steps<VolumeName> {
  // The layer above has each of these directories itself, so attributes of the shim's directories never show.
  const hidden: DirectoryAttributes = { mode: 0o755, ...store.owner, mtime: undefined, xattrs: [] };
  const directories = withParents(whiteoutDirs).map((name) => ({ name, attributes: () => hidden }));
  return yield* ensureShim(store, shimOf(layer), directories);
}

function* ensureShim(
  store: Store,
  volume: VolumeName,
  directories: readonly ShimDirectory[],
  hidden: readonly ByteName[] = [],
): Steps<VolumeName> {
  if (!store.layers.has(volume)) yield* buildShim(store, volume, directories, hidden);
  return volume;
}

/**
 * The attributes of the root, also from a layer below an opaque root: the marker empties a directory and keeps its
 * attributes.
 */
function rootAttributes(topFirst: readonly StackLayer[], owner: Owner): DirectoryAttributes {
  const explicit = topFirst.find((layer) => layer.explicitRoot);
  return explicit ? attributesIn(explicit, '' as ByteName) : plainDirectory(owner);
}

/**
 * True when lower layers have another type for a directory that the layer only implies. If the layers were unpacked one
 * after the other into one root filesystem, the layer's files would have gone where a link leads, and its whiteouts
 * would have had no effect.
 * @param below all layers below it, with those below an opaque root
 */
export function* needsLower(
  layer: StackLayer,
  below: MergedNames,
  hollow: HollowDirectories,
): Steps<boolean> {
  for (const name of layer.impliedDirs) {
    yield;
    let merged = false;
    const end = below.walk(name, below.size, false, () => {
      merged = true;
      return false;
    });
    if (merged || end === undefined) continue;
    if (end.sight === 'link') return true;
    if (end.sight === 'other' && (yield* hollow.has(layer, name))) return true;
  }
  return false;
}
