/** Plans the shims of a stack from the records and trees of its layers. */
import type { ByteName } from '../../base/bytes.ts';
import { NameSet, withParents } from '../../base/name-set.ts';
import type { Steps } from '../../base/turns.ts';
import type { DirectoryAttributes } from '../../store/records/stacks.ts';
import type { Store } from '../../store/store.ts';
import { directoriesToHide, HollowDirectories } from './hollow-directories.ts';
import { MergedNames } from './merged-names.ts';
import type { PlanningWork } from './planning-work.ts';
import type { StackRules } from './rules.ts';
import { attributesOf, type ShimDirectory } from './shims.ts';
import { type StackLayer, treePath } from './stack-view.ts';

type Owner = Store['owner'];

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
  const hidden = [
    ...new Set([
      ...topFirst.flatMap((layer) => (layer.kind === 'cvmfs' ? layer.rootHidden : [])),
      ...phantoms,
    ]),
  ];
  const top = yield* topShim({ topFirst, names, owner }, hidden, rules);
  const ghosts = new Set<StackLayer>();
  for (const [i, layer] of topFirst.entries()) {
    if ((layer.kind === 'cvmfs' && layer.shimBelow !== undefined) || !rules.ghosts) continue;
    if (yield* hasGhosts(layer, names, topFirst.length - 1 - i)) ghosts.add(layer);
  }
  return { hidden, top, ghosts };
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

export function attributesIn(layer: StackLayer, name: ByteName): DirectoryAttributes {
  return layer.kind === 'cvmfs' ? layer.attributes(name) : attributesOf(treePath(layer.tree, name));
}

export function plainDirectory(owner: Owner): DirectoryAttributes {
  return { mode: 0o755, ...owner, mtime: undefined, xattrs: [] };
}
