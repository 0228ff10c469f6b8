/** The examples of docs/configuration.md: complete, and taken by the program; with any mistake in them they are not. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { extraSettings, grootSettings } from '../../ci/manual/manual-settings.ts';
import { GROOT_KEYS } from '../../cmd/settings/groot-keys.ts';
import { graft } from '../support/graft.ts';
import { must, PROJECT, type Ran } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { type Machine, machine } from './machine.ts';

type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
type Mapping = { [key: string]: Json };

const read = (name: string) => readFileSync(join(PROJECT, 'docs/examples', name), 'utf8');
const parse = (name: string) => Bun.YAML.parse(read(name)) as Mapping;
const isMapping = (value: Json | undefined): value is Mapping =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

let store: TestStore;
beforeAll(async () => {
  store = await testStore();
  await must('tar', ['-cf', store.dir.at('image.tar'), '-T', '/dev/null']);
});
afterAll(() => store?.[Symbol.asyncDispose]());

/** Every path to a key, list items by number: `cvmfs.repositories.0.path`. */
function keyPaths(value: Json, at: readonly string[] = []): string[][] {
  if (Array.isArray(value)) return value.flatMap((item, index) => keyPaths(item, [...at, String(index)]));
  if (!isMapping(value)) return [];
  return Object.entries(value).flatMap(([key, below]) => [[...at, key], ...keyPaths(below, [...at, key])]);
}

/** A copy in which one key has another name, or another value. */
function changed(
  document: Mapping,
  path: readonly string[],
  change: (holder: Mapping, key: string) => void,
): string {
  const copy = structuredClone(document);
  let holder: Json | undefined = copy;
  for (const step of path.slice(0, -1)) holder = (holder as Mapping)[step];
  change(holder as Mapping, path.at(-1) ?? '');
  // JSON is YAML too.
  return JSON.stringify(copy);
}

describe("graft's own settings", () => {
  const document = parse('settings.yml');

  async function inspectWith(text: string): Promise<Ran> {
    writeFileSync(store.dir.at('settings.yml'), text);
    return store.graft([
      '--extra-config',
      store.dir.at('settings.yml'),
      'inspect',
      store.dir.at('image.tar'),
    ]);
  }

  test('as they are shown are taken', async () => {
    writeFileSync(store.dir.at('policy.json'), '{"default":[{"type":"insecureAcceptAnything"}]}');
    const shown = readFileSync(join(PROJECT, 'docs/examples/settings.yml'), 'utf8');
    writeFileSync(
      store.dir.at('settings.yml'),
      shown.replace('/etc/graft/policy.json', store.dir.at('policy.json')),
    );
    const ran = await graft([
      '--store',
      store.path,
      '--extra-config',
      store.dir.at('settings.yml'),
      'inspect',
      store.dir.at('image.tar'),
    ]);
    expect(ran).toMatchObject({ code: 0 });
  });

  const CHOSEN: Readonly<Record<string, string>> = { hosts: 'HOST', identities: 'SCOPE' };
  test('show every key that there is', () => {
    // Names that the operator chooses become HOST or SCOPE; numbers of list items go.
    const shown = new Set(
      keyPaths(document).map((path) =>
        path
          .filter((step) => !/^\d+$/.test(step))
          .map((step, at, steps) => CHOSEN[steps[at - 1] ?? ''] ?? step)
          .join('.'),
      ),
    );
    const wanted = extraSettings().flatMap(({ path, rows }) =>
      rows.map(({ key }) => (path === key ? key : `${path}.${key}`).replaceAll('[]', '')),
    );
    expect(wanted.length).toBeGreaterThan(50);
    expect(wanted.filter((key) => !shown.has(key))).toEqual([]);
  });

  /** Below these the operator chooses the names: hosts, variables of helpers, and scopes. */
  const OPEN = ['registries/hosts', 'registries/credential_helpers/environment', 'trust/identities'];
  const keys = keyPaths(document).filter((path) => !OPEN.includes(path.slice(0, -1).join('/')));
  test.each(keys.map((path) => [path.join(' '), path] as const))(
    'with %s misspelt are refused',
    async (_, path) => {
      const ran = await inspectWith(
        changed(document, path, (holder, key) => {
          holder[`${key}x`] = holder[key] ?? null;
          delete holder[key];
        }),
      );
      expect(ran).toMatchObject({ code: 1 });
      expect(ran.stdout).toStartWith('invalid config file: ');
    },
  );
});

describe("GrootFS's file", () => {
  const document = parse('graft.yml');

  test('shows every key that there is', () => {
    const shown = keyPaths(document)
      .map((path) => path.join('.'))
      .filter((key) => !['create', 'clean', 'init'].includes(key));
    expect(shown.sort()).toEqual(Object.keys(GROOT_KEYS).sort());
    expect(grootSettings().map(({ key }) => key)).toEqual(Object.keys(GROOT_KEYS));
  });

  test.each(Object.keys(GROOT_KEYS))('with a mapping for %s is refused', async (key) => {
    const text = changed(document, key.split('.'), (holder, last) => {
      holder[last] = { a: 1 };
    });
    writeFileSync(store.dir.at('graft.yml'), text);
    const ran = await graft(['--config', store.dir.at('graft.yml'), 'capacity']);
    expect(ran).toMatchObject({ code: 1 });
    expect(ran.stdout).toStartWith('invalid config file: ');
  });

  describe('as it is shown', () => {
    let here: Machine;
    beforeAll(async () => {
      here = await machine(store.dir);
      writeFileSync(here.at('etc/graft/graft.yml'), read('graft.yml'));
    });
    afterAll(() => here?.[Symbol.asyncDispose]());

    test('is taken, and no key of it is unknown', async () => {
      expect(await here.must('graft --config /etc/graft/graft.yml capacity')).toBe(
        '{"capacity":10737418240}\n',
      );
      await here.must('graft --config /etc/graft/graft.yml init-store');
      await here.must(
        'graft --config /etc/graft/graft.yml list; graft --config /etc/graft/graft.yml delete-store',
      );
      const log = readFileSync(here.at('var/log/graft.log'), 'utf8');
      expect(log).not.toMatch(/unknown/i);
    });
  });
});
