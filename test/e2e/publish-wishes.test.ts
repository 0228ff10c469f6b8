/** `graft publish --wish-list`: DUCC's list and a plain one against a registry, wildcards, wrong wishes, and prune. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { graft } from '../support/graft.ts';
import { type MadeImage, makeImage } from '../support/images/images.ts';
import { push, startRegistry, type TestRegistry } from '../support/registries/registry.ts';
import { sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

let dir: TempDir;
let registry: TestRegistry;
const published = (name: string) =>
  existsSync(dir.at('repository/.metadata', `${registry.host}/${name}`, 'manifest.json'));

beforeAll(async () => {
  dir = tempDir();
  mkdirSync(dir.at('repository'));
  registry = await startRegistry(dir.at('registry'));
  const images: MadeImage[] = [];
  for (const name of ['one', 'two']) {
    await sh('mkdir "$1"; echo "$2" > "$1/file"', [dir.at(name), name]);
    images.push(await makeImage(dir.at('layout'), name, [dir.at(name)]));
  }
  const [one, two] = images as [MadeImage, MadeImage];
  for (const [image, tag] of [
    [one, '1.0'],
    [two, '1.1'],
    [one, '2.0'],
  ] as const)
    await push(`oci:${image.name}`, `docker://${registry.host}/team/app:${tag}`);
});
afterAll(async () => {
  await registry?.stop();
  await dir.remove();
});

function publish(list: string, ...more: string[]) {
  writeFileSync(dir.at('list'), list);
  const to = ['--to', `directory:${dir.at('repository')}`, '--insecure-registry', registry.host];
  return graft(['publish', '--wish-list', dir.at('list'), ...to, ...more]);
}

test('wrong wishes are told with their reasons, the others are done, and the exit code is 4', async () => {
  const list = `version: 1
user: somebody
cvmfs_repo: images.example.org
input:
- 'https://${registry.host}/team/app:1.*'
- 'https://${registry.host}/team/app:9*'
- fedora
- 'https://${registry.host}/team/nothing:latest'
`;
  const ran = await publish(list, '--json');
  expect(ran.code).toBe(4);
  const { images } = JSON.parse(ran.stdout) as { images: { image: string; result: string; code?: string }[] };
  expect(images.map(({ result, code }) => code ?? result)).toEqual([
    'published',
    'published',
    'PUBLISH_WISH',
    'PUBLISH_WISH',
    'REGISTRY_NOT_FOUND',
  ]);
  expect([published('team/app:1.0'), published('team/app:1.1'), published('team/app:2.0')]).toEqual([
    true,
    true,
    false,
  ]);
});

test('a plain list is as good, and what is there is not published again', async () => {
  const ran = await publish(`# ours\n${registry.host}/team/app:1.0\n${registry.host}/team/app:2.0\n`);
  expect(ran.code).toBe(0);
  expect(ran.stdout).toMatch(/app:1\.0: published before[\s\S]*app:2\.0: published as/);
});

test('prune removes images that no wish asks for, and none while a wish cannot be understood', async () => {
  const unclear = await publish(
    `${registry.host}/team/app:1.0\n${registry.host}/team/app:9*\n`,
    '--prune',
    '--keep',
    '0',
  );
  expect([unclear.code, unclear.stdout]).toEqual([1, expect.stringContaining('none of the 3 tags')]);
  expect(published('team/app:1.1')).toBe(true);
  const wish = `${registry.host}/team/app:1.0\n`;
  const dry = await publish(wish, '--prune', '--keep', '0', '--dry-run');
  expect(dry.stdout).toContain(`no wish asks for ${registry.host}/team/app:1.1, which would be taken away`);
  expect(published('team/app:1.1')).toBe(true);
  const pruned = await publish(wish, '--prune', '--keep', '0');
  expect(pruned.code).toBe(0);
  expect([published('team/app:1.0'), published('team/app:1.1'), published('team/app:2.0')]).toEqual([
    true,
    false,
    false,
  ]);
});

test('a list that is no list is refused in one sentence', async () => {
  const both = await graft([
    'publish',
    '--wish-list',
    dir.at('list'),
    '--to',
    'directory:/x',
    'docker://r/a:1',
  ]);
  expect([both.code, both.stdout]).toEqual([1, expect.stringContaining('publish [options]')]);
  for (const list of ['input: {}\n', 'input: []\nimages: []\n', 'input: [\n']) {
    const ran = await publish(list);
    expect([ran.code, ran.stdout]).toEqual([
      1,
      expect.stringMatching(/^the wish list .* cannot be used: [^\n]+\n$/),
    ]);
  }
});
