/** Pages whose commands need limits: run as they stand, one after the other, on a machine of their own. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Machine, machine, redirectRegistries, stepsOf, tryStep } from '../docs/machine.ts';
import { allBlocks, blocks } from '../docs/page.ts';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { PROJECT } from '../support/shell.ts';
import { quotaDir } from '../support/stores/quota.ts';
import type { TempDir } from '../support/temp.ts';

let shared: TempDir;
let registry: TestRegistry;
let image: MadeImage;
beforeAll(async () => {
  shared = quotaDir();
  image = await makeBusyboxImage(shared.at('images'), 'app');
  registry = await startRegistry(shared.at('registry'));
  for (const name of ['library/busybox:latest', 'team/app:1.0'])
    await push(`oci:${image.name}`, `docker://${registry.host}/${name}`);
});
afterAll(async () => {
  await registry?.stop();
  await shared?.remove();
});

interface Walk {
  /** How many blocks are tried elsewhere. */
  readonly skip?: number;
  /** The blocks of the page that need limits; the others are tried elsewhere. */
  readonly only?: RegExp;
  /** What earlier pages have the reader do. */
  readonly before?: string;
  /** Files that the page has the reader write. */
  readonly files?: Readonly<Record<string, string>>;
}

function walk(page: string, { skip = 0, only = /(?:)/, before = ':', files = {} }: Walk = {}): void {
  describe(page, () => {
    const steps = stepsOf(allBlocks(page))
      .slice(skip)
      .filter(({ commands }) => only.test(commands));
    let dir: TempDir;
    let here: Machine;
    beforeAll(async () => {
      dir = quotaDir();
      here = await machine(dir);
      redirectRegistries(here, registry.host, ['docker.io', 'registry.example.com']);
      cpSync(image.layout, dir.at('srv/images'), { recursive: true });
      cpSync(join(PROJECT, 'docs/examples/graft.yml'), dir.at('etc/graft/graft.yml'));
      for (const [path, text] of Object.entries(files)) {
        mkdirSync(dirname(dir.at(path)), { recursive: true });
        writeFileSync(dir.at(path), text);
      }
      await here.must(before);
    });
    afterAll(async () => {
      await here?.[Symbol.asyncDispose]();
      await dir?.remove();
    });

    test('has commands', () => expect(steps).not.toEqual([]));

    test.each(steps.map((step) => [step.commands.split('\n')[0], step] as const))('%s', (_, step) =>
      tryStep(here, step),
    );
  });
}

const [, , , TREE = ''] = blocks('docs/getting-started.md', 'sh');
const STORE = `graft --config /etc/graft/graft.yml init-store\n${TREE.replace(/^graft create.*$/m, '')}`;
const CREATE = 'graft --config /etc/graft/graft.yml create --disk-limit-size-bytes';

// The first two blocks install: test/release and test/e2e/operators-walk.test.ts do that.
walk('docs/getting-started.md', { skip: 2 });
// test/docs/verbs.test.ts tries the whole page without limits; a process costs twenty times as much here.
walk('docs/verbs.md', { only: /^graft (init-store --store|create|stats|usage|--config \S+ doctor)/ });
walk('docs/troubleshooting.md', { before: STORE });
walk('docs/store-on-disk.md', { before: `${STORE}\ngraft create /srv/busybox.tar.gz try` });
walk('docs/where-the-disk-went.md', {
  before: `${STORE}\n${CREATE} 0 /srv/busybox.tar.gz try\n${CREATE} 67108864 /srv/busybox.tar.gz web`,
});
walk('docs/cvmfs.md', {
  before: STORE,
  files: { 'etc/graft/graft.yml.d/cvmfs.yml': blocks('docs/cvmfs.md', 'yaml')[1] ?? '' },
});
