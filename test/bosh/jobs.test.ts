/** Every job: its spec, its templates with good and with broken property sets, its scripts. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import type { Yaml } from './go-patch.ts';
import { JOBS, jobSpec, lookup, type Properties, put, RELEASE, renderJob, renderWell } from './release.ts';
import { SETS } from './sets.ts';

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

let counter = 0;
const fresh = () => dir.at(`out${counter++}`);
const setsOf = (job: string) => Object.entries(SETS[job] ?? {});
const richest = (job: string): Properties => structuredClone(setsOf(job).at(-1)?.[1] ?? {});

/** A value of another type than the property's, as an operator's slip makes it. */
const WRONG: Readonly<Record<string, Yaml>> = {
  boolean: 'yes',
  integer: '600',
  string: ['a'],
  list: 'one',
  hash: ['x'],
};

test('the jobs of the release are the ones tested here', () => {
  expect(JOBS).toEqual(Object.keys(SETS).sort());
});

for (const job of JOBS) {
  const spec = jobSpec(job);
  const declared = Object.keys(spec.properties).sort();

  describe(`${job}: spec`, () => {
    test('bears the name of its directory and says what the job is', () => {
      expect(spec.name).toBe(job);
      expect(spec.description ?? '').not.toBe('');
    });

    test('lists exactly the templates there are', () => {
      const found = readdirSync(join(RELEASE, 'jobs', job, 'templates'), {
        recursive: true,
        withFileTypes: true,
      })
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name).split('/templates/')[1] ?? '');
      expect(Object.keys(spec.templates).sort()).toEqual(found.sort());
    });

    test('needs packages that the release has', () => {
      for (const name of spec.packages ?? [])
        expect(existsSync(join(RELEASE, 'packages', name, 'spec'))).toBe(true);
    });

    test('describes every property and names its type', () => {
      for (const [name, { description, type }] of Object.entries(spec.properties)) {
        expect([name, (description ?? '').length > 20, type !== undefined && type in WRONG]).toEqual([
          name,
          true,
          true,
        ]);
      }
    });

    test('has defaults of the types it names', () => {
      for (const [name, definition] of Object.entries(spec.properties)) {
        if (definition.default !== undefined)
          expect([name, typeOf(definition.default)]).toEqual([name, definition.type ?? '']);
      }
    });
  });

  describe(`${job}: templates`, () => {
    for (const [name, set] of setsOf(job)) {
      test(`render with the ${name} properties`, async () => {
        const { errors, files } = await renderJob(job, fresh(), { properties: set });
        expect(errors).toEqual([]);
        expect(files.length).toBe(Object.keys(spec.templates).length + 1);
      });
    }

    test('between them read every property of the spec and no other', async () => {
      const read = new Set<string>();
      for (const [, set] of setsOf(job)) {
        for (const name of (await renderWell(job, fresh(), { properties: set })).read) read.add(name);
      }
      expect([...read].sort()).toEqual(declared);
    });

    test('sets of properties have no name that the spec does not declare', () => {
      for (const [, set] of setsOf(job)) {
        for (const name of leavesOf(set, declared)) expect(declared).toContain(name);
      }
    });

    for (const name of declared) {
      test(`refuse ${name} of a wrong type, by name`, async () => {
        const properties = put(richest(job), name, WRONG[spec.properties[name]?.type ?? ''] ?? null);
        const { errors } = await renderJob(job, fresh(), { properties });
        expect(errors.map((error) => error.message).join('\n')).toContain(name);
        expect(errors.every((error) => error.kind === 'RuntimeError')).toBe(true);
      });
    }
  });

  describe(`${job}: scripts`, () => {
    for (const [name, set] of setsOf(job)) {
      test(`pass shellcheck when rendered with the ${name} properties`, async () => {
        const out = fresh();
        await renderWell(job, out, { properties: set });
        const scripts = scriptsOf(out);
        expect(scripts.length).toBeGreaterThan(0);
        const ran = await run('shellcheck', ['-x', '-P', 'SCRIPTDIR', ...scripts], { cwd: join(out, 'bin') });
        expect(ran.stdout).toBe('');
        expect(ran.code).toBe(0);
      });
    }

    test('hold no ERB, and stop at the first failure', async () => {
      const out = fresh();
      await renderWell(job, out, { properties: richest(job) });
      for (const script of readdirSync(join(out, 'bin'))) {
        const text = readFileSync(join(out, 'bin', script), 'utf8');
        expect(text).toBe(readFileSync(join(RELEASE, 'jobs', job, 'templates/bin', script), 'utf8'));
        expect(text).not.toContain('<%');
        expect(/set -euo pipefail|source "\$\(dirname|^# shellcheck shell=bash$/m.test(text)).toBe(true);
      }
    });

    test('are what monit starts and stops', async () => {
      const out = fresh();
      await renderWell(job, out, { properties: richest(job) });
      const monit = readFileSync(join(out, 'monit'), 'utf8');
      for (const [, path = ''] of monit.matchAll(/"(\/var\/vcap\/jobs\/[^ "]+)/g)) {
        expect(path.startsWith(`/var/vcap/jobs/${job}/bin/`)).toBe(true);
        expect(statSync(join(out, path.slice(`/var/vcap/jobs/${job}/`.length))).mode & 0o111).toBe(0o111);
      }
      if (monit !== '')
        expect(monit).toMatch(new RegExp(`^check process ${job}\\n {2}with pidfile /var/vcap/sys/run/`));
    });
  });
}

test('the templates of the two stores differ in their first line only', () => {
  const read = (name: string) =>
    readFileSync(join(RELEASE, 'jobs/graft/templates/config', name), 'utf8').split('\n');
  const [unprivileged, privileged] = [read('unprivileged.yml.erb'), read('privileged.yml.erb')];
  expect([unprivileged[0], privileged[0]]).toEqual([
    "<%- store = 'unprivileged' -%>",
    "<%- store = 'privileged' -%>",
  ]);
  expect(unprivileged.slice(1)).toEqual(privileged.slice(1));
  expect(read('unprivileged.extra.yml.erb')).toEqual(read('privileged.extra.yml.erb'));
});

function typeOf(value: Yaml): string {
  if (Array.isArray(value)) return 'list';
  if (value !== null && typeof value === 'object') return 'hash';
  return typeof value === 'number' ? 'integer' : typeof value;
}

/** Dotted names of what a set sets, no deeper than a declared property goes. */
function leavesOf(set: Properties, declared: readonly string[], prefix = ''): string[] {
  return Object.keys(set).flatMap((key) => {
    const name = `${prefix}${key}`;
    const inner = lookup(set, key);
    const isMap = typeof inner === 'object' && inner !== null && !Array.isArray(inner);
    return isMap && !declared.includes(name) ? leavesOf(inner, declared, `${name}.`) : [name];
  });
}

/** Files of a rendered job that bash runs or sources. */
function scriptsOf(out: string): string[] {
  return readdirSync(out, { recursive: true, encoding: 'utf8' })
    .map((name) => join(out, name))
    .filter((path) => statSync(path).isFile())
    .filter((path) => path.endsWith('.sh') || readFileSync(path, 'utf8').startsWith('#!/bin/bash'));
}
