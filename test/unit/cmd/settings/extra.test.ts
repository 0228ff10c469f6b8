import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { explain } from '../../../../cmd/sentences/report.ts';
import { loadExtraSettings } from '../../../../cmd/settings/extra.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
let configs = 0;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

/** A configuration file's path with these files in its `.d`. */
function config(files: Readonly<Record<string, string>>): string {
  configs += 1;
  const path = dir.at(`${configs}.yml`);
  mkdirSync(`${path}.d`);
  for (const [name, text] of Object.entries(files)) writeFileSync(`${path}.d/${name}`, text);
  return path;
}

async function failure(globals: Parameters<typeof loadExtraSettings>[0]): Promise<string> {
  try {
    await loadExtraSettings(globals);
  } catch (error) {
    return explain(error, []).sentence;
  }
  throw new Error('was accepted');
}

describe('extra settings', () => {
  test.each([
    ['no configuration at all', {}],
    ['an empty name', { config: '' }],
    ['no directory beside it', { config: '/nope/x.yml' }],
  ])('are empty with %s', async (_name, globals) => {
    expect(await loadExtraSettings(globals)).toMatchObject({
      registries: undefined,
      cvmfs: undefined,
      metricsFile: undefined,
    });
  });

  test('are read in the order of their names; mappings grow, the rest is replaced', async () => {
    const path = config({
      '20-b.yml': 'registries:\n  hosts:\n    b.example: {blocked: true}\n  insecure: [b]\n',
      '10-a.yml':
        'registries:\n  hosts:\n    a.example: {blocked: true}\n  insecure: [a]\nmetrics: {file: /m.prom}\n',
      '30-c.yml': '# nothing\n',
      'ignored.yaml': 'nonsense: 1\n',
      '.hidden.yml': 'nonsense: 1\n',
    });
    const settings = await loadExtraSettings({ config: path });
    expect(settings.registries).toEqual({
      hosts: { 'a.example': { blocked: true }, 'b.example': { blocked: true } },
      insecure: ['b'],
    });
    expect(settings.metricsFile).toBe('/m.prom');
    expect(settings.source).toBe(`${path}.d/10-a.yml, ${path}.d/20-b.yml, ${path}.d/30-c.yml`);
  });

  test('--extra-config goes before the directory', async () => {
    const path = config({ 'a.yml': 'metrics: {file: /a}\n' });
    const file = dir.at('named.yml');
    writeFileSync(file, 'metrics: {file: /b}\n');
    expect((await loadExtraSettings({ config: path, 'extra-config': file })).metricsFile).toBe('/b');
  });

  test('a named file that is not there is an error', async () => {
    expect(await failure({ 'extra-config': '/nope' })).toBe(
      'invalid config path: open /nope: no such file or directory',
    );
  });

  test.each([
    ['registries: {hots: {}}', '/registries has a key that is not known: hots'],
    ['metric: {}', 'it has a key that is not known: metric'],
    ['metrics: {file: relative}', '/metrics/file must match pattern "^/"'],
    ['metrics: 5', '/metrics must be object'],
    ['[]', 'it must be object'],
    ['store: /x', 'it has a key that is not known: store'],
    [
      'cvmfs: {repositories: [{path: relative}]}',
      '/cvmfs/repositories/0/path must match pattern "^(/[^/]+)+$"',
    ],
    ['__proto__: {}', 'it has a key that is not known: __proto__'],
  ])('%p is refused: %s', async (text, reason) => {
    const path = config({ 'a.yml': 'metrics: {}\n', 'b.yml': text });
    expect(await failure({ config: path })).toBe(`invalid config file: ${reason} (${path}.d/b.yml)`);
  });

  test('a key twice is refused', async () => {
    const path = config({ 'a.yml': 'metrics: {}\nmetrics: {}\n' });
    expect(await failure({ config: path })).toMatch(/mapping key "metrics" already defined at line 1/);
  });
});
