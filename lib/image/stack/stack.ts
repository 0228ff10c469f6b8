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
import { NameSet, withParents } from '../../base/name-set.ts';
import type { Steps } from '../../base/turns.ts';
import { type LayerKey, type StackKey, shimOf, type VolumeName } from '../../store/layout/layer-key.ts';
import type { DirectoryAttributes, StackPlan } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import { directoriesToHide, HollowDirectories } from './hollow-directories.ts';
import { MergedNames } from './merged-names.ts';
import { PlanningWork } from './planning-work.ts';
import { attributesOf, buildShim, type ShimDirectory } from './shims.ts';
import { type StackLayer, treePath } from './stack-view.ts';

type Owner = Store['owner'];

export interface Stack {
  readonly key: StackKey;
  /** The layers, bottom first, with repetitions. */
  readonly layers: readonly StackLayer[];
}

/** The rules beside the order of layers. A test leaves one out to show its purpose. */
export interface StackRules {
  /** A repeated layer counts once. */
  readonly topmostOnly: boolean;
  /** Layers below a layer with an opaque root do not count. */
  readonly opaqueRoot: boolean;
  /** Layers get shims below them if their whiteouts have nothing to hide. */
  readonly ghosts: boolean;
  /** Directories that are there for whiteouts alone are hidden. */
  readonly phantoms: boolean;
  /** Implied directories show the attributes of lower ones. */
  readonly implied: boolean;
  /** The root shows the attributes of the topmost layer that names it. */
  readonly root: boolean;
  /** Layers whose files would go through a lower link are unpacked on top of what is below. */
  readonly needsLower: boolean;
}

export const STACK_RULES: StackRules = {
  topmostOnly: true,
  opaqueRoot: true,
  ghosts: true,
  phantoms: true,
  implied: true,
  root: true,
  needsLower: true,
};

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
  const lowers: string[] = [];
  if (top.length + hidden.length > 0) lowers.push(yield* ensureShim(store, shimOf(stack.key), top, hidden));
  for (const layer of topFirst) {
    if (layer.maskAbove !== undefined) lowers.push(layer.maskAbove);
    lowers.push(layer.lower);
    if (layer.shimBelow !== undefined) lowers.push(layer.shimBelow);
    else if (ghosts.has(layer)) lowers.push(yield* ensureGhostShim(store, layer));
  }
  // An image may have no layer, and overlayfs needs at least one lower directory.
  if (lowers.length === 0) lowers.push(yield* ensureShim(store, shimOf(stack.key), []));
  if (lowers.length > MAX_LOWER_DIRS) {
    throw new PluginError('IMAGE_TOO_MANY_LAYERS', { layers: lowers.length, limit: MAX_LOWER_DIRS });
  }
  const uses = [stack.key, ...topFirst.flatMap(({ name, lower }) => name ?? (isForeign(lower) ? [] : lower))];
  const idmapRoots = [...new Set(topFirst.flatMap(({ idmapRoot }) => idmapRoot ?? []))];
  return {
    lowers,
    ...(idmapRoots.length > 0 ? { idmapRoots } : {}),
    uses,
    layerBytes: topFirst.reduce((sum, layer) => sum + layer.bytes, 0),
    root: rootAttributes(rules.root ? once : [], store.owner),
  };
}

/** The shims of a stack. */
export interface Shims {
  /** Whiteouts on top of the stack. */
  readonly hidden: readonly ByteName[];
  /** Directories on top of the stack, parents first. */
  readonly top: readonly ShimDirectory[];
  /** Layers that need empty copies of their whiteout directories right below. */
  readonly ghosts: ReadonlySet<StackLayer>;
}

/** Plans the shims from the layers' records and trees. Makes none. */
export function* planShims(
  topFirst: readonly StackLayer[],
  owner: Owner,
  rules: StackRules,
  work: PlanningWork,
): Steps<Shims> {
  const names = new MergedNames(work, false);
  for (const layer of [...topFirst].reverse()) names.add(layer);
  const phantoms = rules.phantoms
    ? yield* directoriesToHide(topFirst, names, new HollowDirectories(work))
    : [];
  const hidden = [...new Set([...topFirst.flatMap((layer) => layer.rootHidden ?? []), ...phantoms])];
  const top = yield* topShim({ topFirst, names, owner }, hidden, rules);
  const ghosts = new Set<StackLayer>();
  for (const [i, layer] of topFirst.entries()) {
    if (layer.shimBelow !== undefined || !rules.ghosts) continue;
    if (yield* hasGhosts(layer, names, topFirst.length - 1 - i)) ghosts.add(layer);
  }
  return { hidden, top, ghosts };
}

