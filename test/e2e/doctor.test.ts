/** `graft doctor` tells all it can see, whatever else is wrong. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { executable } from '../support/graft.ts';
import { cleanEnv, type Ran, run, sh } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

let store: TestStore;
beforeAll(async () => {
  store = await testStore();
});
afterAll(() => store?.[Symbol.asyncDispose]());

interface Diagnosis {
  readonly name: string;
  readonly verdict: string;
  readonly detail: string;
  readonly advice: string;
}

/** What it says of the things that depend on nothing here, by their names. */
function told({ stdout, code }: Ran): { code: number; of: (name: string) => Diagnosis | undefined } {
  const all = JSON.parse(stdout) as Diagnosis[];
  return { code, of: (name) => all.find((each) => each.name === name) };
}

test('own settings with an unknown key are one problem among the lines', async () => {
  const config = store.dir.at('config.yml');
  writeFileSync(config, `store: ${store.path}\n`);
  mkdirSync(`${config}.d`);
  writeFileSync(`${config}.d/a.yml`, 'registries: {hostz: 1}\n');
  const { code, of } = told(await store.graft(['--config', config, 'doctor', '--json']));
  expect(code).toBe(1);
  expect(of('settings')).toMatchObject({
    verdict: 'problem',
    detail: `${config}.d/a.yml, line 1: registries.hostz is not a setting; did you mean hosts?`,
  });
  expect([of('user')?.verdict, of('store')?.verdict]).toEqual(['ok', 'ok']);
});

test('somebody who is not root learns that, and all that can be seen without', async () => {
  // Where everybody can start it, whatever the rights of the checkout are.
  const program = store.dir.at('graft');
  copyFileSync(executable(), program);
  await sh('chmod 0755 "$1" "$2"', [store.dir.path, program]);
  const args = ['--reuid', '65534', '--regid', '65534', '--clear-groups'];
  const words = [...args, program, '--store', store.path, 'doctor', '--json'];
  const { code, of } = told(await run('setpriv', words, { env: cleanEnv(), cwd: '/' }));
  expect(code).toBe(1);
  expect(of('user')).toMatchObject({ verdict: 'problem', detail: 'not root' });
  expect(of('store')).toMatchObject({
    verdict: 'problem',
    detail: expect.stringMatching(/permission denied; graft needs to run as root$/),
  });
  expect(of('kernel')?.verdict).toBe('ok');
});

test('a kernel without quotas is no reason to mount the store otherwise', async () => {
  const quotas = (await run('ci/has-project-quotas', [])).code === 0;
  const limits = told(await store.graft(['doctor', '--json'])).of('disk limits');
  expect(limits?.verdict).toBe('problem');
  expect(limits?.advice).toMatch(quotas ? /mounted with prjquota/ : /^boot a kernel that has them/);
});
