/** The property test bites: without any one rule of the stack, some of its cases fail, and in the way of that rule. */
import { describe, expect, test } from 'bun:test';
import { STACK_RULES, type StackRules } from '../../lib/image/stack/rules.ts';
import { checkStack, minimise } from './check-case.ts';
import { randomStack } from './stacks.ts';
import { Workbench } from './workbench.ts';

const SEED = 1;
const MOST_CASES = 150;
/** Far more than so many cases take on a busy machine. */
const TIMEOUT_MS = 600_000;

const SYMPTOMS: Readonly<Record<keyof StackRules, RegExp>> = {
  topmostOnly: /refused: ELOOP/,
  opaqueRoot: /should not be|instead of/,
  ghosts: /cannot be read: .*ENOENT/,
  phantoms: /is there and should not be/,
  implied: /(mode|owner|mtime): .* instead of/,
  root: /^\/: (mode|owner|mtime): .* instead of/,
  needsLower: /is missing|should not be/,
};

describe('without the rule, a case fails', () => {
  for (const rule of Object.keys(STACK_RULES) as (keyof StackRules)[]) {
    test(
      rule,
      async () => {
        await using mutant = new Workbench({ without: rule });
        await using bench = new Workbench();
        const found = await firstFailure(mutant);
        expect(found?.lines.some((line) => SYMPTOMS[rule].test(line))).toBe(true);
        // The very same stack is right with it.
        expect(await checkStack(bench, found?.stack ?? [])).toEqual([]);
      },
      TIMEOUT_MS,
    );
  }

  test(
    'and the smallest stack that fails has little else in it',
    async () => {
      await using mutant = new Workbench({ without: 'ghosts' });
      const found = await firstFailure(mutant);
      const smallest = await minimise(found?.stack ?? [], (stack) => checkStack(mutant, stack));
      expect(await checkStack(mutant, smallest)).not.toEqual([]);
      expect(smallest.flatMap(({ entries }) => entries).length).toBeLessThanOrEqual(2);
    },
    TIMEOUT_MS,
  );

  async function firstFailure(mutant: Workbench) {
    for (let number = 0; number < MOST_CASES; number += 1) {
      const { stack } = randomStack(SEED, number, 'ours');
      const lines = await checkStack(mutant, stack);
      if (lines.length > 0) return { stack, lines };
    }
    return undefined;
  }
});
