/** Planning a stack: the same as its plain definition, in steps that grow with the layers' names and can be stopped. */
import { describe, expect, test } from 'bun:test';
import type { ByteName } from '../../../../lib/base/bytes.ts';
import { atOnce, inTurns } from '../../../../lib/base/turns.ts';
import { HollowDirectories } from '../../../../lib/image/stack/hollow-directories.ts';
import { MergedNames } from '../../../../lib/image/stack/merged-names.ts';
import { planShims } from '../../../../lib/image/stack/plan-shims.ts';
import { PlanningWork } from '../../../../lib/image/stack/planning-work.ts';
import { STACK_RULES } from '../../../../lib/image/stack/rules.ts';
import { needsLower, planStack } from '../../../../lib/image/stack/stack.ts';
import type { Sight, StackLayer } from '../../../../lib/image/stack/stack-view.ts';
import { type CvmfsKey, type OutsidePath, stackKey } from '../../../../lib/store/layout/layer-key.ts';
import { listNames } from '../../../../lib/sys/kernel/look.ts';
import { plainNeedsLower, plainShims, seen } from '../../../support/models/plain-stack.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';

const OWNER = { uid: 1, gid: 2 };
const FEW = ['a', 'b', 'a-b', 'c'];
/** So many in one directory that layers are listed rather than asked. */
const MANY = [...FEW, ...Array.from({ length: 36 }, (_, i) => `n${i}`)];

