/**
 * As much of BOSH as an operator's commands need, on one cell: releases are made, uploaded and compiled, ops files and
 * variables applied, jobs rendered with their links, and what runs is drained, stopped, prepared and started in the
 * order in which BOSH does it. What a job's scripts do is real.
 */
import { copyFileSync, cpSync, existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Boot, Cell } from '../bosh/cell.ts';
import { applyOps, type Operation, type Yaml } from '../bosh/go-patch.ts';
import { jobSpec, linkOf, type Properties, readYaml } from '../bosh/release.ts';
import { must, PROJECT, run } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';

interface Job {
  readonly name: string;
  readonly release: string;
  readonly properties?: Properties;
  readonly provides?: { readonly cvmfs?: { readonly as: string } };
  readonly consumes?: { readonly cvmfs?: { readonly from: string } | string };
}
interface Manifest {
  readonly instance_groups: readonly { readonly name: string; readonly jobs: readonly Job[] }[];
}

export interface Operator {
  /** Where the operator's checkout is, and where relative paths of commands lead. */
  readonly checkout: string;
  readonly cell: Cell;
  readonly boot: Boot;
  /** The operator's own operations, behind those of the files that a command names. */
  readonly own: (files: readonly string[]) => readonly Operation[];
}

export class Director {
  readonly #operator: Operator;
  readonly #releases: string;
  #uploads = 0;
  #uploaded: string | undefined;
  #installed: string | undefined;
  #running: readonly Job[] = [];

  constructor(operator: Operator) {
    this.#operator = operator;
    this.#releases = operator.cell.dir.at('releases');
  }

  /** What Garden on this cell is told. */
  garden: Properties = {};

