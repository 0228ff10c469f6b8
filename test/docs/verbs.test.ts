/** The commands of docs/verbs.md, one after the other; test/quota/docs.test.ts tries those with a limit once more. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { type Machine, stepsOf, tryStep } from './machine.ts';
import { allBlocks } from './page.ts';
import { machineWithRegistry } from './registry-machine.ts';

/**
 * test/e2e/registry/push.test.ts and test/e2e/publisher.test.ts: a layout of another name, and an agent that does not end.
 * `doctor` finds fault with a kernel without project quotas.
 */
const ELSEWHERE = /^graft push|publisher$|doctor$/m;
/** This kernel may lack project quotas, and a limit is then refused. */
const LIMITS = / --(?:disk-limit-size-bytes \d+|exclude-image-from-quota)/g;
const STEPS = stepsOf(allBlocks('docs/verbs.md'))
  .filter(({ commands }) => !ELSEWHERE.test(commands))
  .map((step) => ({ ...step, commands: step.commands.replace(LIMITS, '') }));
let here: Machine;
beforeAll(async () => {
  here = await machineWithRegistry();
});
afterAll(() => here?.[Symbol.asyncDispose]());

test('the page has commands', () => expect(STEPS.length).toBeGreaterThan(15));

test.each(STEPS.map((step) => [step.commands.split('\n')[0], step] as const))('%s', (_, step) =>
  tryStep(here, step),
);
