/** The Concourse pipeline: every file, script, resource and job that it names is there. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PROJECT, run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { readYaml } from './release.ts';

interface Step {
  readonly get?: string;
  readonly put?: string;
  readonly task?: string;
  readonly file?: string;
  readonly image?: string;
  readonly privileged?: boolean;
  readonly passed?: readonly string[];
  readonly in_parallel?: readonly Step[];
}
interface Pipeline {
  readonly resources: readonly { readonly name: string; readonly type: string }[];
  readonly jobs: readonly { readonly name: string; readonly plan: readonly Step[] }[];
}
interface Task {
  readonly platform: string;
  readonly inputs: readonly { readonly name: string }[];
  readonly outputs?: readonly { readonly name: string }[];
  readonly run: { readonly path: string; readonly args?: readonly string[]; readonly dir?: string };
}

const pipeline = readYaml<Pipeline>(PROJECT, 'ci/pipeline.yml');
const steps = (plan: readonly Step[]): Step[] =>
  plan.flatMap((step) => (step.in_parallel ? steps(step.in_parallel) : step));
const resources = pipeline.resources.map((resource) => resource.name);
const jobs = pipeline.jobs.map((job) => job.name);
/** What a task sees of the repository is below a directory of the resource's name. */
const inRepository = (path: string) => path.replace(/^graft\//, '');
const taskOf = (step: Step) => readYaml<Task>(PROJECT, inRepository(step.file ?? ''));

test('the jobs are these', () => {
  expect(jobs).toEqual(['unit', 'test', 'quota-kernel', 'benchmark', 'release']);
});

test('every task file is used, and every one that is used is there', () => {
  const used = pipeline.jobs.flatMap((job) => steps(job.plan)).flatMap((step) => step.file ?? []);
  for (const file of used) expect(file).toMatch(/^graft\/ci\/tasks\//);
  const there = readdirSync(join(PROJECT, 'ci/tasks')).filter((name) => name.endsWith('.yml'));
  expect([...new Set(used)].sort()).toEqual(there.map((name) => `graft/ci/tasks/${name}`).sort());
});

for (const job of pipeline.jobs) {
  const plan = steps(job.plan);
  const fetched = plan.flatMap((step) => step.get ?? []);

  describe(`job ${job.name}`, () => {
    test('gets and puts resources that are declared', () => {
      for (const step of plan) {
        const name = step.get ?? step.put;
        if (name !== undefined) expect(resources).toContain(name);
      }
    });

    test('waits for jobs that come before it and get the same resource', () => {
      for (const step of plan.filter((each) => each.passed !== undefined)) {
        for (const name of step.passed ?? []) {
          expect(jobs.indexOf(name)).toBeGreaterThanOrEqual(0);
          expect(jobs.indexOf(name)).toBeLessThan(jobs.indexOf(job.name));
          const earlier = pipeline.jobs.find((each) => each.name === name);
          expect(steps(earlier?.plan ?? []).map((each) => each.get)).toContain(step.get);
        }
      }
    });

    for (const step of plan.filter((each) => each.task !== undefined)) {
      const task = taskOf(step);

      test(`task ${step.task}: has its inputs and its image`, () => {
        expect(task.platform).toBe('linux');
        for (const input of task.inputs) expect(fetched).toContain(input.name);
        expect(fetched).toContain(step.image ?? '');
        // Mounts, loop devices and namespaces.
        expect(step.privileged).toBe(true);
      });

      test(`task ${step.task}: runs a script of the project that is executable`, () => {
        const script = join(PROJECT, task.run.dir === 'graft' ? task.run.path : inRepository(task.run.path));
        expect(statSync(script).mode & 0o111).toBe(0o111);
      });

      test(`task ${step.task}: names groups of tests that there are`, () => {
        if (task.run.path !== 'ci/test') return;
        for (const group of task.run.args ?? []) expect(existsSync(join(PROJECT, 'test', group))).toBe(true);
      });
    }

    test('puts what a task made', () => {
      const outputs = plan
        .filter((each) => each.task !== undefined)
        .flatMap((step) => taskOf(step).outputs ?? []);
      const available = [...outputs.map((output) => output.name), ...fetched];
      for (const step of job.plan.flatMap((each) => steps([each])).filter((each) => each.put !== undefined)) {
        const file = (step as { params?: { file?: string } }).params?.file ?? '';
        expect(available).toContain(file.split('/')[0] ?? '');
      }
    });
  });
}

describe('scripts', () => {
  let dir: TempDir;
  beforeAll(() => {
    dir = tempDir();
  });
  afterAll(() => dir.remove());

  for (const name of readdirSync(join(PROJECT, 'ci/tasks')).filter((each) => each.endsWith('.sh'))) {
    test(`${name} passes shellcheck`, async () =>
      expect((await run('shellcheck', [join(PROJECT, 'ci/tasks', name)])).stdout).toBe(''));

    test(`${name} calls scripts of the project`, () => {
      const text = readFileSync(join(PROJECT, 'ci/tasks', name), 'utf8');
      for (const [, script = ''] of text.matchAll(/^((?:ci|bosh\/scripts)\/[\w-]+)/gm)) {
        expect(statSync(join(PROJECT, script)).mode & 0o111).toBe(0o111);
      }
    });
  }

  test('release.sh hands the bosh command line what was built', async () => {
    for (const name of ['version', 'bosh-cli', 'release']) mkdirSync(dir.at(name));
    writeFileSync(dir.at('version/version'), '1.2.3\n');
    const cli = '#!/bin/bash\nfor last; do :; done\necho "$@" >"$last"\n';
    writeFileSync(dir.at('bosh-cli/bosh-cli-7.9-linux-amd64'), cli);
    // The project's own directory with set-up and build left out, which other tests are about.
    mkdirSync(dir.at('graft/ci'), { recursive: true });
    symlinkSync(join(PROJECT, 'ci/tasks'), dir.at('graft/ci/tasks'));
    for (const name of ['setup', 'build'])
      writeFileSync(dir.at('graft/ci', name), '#!/bin/bash\n', { mode: 0o755 });
    writeFileSync(dir.at('graft/ci/release'), '#!/bin/bash\necho tarballs >"$1/SHA256SUMS"\n', {
      mode: 0o755,
    });
    const elf = Buffer.alloc(64);
    elf.writeUInt16LE(62, 18);
    mkdirSync(dir.at('graft/dist'));
    writeFileSync(dir.at('graft/dist/graft'), elf);
    await run('cp', ['-r', join(PROJECT, 'bosh'), dir.at('graft/bosh')]);
    const ran = await run(dir.at('graft/ci/tasks/release.sh'), [], { cwd: dir.path });
    expect([ran.code, ran.stderr]).toEqual([0, '']);
    expect(readFileSync(dir.at('release/graft-release-1.2.3.tgz'), 'utf8')).toBe(
      `create-release --dir ${dir.at('graft/bosh')} --force --name graft --version 1.2.3 --tarball ${dir.at('release/graft-release-1.2.3.tgz')}\n`,
    );
    expect(readFileSync(dir.at('release/SHA256SUMS'), 'utf8')).toBe('tarballs\n');
  });
});
