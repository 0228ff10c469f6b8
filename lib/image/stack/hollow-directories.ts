/**
 * Directories that a layer has for its whiteouts alone: `a/b/.wh.c` without an entry for `a/b`. Layer after
 * layer in one root filesystem such a whiteout makes nothing, and where there is no `a/b` it does nothing.
 * As a lower directory it would bring an empty `a/b` into being; a whiteout on top of the stack hides that.
 */
import type { ByteName } from '../../base/bytes.ts';
import type { Steps } from '../../base/turns.ts';
import { DT } from '../../sys/kernel/dirents.ts';
import type { MergedNames } from './merged-names.ts';
import { NameSet, withParents } from './name-set.ts';
import type { PlanningWork } from './planning-work.ts';
import { childOf, direntsOf, lookAtTree, type StackLayer } from './stack-view.ts';

/** Which directories of layers are only implied and have nothing in them that would show. Each is read once. */
export class HollowDirectories {
  readonly #work: PlanningWork;
  readonly #known = new Map<StackLayer, Map<ByteName, boolean>>();

  constructor(work: PlanningWork) {
    this.#work = work;
  }

  *has(layer: StackLayer, name: ByteName): Steps<boolean> {
    if (layer.hollowDirs !== undefined) return layer.hollowDirs.has(name);
    if (!layer.impliedDirs.has(name)) return false;
    const known = this.#known.get(layer) ?? new Map<ByteName, boolean>();
    this.#known.set(layer, known);
    return known.get(name) ?? (yield* this.#read(layer, name, known));
  }

  /** Depth first, without recursion: a path has up to two thousand directories. */
  *#read(layer: StackLayer, name: ByteName, known: Map<ByteName, boolean>): Steps<boolean> {
    const inside: { name: ByteName; children: ByteName[] }[] = [];
    let next: ByteName | undefined = name;
    while (next !== undefined) {
      const children: ByteName[] | undefined =
        known.get(next) === false ? undefined : yield* this.#impliedIn(layer, next);
      if (children === undefined) {
        // What is not hollow makes everything above it not hollow either.
        for (const above of [...inside, { name: next }]) known.set(above.name, false);
        return false;
      }
      inside.push({ name: next, children });
      next = nextIn(inside, known);
    }
    return true;
  }

  /** The implied directories in a directory that has nothing else but whiteouts, or undefined. */
  *#impliedIn(layer: StackLayer, directory: ByteName): Steps<ByteName[] | undefined> {
    const implied: ByteName[] = [];
    for (const { name, type } of direntsOf(layer.tree, directory)) {
      this.#work.step();
      yield;
      const child = childOf(directory, name);
      if (layer.impliedDirs.has(child)) implied.push(child);
      else if (!mayBeWhiteout(type) || lookAtTree(layer.tree, child) !== 'whiteout') return undefined;
    }
    return implied;
  }

  /** Those of one layer: only those on the way to a whiteout or an opaque marker can be. */
  *of(layer: StackLayer): Steps<ByteName[]> {
    if (layer.hollowDirs !== undefined) return [...layer.hollowDirs];
    const hollow: ByteName[] = [];
    for (const name of withParents([...layer.whiteoutDirs, ...layer.opaqueDirs])) {
      this.#work.step();
      yield;
      if (yield* this.has(layer, name)) hollow.push(name);
    }
    return hollow;
  }
}

/** The next directory to look into; those whose children are all hollow are so themselves. */
function nextIn(
  inside: { name: ByteName; children: ByteName[] }[],
  known: Map<ByteName, boolean>,
): ByteName | undefined {
  for (let top = inside.at(-1); top !== undefined; top = inside.at(-1)) {
    const child = top.children.pop();
    if (child === undefined) {
      known.set(top.name, true);
      inside.pop();
    } else if (known.get(child) !== true) return child;
  }
  return undefined;
}

function mayBeWhiteout(type: number): boolean {
  return type === DT.CHR || type === DT.UNKNOWN;
}

/**
 * Names that must not show in the merged tree although a layer has them; none lies below another.
 * @param names of all the layers, whose topmost one is the first
 */
export function* directoriesToHide(
  topFirst: readonly StackLayer[],
  names: MergedNames,
  hollow: HollowDirectories,
): Steps<ByteName[]> {
  const candidates = new Set<ByteName>();
  for (const layer of topFirst) for (const name of yield* hollow.of(layer)) candidates.add(name);
  const phantoms: ByteName[] = [];
  for (const name of candidates) {
    yield;
    const merged: StackLayer[] = [];
    names.walk(name, topFirst.length, true, (layer) => merged.push(layer) > 0);
    let all = merged.length > 0;
    for (const layer of merged) {
      if (!(yield* hollow.has(layer, name))) {
        all = false;
        break;
      }
    }
    if (all) phantoms.push(name);
  }
  const set = new NameSet(phantoms);
  return phantoms.filter((name) => !set.covers(name, true));
}
