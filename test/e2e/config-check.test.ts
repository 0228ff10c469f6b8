/** `config check` and `doctor` as processes: settings that stop every other verb are told by these, all at once. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { graft } from '../support/graft.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

let dir: TempDir;
let config: string;
beforeAll(() => {
  dir = tempDir();
  config = dir.at('graft.yml');
  mkdirSync(`${config}.d`);
  writeFileSync(
    config,
    `store: ${dir.at('store')}\nlog_level: verbose\ncreate:\n  disk_limit_size_bytes: -1\n  with_claen: true\n`,
  );
  writeFileSync(`${config}.d/a.yml`, 'registries:\n  docker_config: /nonexistent/config.json\n');
  writeFileSync(`${config}.d/b.yaml`, 'cvmfs: {}\n');
});
afterAll(() => dir.remove());

const WORDS = [
  'log_level is "verbose"',
  'create.disk_limit_size_bytes is -1',
  'create.with_claen is not a setting',
  '/nonexistent/config.json',
  'b.yaml: is not read',
];

test.each(['config check', 'doctor'])('%s', async (line) => {
  const verb = line.split(' ');
  const said = await graft(['--config', config, ...verb]);
  expect([said.code, WORDS.filter((words) => !said.stdout.includes(words))]).toEqual([1, []]);
  if (verb[0] === 'doctor') expect(said.stdout).toContain(dir.at('store'));
  const asJson = await graft(['--config', config, ...verb, '--json']);
  expect([
    asJson.code,
    WORDS.length <= JSON.stringify(JSON.parse(asJson.stdout)).split('problem').length - 1,
  ]).toEqual([1, true]);
});

test('settings that are right', async () => {
  const right = dir.at('right.yml');
  writeFileSync(right, `store: ${dir.at('store')}\n`);
  expect(await graft(['--config', right, 'config', 'check'])).toMatchObject({
    code: 0,
    stdout: `Nothing is wrong with ${right}.\n`,
  });
  expect((await graft(['config', 'chekc'])).stdout).toContain('usage: config check');
});

test.each(['create /none.tar x', 'init-store'])('%s logs a misspelt key at level error', async (line) => {
  const misspelt = dir.at('misspelt.yml');
  writeFileSync(misspelt, `store: ${dir.at('none/store')}\ncreate:\n  with_claen: true\n`);
  const verb = line.split(' ');
  const said = await graft(['--config', misspelt, '--log-level', 'error', ...verb]);
  expect(said.stderr).toContain(`graft.${verb[0]}.config-keys-unknown`);
  expect(said.stderr).toContain('create.with_claen');
});
