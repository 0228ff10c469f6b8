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
import type { ByteName } from '../base/bytes.ts';
import { PluginError } from '../base/errors/error.ts';
import { MAX_LOWER_DIRS } from '../base/limits.ts';
import { type LayerKey, type StackKey, shimOf, type VolumeName } from '../store/layer-key.ts';
import type { DirectoryAttributes, StackPlan } from '../store/stacks.ts';
import type { Store } from '../store/store.ts';
import { isHollow, phantomDirs } from './phantoms.ts';
import { attributesOf, buildShim, type ShimDirectory } from './shims.ts';
import { prefixes, type StackLayer, seen, treePath } from './stack-view.ts';

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

/** Works out the plan and makes the shims it needs. The caller holds a lease on the layers and the stack. */
export function planStack(store: Store, stack: Stack, rules: StackRules = STACK_RULES): StackPlan {
  const once = rules.topmostOnly ? topmostOnly(stack.layers) : [...stack.layers].reverse();
  const topFirst = rules.opaqueRoot ? downToOpaqueRoot(once) : once;
  const lowers: string[] = [];
  const phantoms = rules.phantoms ? phantomDirs(topFirst) : [];
  const hidden = [...new Set([...topFirst.flatMap((layer) => layer.rootHidden ?? []), ...phantoms])];
  const top = topShim(topFirst, hidden, store.owner, rules);
  if (top.length + hidden.length > 0) lowers.push(ensureShim(store, shimOf(stack.key), top, hidden));
  for (const [i, layer] of topFirst.entries()) {
    if (layer.maskAbove !== undefined) lowers.push(layer.maskAbove);
    lowers.push(layer.lower);
    if (layer.shimBelow !== undefined) lowers.push(layer.shimBelow);
    else if (rules.ghosts && hasGhosts(layer, topFirst.slice(i + 1)))
      lowers.push(ensureGhostShim(store, layer));
  }
  // An image may have no layer at all, and overlayfs wants one.
  if (lowers.length === 0) lowers.push(ensureShim(store, shimOf(stack.key), []));
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

function hasGhosts(layer: StackLayer, below: readonly StackLayer[]): boolean {
  return layer.whiteoutDirs.some((name) => name !== '' && seen(below, name, false).merged.length === 0);
}

/** Depends on its layer alone, so it is kept beside it: all its whiteout directories, empty. */
function ensureGhostShim(store: Store, layer: StackLayer): string {
  const names = withParents(layer.whiteoutDirs);
  // The layer above has every one of these directories itself: what attributes the shim's have never shows.
  const hidden: DirectoryAttributes = { mode: 0o755, ...store.owner, mtime: undefined, xattrs: [] };
  return ensureShim(
    store,
    shimOf(layer.lower as LayerKey),
    names.map((name) => ({ name, attributes: hidden })),
  );
}

function ensureShim(
  store: Store,
  volume: VolumeName,
  directories: readonly ShimDirectory[],
  hidden: readonly ByteName[] = [],
): string {
  if (!store.layers.has(volume)) buildShim(store, volume, directories, hidden);
  return volume;
}

function attributesIn(layer: StackLayer, name: ByteName): DirectoryAttributes {
  return layer.attributes ? layer.attributes(name) : attributesOf(treePath(layer.tree, name));
}

/**
 * The directories whose topmost appearance is only implied, and the parents of these and of what is hidden,
 * with what they should show.
 */
function topShim(
  topFirst: readonly StackLayer[],
  hidden: readonly ByteName[],
  owner: { uid: number; gid: number },
  rules: StackRules,
): ShimDirectory[] {
  const inherited = new Map<ByteName, DirectoryAttributes>();
  for (const layer of rules.implied ? topFirst : []) {
    for (const name of layer.impliedDirs) {
      if (inherited.has(name)) continue;
      const found = fromBelow(topFirst, name);
      if (found) inherited.set(name, found);
    }
  }
  const parents = hidden.map((name) => name.slice(0, Math.max(0, name.lastIndexOf('/'))) as ByteName);
  const within = (name: ByteName) => hidden.some((above) => name === above || name.startsWith(`${above}/`));
  const names = withParents([...inherited.keys(), ...parents]).filter((name) => !within(name));
  return names.map((name) => ({
    name,
    attributes: inherited.get(name) ?? shown(topFirst, name, owner),
  }));
}

/** Attributes for a name whose topmost appearance is implied and that a lower layer has explicitly. */
function fromBelow(topFirst: readonly StackLayer[], name: ByteName): DirectoryAttributes | undefined {
  const [topmost, ...rest] = seen(topFirst, name, true).merged;
  if (!topmost?.impliedDirs.has(name)) return undefined;
  const explicit = rest.find((layer) => !layer.impliedDirs.has(name));
  return explicit && attributesIn(explicit, name);
}

/** What the merged tree shows at a directory without any shim. */
function shown(
  layers: readonly StackLayer[],
  name: ByteName,
  owner: { uid: number; gid: number },
): DirectoryAttributes {
  const topmost = seen(layers, name, true).merged[0];
  return topmost ? attributesIn(topmost, name) : { mode: 0o755, ...owner, mtime: undefined, xattrs: [] };
}

/** Also from below an opaque root: the marker empties a directory and leaves what it is. */
function rootAttributes(
  topFirst: readonly StackLayer[],
  owner: { uid: number; gid: number },
): DirectoryAttributes {
  const explicit = topFirst.find((layer) => layer.explicitRoot);
  if (explicit) return attributesIn(explicit, '' as ByteName);
  return { mode: 0o755, ...owner, mtime: undefined, xattrs: [] };
}

function withParents(names: readonly ByteName[]): ByteName[] {
  return [...new Set(names.flatMap(prefixes))].sort();
}

/**
 * True when a directory that the layer only implies is something else in the layers below. Layer after layer
 * in one root filesystem, its files would have gone where a link leads, and its whiteouts nowhere.
 */
export function needsLower(layer: StackLayer, belowTopFirst: readonly StackLayer[]): boolean {
  return [...layer.impliedDirs].some((name) => {
    const { merged, end } = seen(belowTopFirst, name, false);
    if (merged.length > 0 || end === undefined) return false;
    return end.sight === 'link' || (end.sight === 'other' && isHollow(layer, name));
  });
}
