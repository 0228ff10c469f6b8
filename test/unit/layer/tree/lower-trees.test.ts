/** Looking names up in the trees below: the same as its plain definition, in looks that grow with what the trees have. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readlinkSync, symlinkSync, writeFileSync } from 'node:fs';
import type { ByteName } from '../../../../lib/base/bytes.ts';
import { Budget } from '../../../../lib/layer/tree/budget.ts';
import { LowerTrees } from '../../../../lib/layer/tree/lower-trees.ts';
import { lsetxattr, mknodAt } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../../../lib/sys/kernel/libc.ts';
import { S } from '../../../../lib/sys/kernel/stat.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { failureOf, openBelow, ROOMY, requestIn, unpack } from '../../../support/images/unpack.ts';
import { plainFind } from '../../../support/models/plain-lowers.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

const FEW = ['a', 'b', 'a-b', 'c'];
/** So many in one directory that trees are listed rather than asked. */
const MANY = [...FEW, ...Array.from({ length: 30 }, (_, i) => `n${i}`)];

/** Numbers from 0 up to `below`, the same for the same seed. */
function dice(seed: number): (below: number) => number {
  let state = (Math.imul(seed, 2654435761) >>> 0) | 1;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

function fill(roll: (below: number) => number, path: string, parts: readonly string[], depth: number): void {
  mkdirSync(path);
  if (roll(10) === 0) lsetxattr(path, 'trusted.overlay.opaque', Buffer.from('y'));
  for (const part of parts) {
    if (parts === MANY && roll(3) > 0) continue;
    const at = `${path}/${part}`;
    const what = roll(depth === 0 ? 3 : 6);
    if (what === 0) writeFileSync(at, '');
    else if (what === 1) symlinkSync('elsewhere', at);
    else if (what === 2 && roll(2) === 0) mknodAt(AT_FDCWD, Buffer.from(at), S.IFCHR);
    else if (what > 3) fill(roll, at, parts, depth - 1);
  }
}

/** All paths of up to `depth` of the parts, in an order of their own. */
function paths(parts: readonly string[], depth: number): string[] {
  if (depth === 0) return [];
  return parts.flatMap((part) => [part, ...paths(parts, depth - 1).map((rest) => `${part}/${rest}`)]);
}

test('what 40 random stacks show is what their plain definition says, asked once or again', () => {
  let shown = 0;
  for (let seed = 1; seed <= 40; seed += 1) {
    const roll = dice(seed);
    const [parts, depth] = seed % 4 === 0 ? ([MANY, 1] as const) : ([FEW, 2] as const);
    const trees = Array.from({ length: 1 + roll(5) }, (_, i) => dir.at(`${seed}-${i}`));
    for (const tree of trees) fill(roll, tree, parts, depth);
    const lowers = new LowerTrees(trees, new Budget(ROOMY, undefined));
    const asked = paths(parts, depth + 1);
    for (const path of [...asked, ...asked]) {
      const found = lowers.find(path as ByteName);
      const tree = found === undefined ? undefined : readlinkSync(`/proc/self/fd/${found.rootFd}`);
      expect([seed, path, tree]).toEqual([seed, path, plainFind(trees, path)]);
      if (tree !== undefined) shown += 1;
    }
    lowers.close();
  }
  expect(openBelow(dir.path)).toEqual([]);
  // Stacks that show nothing would show nothing.
  expect(shown).toBeGreaterThan(2000);
});

describe('the looks', () => {
  /** Trees that have one directory in common, with names of their own in it. */
  function trees(count: number, each: number): string[] {
    return Array.from({ length: count }, (_, i) => {
      const tree = dir.at(`tree-${count}-${each}-${i}`);
      mkdirSync(`${tree}/shared`, { recursive: true });
      for (let j = 0; j < each; j += 1) writeFileSync(`${tree}/shared/${i}-${j}`, '');
      return tree;
    });
  }
  function looks(lowerTrees: readonly string[], names: readonly string[]): number {
    const budget = new Budget(ROOMY, undefined);
    const lowers = new LowerTrees(lowerTrees, budget);
    for (const name of names) lowers.find(name as ByteName);
    lowers.close();
    return budget.looks;
  }

  test('grow with the trees and with the names, and not with their product', () => {
    const absent = (count: number) => Array.from({ length: count }, (_, i) => `shared/absent-${i}`);
    const few = trees(20, 20);
    const once = looks(few, absent(200));
    // After a tree was listed, what it does not have is known.
    expect(looks(few, absent(20_000))).toBe(once);
    expect(looks(trees(40, 20), absent(200)) / once).toBeLessThan(2.1);
    const present = (count: number) => Array.from({ length: count }, (_, i) => `shared/3-${i % 20}`);
    expect(looks(few, present(10_000))).toBe(looks(few, present(20)));
  });

  test('of names that are forgotten, since there are too many, are taken again with the same answers', () => {
    const few = trees(2, 20);
    const budget = new Budget(ROOMY, undefined);
    const lowers = new LowerTrees(few, budget);
    const find = (name: string) => lowers.find(name as ByteName)?.path;
    for (let i = 0; i < 110_000; i += 1) expect(find(`shared/absent-${i}`)).toBeUndefined();
    const before = budget.looks;
    expect(find('shared/1-7')).toBe('shared/1-7' as ByteName);
    expect(budget.looks).toBeGreaterThan(before);
    lowers.close();
  });

  const links: EntrySpec[] = Array.from({ length: 50 }, (_, i) => ({
    name: `links/${i}`,
    type: '1',
    link: `d/${i}`,
  }));
  async function base(): Promise<string> {
    const request = requestIn(dir.at('base'));
    await unpack(request, tar(Array.from({ length: 50 }, (_, i) => ({ name: `d/${i}`, content: 'x' }))));
    return request.target;
  }

  test('of a layer end at what the image has left for it, and nothing stays open', async () => {
    const lowers = [await base()];
    const { looks: taken } = await unpack(requestIn(dir.at('whole'), { lowers }), tar(links));
    expect(taken).toBeGreaterThan(100);
    await unpack(requestIn(dir.at('enough'), { lowers, looks: taken }), tar(links));
    const attempt = unpack(requestIn(dir.at('less'), { lowers, looks: taken - 1 }), tar(links));
    expect(await failureOf(attempt)).toMatchObject({
      code: 'LAYER_TOO_LARGE',
      subject: { what: 'looks at names of other layers', limit: taken - 1 },
    });
    expect(openBelow(dir.path)).toEqual([]);
  });
});
