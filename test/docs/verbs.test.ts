/** The commands of docs/verbs.md, one after the other; test/quota/docs.test.ts tries those with a limit once more. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { makeBusyboxImage } from '../support/images/images.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { PROJECT } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { type Machine, machine, redirectRegistries, stepsOf, tryStep } from './machine.ts';
import { allBlocks } from './page.ts';

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
  cpSync(image.layout, dir.at('srv/images'), { recursive: true });
  cpSync(join(PROJECT, 'docs/examples/graft.yml'), dir.at('etc/graft/graft.yml'));
});
afterAll(async () => {
  await here?.[Symbol.asyncDispose]();
  await registry?.stop();
  await dir?.remove();
});

test('the page has commands', () => expect(STEPS.length).toBeGreaterThan(15));

test.each(STEPS.map((step) => [step.commands.split('\n')[0], step] as const))('%s', (_, step) =>
  tryStep(here, step),
);
