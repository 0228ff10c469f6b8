/** Completion as a person meets it: in bash and zsh, on a terminal, with the scripts that graft prints. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { executable, graftMust } from '../support/graft.ts';
import { cleanEnv, must } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { sitDown, type Typist } from './typist.ts';

let store: TestStore;
beforeAll(async () => {
  store = await testStore();
  mkdirSync(store.dir.at('tree'));
  await must('tar', ['-C', store.dir.at('tree'), '-cf', store.dir.at('image.tar'), '.']);
  for (const id of ['web-1', 'web-2', 'other one'])
    await store.must(['create', store.dir.at('image.tar'), id]);
  writeFileSync(store.dir.at('graft.yml'), `store: ${store.path}\n`);
  mkdirSync(store.dir.at('functions'));
  writeFileSync(store.dir.at('functions/_graft'), await graftMust(['completion', 'zsh']));
});
afterAll(() => store?.[Symbol.asyncDispose]());

const SET_UP = {
  bash: () => 'source <(graft completion bash)',
  zsh: () => 'bindkey -e; autoload -Uz compinit; compinit -D; source <(graft completion zsh)',
  'zsh, from the fpath': () =>
    `bindkey -e; fpath=(${store.dir.at('functions')} $fpath); autoload -Uz compinit; compinit -u -D`,
};

describe.each(Object.keys(SET_UP) as (keyof typeof SET_UP)[])('%s', (name) => {
  let typist: Typist;
  beforeAll(async () => {
    const path = `${dirname(executable())}:${cleanEnv()['PATH']}`;
    typist = await sitDown(name === 'bash' ? 'bash' : 'zsh', SET_UP[name](), {
      PATH: path,
      HOME: store.dir.path,
    });
  });
  afterAll(() => typist?.[Symbol.asyncDispose]());

  test('a verb', async () => {
    expect(await typist.complete('graft crea\t')).toBe('graft create');
    expect(await typist.complete('graft --log-level debug init\t')).toBe(
      'graft --log-level debug init-store',
    );
  });

  test('an option, of graft and of a verb', async () => {
    expect(await typist.complete('graft --metro\t')).toBe('graft --metron-endpoint');
    expect(await typist.complete('graft create --disk\t')).toBe('graft create --disk-limit-size-bytes');
    expect(await typist.complete('graft clean --dry\t')).toBe('graft clean --dry-run');
  });

  test('an id, in the store that the line names', async () => {
    expect(await typist.complete(`graft --store ${store.path} delete we\t1`)).toEndWith('delete web-1');
    expect(await typist.complete(`graft --store=${store.path} stats we\t2`)).toEndWith('stats web-2');
    expect(await typist.complete(`graft --config ${store.dir.at('graft.yml')} stats we\t2`)).toEndWith(
      'stats web-2',
    );
  });

  test('an id with a blank becomes one word', async () => {
    const line = await typist.complete(`graft --store ${store.path} delete oth\t`);
    expect(line).toEndWith('delete other one');
    const counted = await typist.type(
      `graft --store ${store.path} delete oth\t\x01set -- \recho "[$#]"\r`,
      /^\[\d\]/m,
    );
    expect(counted).toMatch(/^\[5\]/m);
  });

  test('what a verb takes', async () => {
    expect(await typist.complete('graft completion z\t')).toBe('graft completion zsh');
    expect(await typist.complete('graft help inspe\t')).toBe('graft help inspect');
  });

  test('files, where a file is due', async () => {
    const line = await typist.complete(`graft --config ${store.dir.at('graf')}\t capacity`);
    expect(line.replace(/ +/g, ' ')).toBe(`graft --config ${store.dir.at('graft.yml')} capacity`);
  });

  test('all that fits, when several do', async () => {
    const shown = await typist.type(`graft --store ${store.path} delete web-\t\t`, /web-1\s+web-2/);
    expect(shown).not.toContain('other');
    await typist.complete('1');
  });

  test('nothing, and no error, without a store', async () => {
    expect(await typist.complete('graft --store /nowhere/store delete we\t')).toBe(
      'graft --store /nowhere/store delete we',
    );
  });
});
