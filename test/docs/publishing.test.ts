/** The commands of docs/publishing.md, as they stand and one after the other. */
import { afterAll, beforeAll, test } from 'bun:test';
import { type Machine, stepsOf, tryStep } from './machine.ts';
import { allBlocks } from './page.ts';
import { machineWithRegistry } from './registry-machine.ts';

const STEPS = stepsOf(allBlocks('docs/publishing.md'));
let here: Machine;
beforeAll(async () => {
  here = await machineWithRegistry();
});
afterAll(() => here?.[Symbol.asyncDispose]());

test.each(STEPS.map((step) => [step.commands.split('\n').at(-1), step] as const))('%s', (_, step) =>
  tryStep(here, step),
);
