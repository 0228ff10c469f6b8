/**
 * From a list of layers to lower directories. Layers are kept by their own content, so what one of them means
 * on top of others is settled here, by small generated directories (shims) between them. Three facts of
 * overlayfs make them necessary, each measured:
 *  - the same layer twice is ELOOP: only the topmost one counts, the tree is the same;
 *  - a whiteout in a directory that no lower layer has is listed by readdir and absent on lookup: an empty
 *    copy of that directory right below the layer makes it a merged one, where whiteouts are left out;
 *  - an opaque marker on the root of a layer is not seen by overlayfs: the stack ends there;
 *  - a directory that a layer has for its whiteouts alone comes into being (phantoms.ts);
 *  - a directory that a layer only implies hides the mode and owner of the lower one: a shim on top of the
 *    whole stack carries the right ones.
 */
import type { ByteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MAX_LOWER_DIRS } from '../../base/limits.ts';
import type { Steps } from '../../base/turns.ts';
import { type LayerKey, type StackKey, shimOf, type VolumeName } from '../../store/layout/layer-key.ts';
import type { DirectoryAttributes, StackPlan } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import { directoriesToHide, HollowDirectories } from './hollow-directories.ts';
import { MergedNames } from './merged-names.ts';
import { NameSet, withParents } from './name-set.ts';
import { PlanningWork } from './planning-work.ts';
import { attributesOf, buildShim, type ShimDirectory } from './shims.ts';
import { type StackLayer, treePath } from './stack-view.ts';

type Owner = Store['owner'];

export interface Stack {
  readonly key: StackKey;
  /** Bottom first, repeated ones and all. */
  readonly layers: readonly StackLayer[];
}

/** What is done beside putting the layers on top of each other. Tests leave one out, to show what it is for. */
export interface StackRules {
  /** A layer that is there several times counts once. */
  readonly topmostOnly: boolean;
  /** Nothing below a layer whose root is opaque. */
  readonly opaqueRoot: boolean;
  /** Shims below layers whose whiteouts have nothing to hide. */
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
 * Works out the plan and makes the shims it needs. The caller holds a lease on the layers and the stack.
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
  // An image may have no layer at all, and overlayfs wants one.
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

/** What overlayfs needs beside the layers. */
export interface Shims {
  /** Whiteouts on top of the stack. */
  readonly hidden: readonly ByteName[];
  /** Directories on top of the stack, parents first. */
  readonly top: readonly ShimDirectory[];
  /** Layers that need empty copies of their whiteout directories right below. */
  readonly ghosts: ReadonlySet<StackLayer>;
}

/** From the layers' records and trees; nothing is made. */
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

/** Topmost first, each layer once: its topmost place. */
function topmostOnly(bottomFirst: readonly StackLayer[]): StackLayer[] {
  const kept = new Map<string, StackLayer>();
  for (const layer of [...bottomFirst].reverse()) if (!kept.has(layer.lower)) kept.set(layer.lower, layer);
  return [...kept.values()];
}

/** A lower directory that is not the store's. */
function isForeign(lower: string): boolean {
  return lower.startsWith('/');
}

/** Those that can show something, topmost first. */
export function showingLayers(bottomFirst: readonly StackLayer[]): readonly StackLayer[] {
  return downToOpaqueRoot(topmostOnly(bottomFirst));
}

/** Overlayfs always merges the roots of all layers, whatever attribute they carry (tried). */
function downToOpaqueRoot(topFirst: readonly StackLayer[]): readonly StackLayer[] {
  const end = topFirst.findIndex((layer) => layer.opaqueDirs.has('' as ByteName));
  return end < 0 ? topFirst : topFirst.slice(0, end + 1);
}

/** @param place of the layer in the stack, 0 at the bottom */
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

/** Depends on its layer alone, so it is kept beside it: all its whiteout directories, empty. */
function* ensureGhostShim(store: Store, layer: StackLayer): Steps<string> {
  // The layer above has every one of these directories itself: what attributes the shim's have never shows.
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
 * The directories whose topmost appearance is only implied, and the parents of these and of what is hidden,
 * with what they should show.
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
    // Read when the shim is made, one after the other: extended attributes take up to 64 KiB for each directory.
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

/** Also from below an opaque root: the marker empties a directory and leaves what it is. */
function rootAttributes(topFirst: readonly StackLayer[], owner: Owner): DirectoryAttributes {
  const explicit = topFirst.find((layer) => layer.explicitRoot);
  return explicit ? attributesIn(explicit, '' as ByteName) : plainDirectory(owner);
}

/**
 * True when a directory that the layer only implies is something else in the layers below. Layer after layer
 * in one root filesystem, its files would have gone where a link leads, and its whiteouts nowhere.
 * @param below all layers under it, none of them left out for an opaque root
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