/** Numbers from 0 up to `below`, the same for the same seed. */
function dice(seed: number): (below: number) => number {
  let state = (Math.imul(seed, 2654435761) >>> 0) | 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** A layer in memory: what it has at each name, and what of that its record tells. */
function memoryLayer(
  lower: string,
  tree: ReadonlyMap<string, Sight>,
  marks: { implied?: string[]; whiteouts?: string[]; opaque?: string[]; hollow?: string[] },
): StackLayer {
  const sorted = (names: string[] = []) => [...names].sort() as ByteName[];
  const inside = (directory: string) =>
    [...tree].filter(
      ([name]) => name.slice(0, Math.max(0, name.lastIndexOf('/'))) === directory && name !== '',
    );
  return {
    kind: 'cvmfs',
    lower: lower as OutsidePath,
    name: lower as CvmfsKey,
    shimBelow: undefined,
    maskAbove: undefined,
    rootHidden: [],
    idmapRoot: undefined,
    tree: `/nowhere/${lower}`,
    bytes: 1,
    explicitRoot: true,
    impliedDirs: new Set(sorted(marks.implied)),
    whiteoutDirs: sorted(marks.whiteouts),
    opaqueDirs: new Set(sorted(marks.opaque)),
    hollowDirs: new Set(sorted(marks.hollow)),
    look: (name) => tree.get(name) ?? 'absent',
    list: (directory, max, onEntry) => {
      const found = inside(directory);
      for (const _ of found) onEntry();
      if (found.length > max) return undefined;
      return found.map(([name, sight]) => [name.slice(name.lastIndexOf('/') + 1), sight]);
    },
    attributes: (name) => ({ mode: 0o700, ...OWNER, mtime: undefined, xattrs: [[lower, name]] }),
  };
}

/** Anything a record and a tree can say together, and some of what they cannot. */
function randomLayer(roll: (below: number) => number, lower: string, parts: readonly string[]): StackLayer {
  const tree = new Map<string, Sight>();
  const marks = {
    implied: [] as string[],
    whiteouts: [] as string[],
    opaque: [] as string[],
    hollow: [] as string[],
  };
  if (roll(12) === 0) marks.opaque.push('');
  const fill = (directory: string, depth: number) => {
    for (const part of parts) {
      if (parts === MANY && roll(3) > 0) continue;
      const name = directory === '' ? part : `${directory}/${part}`;
      const sight =
        (['directory', 'directory', 'link', 'whiteout', 'other', 'absent'] as const)[roll(6)] ?? 'absent';
      if (sight === 'absent') continue;
      tree.set(name, sight);
      if (sight === 'whiteout' && !marks.whiteouts.includes(directory)) marks.whiteouts.push(directory);
      if (sight !== 'directory') continue;
      if (roll(2) === 0) marks.implied.push(name);
      if (roll(8) === 0) marks.opaque.push(name);
      if (marks.implied.includes(name) && roll(3) === 0) marks.hollow.push(name);
      if (depth < (parts === MANY ? 2 : 3)) fill(name, depth + 1);
    }
  };
  fill('', 1);
  return memoryLayer(lower, tree, marks);
}

const shown = ({ hidden, top, ghosts }: ReturnType<typeof plainShims>) => ({
  hidden: [...hidden].sort(),
  top: top.map(({ name, attributes }) => [name, attributes()]),
  ghosts: [...ghosts].map(({ lower }) => lower),
});

test('shims of 2000 random stacks are those of the plain definition', () => {
  let told = 0;
  for (let seed = 1; seed <= 2000; seed += 1) {
    const roll = dice(seed);
    const parts = seed % 4 === 0 ? MANY : FEW;
    const topFirst = Array.from({ length: 1 + roll(6) }, (_, i) => randomLayer(roll, `layer-${i}`, parts));
    const plain = shown(plainShims(topFirst, OWNER));
    const work = new PlanningWork();
    expect([seed, shown(atOnce(planShims(topFirst, OWNER, STACK_RULES, work)))]).toEqual([seed, plain]);
    told += plain.hidden.length + plain.top.length + plain.ghosts.length;
  }
  // Stacks without shims would show nothing.
  expect(told).toBeGreaterThan(2000);
});

test('and so is which layer needs those below it, repeated layers and all', () => {
  let needing = 0;
  for (let seed = 1; seed <= 1000; seed += 1) {
    const roll = dice(seed);
    const parts = seed % 4 === 0 ? MANY : FEW;
    const layers = Array.from({ length: 5 }, (_, i) => randomLayer(roll, `layer-${i}`, parts));
    const work = new PlanningWork();
    const [names, hollow] = [new MergedNames(work, true), new HollowDirectories(work)];
    const placed: StackLayer[] = [];
    for (let i = 0; i < 8; i += 1) {
      const layer = layers[roll(5)];
      if (layer === undefined) throw new Error('there are five');
      const plain = plainNeedsLower(layer, [...placed].reverse());
      expect([seed, i, atOnce(needsLower(layer, names, hollow))]).toEqual([seed, i, plain]);
      if (plain) needing += 1;
      placed.push(layer);
      names.add(layer);
    }
  }
  expect(needing).toBeGreaterThan(100);
});

test('a walk at any place, through opaque directories or not, is that of the plain definition', () => {
  for (let seed = 1; seed <= 500; seed += 1) {
    const roll = dice(seed);
    const parts = seed % 4 === 0 ? MANY : FEW;
    const layers = Array.from({ length: 6 }, (_, i) => randomLayer(roll, `layer-${i}`, parts));
    const names = new MergedNames(new PlanningWork(), false);
    for (const layer of layers) names.add(layer);
    for (let i = 0; i < 60; i += 1) {
      const name = Array.from(
        { length: 1 + roll(parts === MANY ? 2 : 4) },
        () => parts[roll(parts.length)],
      ).join('/') as ByteName;
      const [below, through] = [roll(7), roll(2) === 0];
      const merged: StackLayer[] = [];
      const end = names.walk(name, below, through, (layer) => merged.push(layer) > 0);
      const plain = seen(layers.slice(0, below).reverse(), name, through);
      expect<unknown>([seed, name, { merged, end }]).toEqual([seed, name, plain]);
    }
  }
});

describe('the steps', () => {
  /** `count` layers with `each` implied directories of their own, which no other has, all in one directory. */
  function strangers(count: number, each: number): StackLayer[] {
    return Array.from({ length: count }, (_, i) => {
      const mine = Array.from({ length: each }, (_, j) => `shared/l${i}_${j}`);
      const tree = new Map<string, Sight>(['shared', ...mine].map((name) => [name, 'directory']));
      return memoryLayer(`layer-${i}`, tree, { implied: mine, whiteouts: mine });
    });
  }
  /** `count` layers that all imply the same directories. */
  function alike(count: number, each: number): StackLayer[] {
    const names = Array.from({ length: each }, (_, j) => `shared/${j}`);
    const tree = new Map<string, Sight>(['shared', ...names].map((name) => [name, 'directory']));
    const marks = { implied: ['shared', ...names], whiteouts: names, hollow: names };
    return Array.from({ length: count }, (_, i) => memoryLayer(`layer-${i}`, tree, marks));
  }
  const steps = (layers: readonly StackLayer[]) => {
    const work = new PlanningWork();
    const names = new MergedNames(work, true);
    const hollow = new HollowDirectories(work);
    for (const layer of layers) {
      atOnce(needsLower(layer, names, hollow));
      names.add(layer);
    }
    atOnce(planShims([...layers].reverse(), OWNER, STACK_RULES, work));
    return work.steps;
  };

  for (const [name, make] of Object.entries({ strangers, alike })) {
    test(`grow with the names and with the layers, and not with their product again: ${name}`, () => {
      const once = steps(make(20, 100));
      expect(steps(make(20, 200)) / once).toBeLessThan(2.2);
      // So many layers have twice as many names in all.
      expect(steps(make(40, 100)) / once).toBeLessThan(2.2);
    });
  }

  test('end at their limit, and so do the names', () => {
    const plan = (work: PlanningWork) => () =>
      atOnce(planShims(strangers(10, 100), OWNER, STACK_RULES, work));
    const code = 'IMAGE_TOO_COMPLEX';
    expect(plan(new PlanningWork({ steps: 1e9, names: 1e9 }))).not.toThrow();
    expect(plan(new PlanningWork({ steps: 1000, names: 1e9 }))).toThrow(
      expect.objectContaining({ code, subject: { what: 'steps', limit: 1000 } }),
    );
    expect(plan(new PlanningWork({ steps: 1e9, names: 500 }))).toThrow(
      expect.objectContaining({ code, subject: { what: 'names', limit: 500 } }),
    );
  });

  test('stop when the signal says so, and leave nothing half made', async () => {
    await using scratch = await scratchStore();
    const { store } = scratch;
    const abort = new AbortController();
    // From the event loop, as a signal of the system is served: planning that gives it no turn never ends here.
    setTimeout(() => abort.abort(new RangeError('enough')), 1);
    const layers = strangers(2, 20_000);
    const plan = planStack(store, { key: stackKey(['x']), layers }, STACK_RULES, new PlanningWork());
    await expect(inTurns(plan, abort.signal)).rejects.toThrow(new RangeError('enough'));
    expect(listNames(store.layout.tmp)).toEqual([]);
    expect(listNames(store.layout.volumes)).toEqual([]);
  });
});