/** The layers, topmost first, each once, at its topmost position. */
function topmostOnly(bottomFirst: readonly StackLayer[]): StackLayer[] {
  const kept = new Map<string, StackLayer>();
  for (const layer of [...bottomFirst].reverse()) if (!kept.has(layer.lower)) kept.set(layer.lower, layer);
  return [...kept.values()];
}

/** A lower directory that is not the store's. */
function isForeign(lower: string): boolean {
  return lower.startsWith('/');
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
 * True when a whiteout of the layer would be listed by readdir. @param place the layer's position in the stack, 0 at
 * the bottom
 */
function* hasGhosts(layer: StackLayer, names: MergedNames, place: number): Steps<boolean> {
  for (const name of layer.whiteoutDirs) {
    yield;
    if (name !== '' && !isMerged(names, name, place)) return true;
  }
  return false;
}

/** True when a layer below `place` has the directory, and it shows there. */
function isMerged(names: MergedNames, name: ByteName, place: number): boolean {
  let found = false;
  names.walk(name, place, false, () => {
    found = true;
    return false;
  });
  return found;
}

/**
 * The shim with all whiteout directories of the layer, empty. This shim depends on the layer alone and is kept beside
 * it.
 */
function* ensureGhostShim(store: Store, layer: StackLayer): Steps<string> {
  // The layer above has each of these directories itself, so attributes of the shim's directories never show.
  const hidden: DirectoryAttributes = { mode: 0o755, ...store.owner, mtime: undefined, xattrs: [] };
  const directories = withParents(layer.whiteoutDirs).map((name) => ({ name, attributes: () => hidden }));
  return yield* ensureShim(store, shimOf(layer.lower as LayerKey), directories);
}

function* ensureShim(
  store: Store,
  volume: VolumeName,
  directories: readonly ShimDirectory[],
  hidden: readonly ByteName[] = [],
): Steps<string> {
  if (!store.layers.has(volume)) yield* buildShim(store, volume, directories, hidden);
  return volume;
}

function attributesIn(layer: StackLayer, name: ByteName): DirectoryAttributes {
  return layer.attributes ? layer.attributes(name) : attributesOf(treePath(layer.tree, name));
}

interface Whole {
  readonly topFirst: readonly StackLayer[];
  readonly names: MergedNames;
  readonly owner: Owner;
}

/**
 * The directories of the shim on top of the stack: those whose topmost appearance is only implied, and the parents of
 * these and of hidden names, each with the attributes that it should show.
 */
function* topShim(whole: Whole, hidden: readonly ByteName[], rules: StackRules): Steps<ShimDirectory[]> {
  const inherited = new Map<ByteName, StackLayer | undefined>();
  for (const layer of rules.implied ? whole.topFirst : []) {
    for (const name of layer.impliedDirs) {
      yield;
      if (!inherited.has(name)) inherited.set(name, explicitBelow(whole, name));
    }
  }
  const shown = [...inherited].flatMap(([name, layer]) => (layer === undefined ? [] : name));
  const parents = hidden.map((name) => name.slice(0, Math.max(0, name.lastIndexOf('/'))) as ByteName);
  const gone = new NameSet(hidden);
  const top: ShimDirectory[] = [];
  for (const name of withParents([...shown, ...parents])) {
    yield;
    if (gone.covers(name)) continue;
    const layer = inherited.get(name) ?? topmostWith(whole, name);
    // The attributes are read one by one when the shim is made: extended attributes take up to 64 KiB for each
    // directory.
    const attributes = () => (layer ? attributesIn(layer, name) : plainDirectory(whole.owner));
    top.push({ name, attributes });
  }
  return top;
}

/** For a name whose topmost appearance is implied: the lower layer that has it explicitly. */
function explicitBelow({ topFirst, names }: Whole, name: ByteName): StackLayer | undefined {
  let topmost: StackLayer | undefined;
  let explicit: StackLayer | undefined;
  names.walk(name, topFirst.length, true, (layer) => {
    if (!layer.impliedDirs.has(name)) {
      if (topmost !== undefined) explicit = layer;
      return false;
    }
    topmost ??= layer;
    return true;
  });
  return explicit;
}

/** The layer whose directory the merged tree shows at a name without any shim. */
function topmostWith({ topFirst, names }: Whole, name: ByteName): StackLayer | undefined {
  let topmost: StackLayer | undefined;
  names.walk(name, topFirst.length, true, (layer) => {
    topmost = layer;
    return false;
  });
  return topmost;
}

function plainDirectory(owner: Owner): DirectoryAttributes {
  return { mode: 0o755, ...owner, mtime: undefined, xattrs: [] };
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
