/** The commands of docs/publishing.md, as they stand and one after the other. */
import { afterAll, beforeAll, test } from 'bun:test';
import { makeBusyboxImage } from '../support/images/images.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { type Machine, machine, redirectRegistries, stepsOf, tryStep } from './machine.ts';
import { allBlocks } from './page.ts';

const STEPS = stepsOf(allBlocks('docs/publishing.md'));
let dir: TempDir;
let registry: TestRegistry;
let here: Machine;
beforeAll(async () => {
  dir = tempDir();
  const image = await makeBusyboxImage(dir.at('images'), 'app');
  registry = await startRegistry(dir.at('registry'));
  await push(`oci:${image.name}`, `docker://${registry.host}/team/app:1.0`);
  here = await machine(dir);
  redirectRegistries(here, registry.host, ['registry.example.com']);
});
afterAll(async () => {
  await here?.[Symbol.asyncDispose]();
  await registry?.stop();
  await dir?.remove();
});

test.each(STEPS.map((step) => [step.commands.split('\n').at(-1), step] as const))('%s', (_, step) =>
  tryStep(here, step),
);
