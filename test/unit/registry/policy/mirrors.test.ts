/** From an image's name to the places it may come from, as registries.conf(5) and our own settings have it. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { pullSourcesOf } from '../../../../lib/registry/policy/mirrors.ts';
import { readRegistriesConf } from '../../../../lib/registry/policy/registries-conf.ts';
import { registryReference, testPolicy } from '../../../support/registries/registry-client.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

let files = 0;
function conf(text: string): string {
  files += 1;
  writeFileSync(dir.at(`${files}.conf`), text);
  return dir.at(`${files}.conf`);
}

function places(image: string, text: string, insecure: readonly string[] = []): string[] {
  const policy = testPolicy({ rules: readRegistriesConf([conf(text)]), insecure });
  return pullSourcesOf(registryReference(image), policy).map(
    ({ host, repository, insecure: plain, pulls }) =>
      `${host}/${repository} ${pulls}${plain ? ' insecure' : ''}`,
  );
}

describe('places', () => {
  test('without a rule: the registry itself', () => {
    expect(places('docker:///busybox', '')).toEqual(['registry-1.docker.io/library/busybox all']);
    expect(places('docker://R.example:5000/a/b', '')).toEqual(['r.example:5000/a/b all']);
    expect(places('docker://r.example:5000/a', '', ['r.example:5000'])).toEqual([
      'r.example:5000/a all insecure',
    ]);
    expect(places('docker://r.example:5000/a', '', ['r.example'])).toEqual(['r.example:5000/a all']);
  });

  test('mirrors in order, the registry last', () => {
    const text = `
      unqualified-search-registries = ["docker.io"]
      short-name-mode = "enforcing"
      [aliases]
      "debian" = "docker.io/library/debian"
      [[registry]]
      location = "docker.io"
      [[registry.mirror]]
      location = "one.example:5000/hub"
      insecure = true
      [[registry.mirror]]
      location = "Two.example"
      pull-from-mirror = "digest-only"
      [[registry.mirror]]
      location = "three.example"
      pull-from-mirror = "tag-only"`;
    expect(places('docker:///busybox:1', text)).toEqual([
      'one.example:5000/hub/library/busybox all insecure',
      'two.example/library/busybox digest-only',
      'three.example/library/busybox tag-only',
      'registry-1.docker.io/library/busybox all',
    ]);
    expect(places('docker://quay.io/a/b', text)).toEqual(['quay.io/a/b all']);
  });

  test('mirror-by-digest-only holds for all mirrors of a registry', () => {
    const text = `
      [[registry]]
      location = "r.example"
      mirror-by-digest-only = true
      [[registry.mirror]]
      location = "m.example"`;
    expect(places('docker://r.example/a', text)).toEqual(['m.example/a digest-only', 'r.example/a all']);
  });

  test('the longest prefix holds, at whole components', () => {
    const text = `
      [[registry]]
      location = "r.example"
      [[registry.mirror]]
      location = "all.example"
      [[registry]]
      prefix = "r.example/team"
      location = "other.example/x"
      insecure = true
      [[registry.mirror]]
      location = "team.example/y"`;
    expect(places('docker://r.example/a', text)).toEqual(['all.example/a all', 'r.example/a all']);
    expect(places('docker://r.example/team/a', text)).toEqual([
      'team.example/y/a all',
      'other.example/x/a all insecure',
    ]);
    expect(places('docker://r.example/teamwork/a', text)[0]).toBe('all.example/teamwork/a all');
    // A port makes another registry.
    expect(places('docker://r.example:5000/a', text)).toEqual(['r.example:5000/a all']);
  });

  test('*.domain stands for the hosts below it', () => {
    const text = `
      [[registry]]
      prefix = "*.example"
      [[registry.mirror]]
      location = "mirror.test/m"`;
    expect(places('docker://a.b.example/x/y', text)).toEqual([
      'mirror.test/m/x/y all',
      'a.b.example/x/y all',
    ]);
    expect(places('docker://example/x', text)).toEqual(['example/x all']);
    expect(places('docker://notexample/x', text)).toEqual(['notexample/x all']);
  });

  test('a blocked registry is an error that says who blocks it', () => {
    const file = conf('[[registry]]\nlocation = "r.example"\nblocked = true\n');
    const policy = testPolicy({ rules: readRegistriesConf([file]) });
    let thrown: unknown;
    try {
      pullSourcesOf(registryReference('docker://r.example/a'), policy);
    } catch (error) {
      thrown = error;
    }
    expect(isPluginError(thrown, 'REGISTRY_BLOCKED') && thrown.subject).toEqual({
      registry: 'r.example',
      by: file,
    });
    expect(pullSourcesOf(registryReference('docker://other.example/a'), policy).length).toBe(1);
  });
});

test('directories are read in the order of names; the last of equal prefixes holds', () => {
  mkdirSync(dir.at('d'));
  const table = (location: string) => `[[registry]]\nprefix = "r.example"\nlocation = "${location}"\n`;
  writeFileSync(dir.at('d/20.conf'), table('second.example'));
  writeFileSync(dir.at('d/10.conf'), table('first.example'));
  writeFileSync(dir.at('d/30.txt'), 'not read');
  expect(readRegistriesConf([dir.at('d')]).map(({ location }) => location)).toEqual(['second.example']);
});

describe('a registries.conf that is wrong is refused, naming the file', () => {
  test.each([
    ['x = ', 'not TOML'],
    ['x = CANARY', 'not TOML: Strings must be quoted'],
    ['CANARY = 1\nCANARY = 2', 'not TOML: Cannot redefine'],
    ['[registries.search]\nregistries = ["a"]', 'version 1'],
    ['[[registry]]\nblocked = true', 'neither prefix nor location'],
    ['[[registry]]\nprefix = "r.example"', 'no location'],
    ['[[registry]]\nlocation = 5', 'location'],
    ['[[registry]]\nlocation = "https://r.example"', 'location'],
    ['[[registry]]\nlocation = "r.example"\ninsecure = "yes"', 'insecure'],
    ['[registry]\nlocation = "r.example"', 'list of tables'],
    ['[[registry]]\nlocation = "r.example"\n[[registry.mirror]]\ninsecure = true', 'mirror has no location'],
    [
      '[[registry]]\nlocation = "r.example"\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "never"',
      'never',
    ],
    [
      '[[registry]]\nlocation = "r.example"\nmirror-by-digest-only = true\n[[registry.mirror]]\nlocation = "m"\npull-from-mirror = "all"',
      'contradict',
    ],
  ])('%p', (text, words) => {
    const file = conf(text);
    let thrown: unknown;
    try {
      readRegistriesConf([file]);
    } catch (error) {
      thrown = error;
    }
    expect(isPluginError(thrown, 'CONFIG_INVALID') && thrown.subject.path).toBe(file);
    expect(isPluginError(thrown, 'CONFIG_INVALID') && thrown.subject.reason).toContain(words);
  });

  test('when it is not there', () => {
    expect(() => readRegistriesConf([dir.at('none.conf')])).toThrow('CONFIG_INVALID');
  });
});
