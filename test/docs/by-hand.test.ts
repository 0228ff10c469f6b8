/** The commands of docs/by-hand.md and docs/warming-cells.md as they stand, and the small examples of settings. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { settingFaults } from '../../cmd/settings/check/schema-faults.ts';
import { parseConfig } from '../../cmd/settings/groot-yaml.ts';
import { makeBusyboxImage } from '../support/images/images.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { PROJECT } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { type Machine, machine, redirectRegistries, stepsOf, tryStep } from './machine.ts';
import { allBlocks, readPage } from './page.ts';

let dir: TempDir;
let registry: TestRegistry;
let here: Machine;
beforeAll(async () => {
  dir = tempDir();
  const image = await makeBusyboxImage(dir.at('images'), 'app');
  registry = await startRegistry(dir.at('registry'));
  for (const name of ['library/busybox:latest', 'team/app:1.0'])
    await push(`oci:${image.name}`, `docker://${registry.host}/${name}`);
  here = await machine(dir);
  redirectRegistries(here, registry.host, ['docker.io', 'registry.example.com']);
  await here.must('graft init-store --store-size-bytes 400M');
});
afterAll(async () => {
  await here?.[Symbol.asyncDispose]();
  await registry?.stop();
  await dir?.remove();
});

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
