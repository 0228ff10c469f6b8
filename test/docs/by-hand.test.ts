/** The commands of docs/by-hand.md and docs/warming-cells.md as they stand, and the small examples of settings. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { settingFaults } from '../../cmd/settings/check/schema-faults.ts';
import { parseConfig } from '../../cmd/settings/groot-yaml.ts';
import { PROJECT } from '../support/shell.ts';
import { type Machine, stepsOf, tryStep } from './machine.ts';
import { allBlocks, readPage } from './page.ts';
import { machineWithRegistry } from './registry-machine.ts';

let here: Machine;
beforeAll(async () => {
  here = await machineWithRegistry();
  await here.must('graft init-store --store-size-bytes 400M');
});
afterAll(() => here?.[Symbol.asyncDispose]());

describe.each(['docs/by-hand.md', 'docs/warming-cells.md'])('%s', (page) => {
  test.each(stepsOf(allBlocks(page)).map((step) => [step.commands.split('\n')[0], step] as const))(
    '%s',
    (_, step) => tryStep(here, step),
  );
});

const EXAMPLES = readdirSync(join(PROJECT, 'docs/examples')).filter((name) => name !== 'graft.yml');
test.each(EXAMPLES)('docs/examples/%s is right', (name) => {
  expect(settingFaults(parseConfig(name, readPage(`docs/examples/${name}`)))).toEqual([]);
});
