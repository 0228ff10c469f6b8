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
    ['registries: {hots: {}}', 1, 'registries.hots is not a setting; did you mean hosts?'],
    ['#\nmetric: {}', 2, 'metric is not a setting; did you mean metrics?'],
    [
      'metrics:\n  file: relative',
      2,
      'metrics.file is "relative"; it must be an absolute path, at most 4096 characters long',
    ],
    ['metrics: 5', 1, 'metrics is 5; it must be a mapping of keys to values'],
    ['[]', undefined, 'the file is an empty list; it must be a mapping of keys to values'],
    [
      'store: /x',
      1,
      'store is not a setting; here are registries, cvmfs, trust, publisher, layers, cache, limits, metrics',
    ],
    [
      'cvmfs:\n  repositories:\n    - path: /a\n    - path: relative',
      4,
      'cvmfs.repositories[1].path is "relative"; it must be an absolute path without a slash at its end, at most 512 characters long',
    ],
    [
      'registries:\n  proxy:\n    http: [secret]',
      3,
      'registries.proxy.http is a list of 1; it must be text, at most 4096 characters long',
    ],
    [
      '__proto__: {}',
      1,
      '__proto__ is not a setting; here are registries, cvmfs, trust, publisher, layers, cache, limits, metrics',
    ],
  ])('%p is refused: line %p, %s', async (text, line, reason) => {
    const path = config({ 'a.yml': 'metrics: {}\n', 'b.yml': text });
    const place = line === undefined ? '' : `, line ${line}`;
    expect(await failure({ config: path })).toBe(`invalid config file: ${reason} (${path}.d/b.yml${place})`);
  });

  test('sizes may have units', async () => {
    const path = config({
      'a.yml': 'registries:\n  resume_from_bytes: 10M\n  timeouts: {slow_bytes_per_second: 2KiB}\n',
    });
    const { registries } = await loadExtraSettings({ config: path });
    expect(registries).toEqual({ resume_from_bytes: 10485760, timeouts: { slow_bytes_per_second: 2048 } });
    const wrong = config({ 'a.yml': 'registries:\n  resume_from_bytes: 10MB\n' });
    expect(await failure({ config: wrong })).toContain('registries.resume_from_bytes is "10MB"; it must be');
  });

  test('a key twice is refused', async () => {
    const path = config({ 'a.yml': 'metrics: {}\nmetrics: {}\n' });
    expect(await failure({ config: path })).toMatch(/mapping key "metrics" already defined at line 1/);
  });
});