  /** Does what one `bosh` command asks for, and returns what it shows. */
  async obey(words: readonly string[]): Promise<string> {
    const [verb, ...rest] = words[0] === '-d' ? words.slice(2) : words;
    switch (verb) {
      case 'add-blob':
        return this.#addBlob(rest);
      case 'create-release':
        return this.#createRelease(rest);
      case 'upload-release':
        return this.#upload(rest[0]);
      case 'deploy':
        return this.#deploy(rest);
      case 'run-errand':
        return (await this.#operator.boot.run(`/var/vcap/jobs/${rest[0]}/bin/run`)).stdout;
      case 'ssh':
        return this.#operator.boot.must((option(rest, '-c')[0] ?? '').replace(/^sudo /, ''));
      case 'ignore':
      case 'unignore':
        // There is one cell, and the deployments that are meant to pass it by are not made.
        return '';
      default:
        throw new Error(`no such command: bosh ${words.join(' ')}`);
    }
  }

  #path(name = ''): string {
    return join(this.#operator.checkout, name);
  }

  #tarball(path = ''): string {
    return join(this.#releases, path.replaceAll('/', '_'));
  }

  #addBlob(words: readonly string[]): string {
    const dir = option(words, '--dir')[0] ?? '.';
    const [from, to = ''] = words.slice(words.indexOf(dir) + 1);
    const blob = join(this.#path(dir), 'blobs', to);
    mkdirSync(dirname(blob), { recursive: true });
    copyFileSync(this.#path(from), blob);
    return '';
  }

  #createRelease(words: readonly string[]): string {
    const to = this.#tarball(option(words, '--tarball')[0]);
    rmSync(to, { recursive: true, force: true });
    cpSync(option(words, '--dir')[0] ?? '', to, { recursive: true });
    return '';
  }

  #upload(tarball: string | undefined): string {
    this.#uploads += 1;
    this.#uploaded = join(this.#releases, `uploaded${this.#uploads}`);
    renameSync(this.#tarball(tarball), this.#uploaded);
    return '';
  }

  async #deploy(words: readonly string[]): Promise<string> {
    const names = option(words, '-o');
    const files = names.map((file) => readYaml<Operation[]>(this.#path(file)));
    const variables = option(words, '-l').map((file) => readYaml<Properties>(this.#path(file)));
    const base = readYaml<Yaml>(PROJECT, 'test/bosh/fixtures/cf-deployment.yml');
    const withGraft = files.length > 0 ? [...files, this.#operator.own(names)] : [];
    const manifest = filled(
      withGraft.reduce<Yaml>((done, ops) => applyOps(done, ops), base),
      Object.assign({}, ...variables),
    ) as unknown as Manifest;
    const jobs = manifest.instance_groups.find(({ name }) => name === 'diego-cell')?.jobs ?? [];
    this.garden = (jobs.find(({ name }) => name === 'garden')?.properties?.['garden'] ?? {}) as Properties;
    await this.#update(jobs.filter(({ release }) => release === 'graft'));
    return '';
  }

  async #update(jobs: readonly Job[]): Promise<void> {
    const { cell, boot } = this.#operator;
    const bin = (name: string) => `/var/vcap/jobs/${name}/bin`;
    for (const { name } of this.#running)
      if (cell.exists(`${cell.currentVersion(`jobs/${name}`)}/bin/drain`))
        await boot.must(`${bin(name)}/drain job_shutdown hash_changed`);
    for (const { name } of this.#running) await this.#monit(name, 'stop');
    for (const { name } of this.#running) rmSync(cell.at(`jobs/${name}`));
    await this.#compile(jobs);
    for (const job of jobs)
      await cell.deployJob(job.name, { properties: job.properties ?? {}, links: linksOf(job, jobs) });
    this.#running = jobs;
    for (const { name } of jobs) {
      if (jobSpec(name).templates['bin/pre-start'] === undefined) continue;
      // Where the agent keeps what they say.
      const log = `/var/vcap/sys/log/${name}`;
      await boot.must(`mkdir -p ${log}
        ${bin(name)}/pre-start >>${log}/pre-start.stdout.log 2>>${log}/pre-start.stderr.log || {
          cat ${log}/pre-start.stderr.log >&2; exit 1; }`);
    }
    for (const { name } of jobs) await this.#monit(name, 'start');
  }

  /** A job without a process has an empty file. */
  async #monit(job: string, what: 'start' | 'stop'): Promise<void> {
    const text = this.#operator.cell.read(`${this.#operator.cell.currentVersion(`jobs/${job}`)}/monit`);
    for (const [, program = ''] of text.matchAll(new RegExp(`${what} program "([^"]+)"`, 'g')))
      await this.#operator.boot.must(program);
  }

  /** Packages of the latest release that jobs need, compiled without a network, as on a compile VM. */
  async #compile(jobs: readonly Job[]): Promise<void> {
    if (jobs.length === 0 || this.#uploaded === this.#installed) return;
    if (this.#uploaded === undefined) throw new Error('no release was uploaded');
    for (const name of new Set(jobs.flatMap((job) => jobSpec(job.name).packages ?? []))) {
      await using work = tempDir();
      const { files } = readYaml<{ files: string[] }>(this.#uploaded, 'packages', name, 'spec');
      for (const root of ['src', 'blobs'].map((each) => join(this.#uploaded ?? '', each)).filter(existsSync))
        for (const pattern of files)
          for (const path of new Bun.Glob(pattern).scanSync({ cwd: root, onlyFiles: true }))
            cpSync(join(root, path), work.at('build', path), { recursive: true });
      copyFileSync(join(this.#uploaded, 'packages', name, 'packaging'), work.at('build/packaging'));
      mkdirSync(work.at('target'));
      const env = {
        PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
        BOSH_COMPILE_TARGET: work.at('build'),
        BOSH_INSTALL_TARGET: work.at('target'),
      };
      await must('unshare', ['--net', '--', 'bash', 'packaging'], { cwd: work.at('build'), env });
      this.#operator.cell.installPackage(name, work.at('target'));
    }
    this.#installed = this.#uploaded;
  }
}

/** Every value of an option, in order. */
function option(words: readonly string[], name: string): string[] {
  return words.flatMap((word, at) => (word === name ? [words[at + 1] ?? ''] : []));
}

/** `((name))` alone in a value stands for a variable; what the operator's other files bring is left as it is. */
function filled(value: Yaml, variables: Properties): Yaml {
  if (typeof value === 'string') {
    const [, name = ''] = /^\(\((.+)\)\)$/.exec(value) ?? [];
    return variables[name] ?? value;
  }
  if (Array.isArray(value)) return value.map((each) => filled(each, variables));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, filled(each, variables)]));
}

function linksOf({ consumes }: Job, jobs: readonly Job[]): Properties {
  const wanted = consumes?.cvmfs;
  if (typeof wanted !== 'object') return {};
  const provider = jobs.find(({ provides }) => provides?.cvmfs?.as === wanted.from);
  if (provider === undefined) throw new Error(`nobody provides ${wanted.from}`);
  return linkOf(provider.name, 'cvmfs', provider.properties ?? {});
}

/** Puts a `bosh` into a directory that writes down how it is called; `calls` reads and forgets that. */
export async function bosh(tools: string): Promise<{ calls(): string[][] }> {
  mkdirSync(tools, { recursive: true });
  const log = join(tools, 'calls');
  const script = `#!/bin/bash\nprintf '%s\\x1f' "$@" >>${log}\necho >>${log}\n`;
  await Bun.write(join(tools, 'bosh'), script);
  await run('chmod', ['0755', join(tools, 'bosh')]);
  return {
    calls() {
      const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : [];
      rmSync(log, { force: true });
      return lines.map((line) => line.split('\x1f').slice(0, -1));
    },
  };
}
