/** The operator's pages: their commands run, their files, properties and links are there. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { executable } from '../support/graft.ts';
import { PROJECT, run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import type { Boot, Cell } from './cell.ts';
import { diegoCell } from './diego-cell.ts';
import { applyOps, type Operation, type Yaml } from './go-patch.ts';
import { JOBS, jobSpec, readYaml, renderJob } from './release.ts';

const PAGES = ['glossary', 'behind-garden', 'bosh-cell', 'moving-from-grootfs'].map(
  (name) => `docs/${name}.md`,
);
const OTHERS = ['CONTRIBUTING.md', 'CHANGELOG.md', 'bosh/README.md', 'bosh/src/cvmfs-client/README.md'];
const read = (page: string) => readFileSync(join(PROJECT, page), 'utf8');

/** Code blocks of one language, in order. */
function blocks(page: string, language: string): string[] {
  return [...read(page).matchAll(new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, 'gm'))].map(
    ([, text = '']) => text,
  );
}

for (const page of [...PAGES, ...OTHERS]) {
  describe(page, () => {
    test('links to files that are there', () => {
      for (const [, target = ''] of read(page).matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)) {
        expect([target, existsSync(join(PROJECT, dirname(page), target))]).toEqual([target, true]);
      }
    });

    test('names properties that a job has', () => {
      const declared = JOBS.flatMap((job) => Object.keys(jobSpec(job).properties));
      for (const [name] of read(page).matchAll(/\b(?:graft|cvmfs)\.[a-z_]+(?:\.[a-z_]+)*\b(?!\.)/g)) {
        if (/\.(yml|pid|prom|tgz|deb|sh)$/.test(name)) continue;
        expect(declared).toContain(name);
      }
    });
  });
}

describe('docs/bosh-cell.md', () => {
  const page = 'docs/bosh-cell.md';
  let dir: TempDir;
  let said: string[];

  beforeAll(async () => {
    dir = tempDir();
    // `bosh` writes down how it was called; everything else of the commands is real, and what they build is there.
    mkdirSync(dir.at('tools'));
    mkdirSync(dir.at('project'));
    const recorder = '#!/bin/bash\nprintf "%s\\n" "$*" >>"$BOSH_LOG"\n';
    writeFileSync(dir.at('tools/bosh'), recorder, { mode: 0o755 });
    symlinkSync(dirname(executable()), dir.at('project/dist'));
    cpSync(join(PROJECT, 'bosh'), dir.at('project/bosh'), { recursive: true });
    const commands = blocks(page, 'sh')
      .join('\n')
      .replace(/^npm .*\n/gm, '');
    const ran = await run('bash', ['-euo', 'pipefail', '-c', commands], {
      cwd: dir.at('project'),
      env: { PATH: `${dir.at('tools')}:/usr/sbin:/usr/bin:/sbin:/bin`, BOSH_LOG: dir.at('log') },
    });
    expect([ran.stderr, ran.code]).toEqual(['', 0]);
    said = readFileSync(dir.at('log'), 'utf8').trim().split('\n');
  });
  afterAll(() => dir.remove());

  test('its commands build, upload, deploy, look and go back, in that order', () => {
    const verbs = said.map((line) =>
      line.split(' ').find((word) => /^[a-z]+-?[a-z]+$/.test(word) && word !== 'cf'),
    );
    expect(verbs).toEqual([
      'create-release',
      'upload-release',
      'deploy',
      'ignore',
      'unignore',
      'deploy',
      'run-errand',
      'ssh',
      'ssh',
      'deploy',
      'deploy',
    ]);
  });

  test('every deployment’s ops files apply in the order given', () => {
    for (const line of said.filter((each) => each.includes(' deploy '))) {
      const files = [...line.matchAll(/-o (\S+)/g)].map(([, file = '']) => file);
      let manifest = readYaml<Yaml>(PROJECT, 'test/bosh/fixtures/cf-deployment.yml');
      for (const file of files) manifest = applyOps(manifest, readYaml<Operation[]>(PROJECT, file));
    }
  });

  test('its variables are what the ops file asks for, and render', async () => {
    const [text = ''] = blocks(page, 'yaml');
    const variables = Bun.YAML.parse(text) as Record<string, Yaml>;
    const asked = read('bosh/operations/use-graft-cvmfs.yml').match(/(?<=\(\()\w+(?=\)\))/g) ?? [];
    expect(Object.keys(variables).sort()).toEqual([...new Set(asked)].sort());
    const { errors } = await renderJob('cvmfs-client', dir.at('rendered'), {
      properties: {
        cvmfs: {
          repositories: variables['cvmfs_repositories'] ?? null,
          http_proxy: variables['cvmfs_http_proxy'] ?? null,
        },
      },
    });
    expect(errors).toEqual([]);
  });

  test('its replacement for other groups of cells makes operations for them', async () => {
    const [, command = ''] = /`(sed 's\/[^`]+)`/.exec(read(page)) ?? [];
    const ran = await run('bash', ['-c', command], { cwd: PROJECT });
    const operations = Bun.YAML.parse(ran.stdout) as Operation[];
    const manifest = readYaml<Yaml>(PROJECT, 'test/bosh/fixtures/cf-deployment.yml');
    expect(JSON.stringify(applyOps(manifest, operations))).toContain('image_plugin');
    expect(operations.every((operation) => !operation.path.includes('=diego-cell/'))).toBe(true);
  });
});

describe('commands for a machine without BOSH', () => {
  let cell: Cell;
  let boot: Boot;
  beforeAll(async () => {
    cell = await diegoCell();
    boot = cell.boot();
    await boot.must('mkdir -p /var/tmp/walk && cp /var/vcap/data/stack.tar /var/tmp/rootfs.tar');
  });
  afterAll(async () => {
    await boot?.pullPlug();
    await cell?.[Symbol.asyncDispose]();
  });

  const walk = (script: string) =>
    boot.must(`export PATH=/var/vcap/packages/graft/bin:$PATH; cd /var/tmp/walk; ${script}`);
  const put = (name: string, text: string) => writeFileSync(cell.dir.at('var/tmp/walk', name), text);

  test('docs/behind-garden.md: stores, and what Garden does, by hand', async () => {
    const page = 'docs/behind-garden.md';
    const [config = ''] = blocks(page, 'yaml');
    put('unprivileged.yml', config);
    put('privileged.yml', config.replace('unprivileged', 'privileged'));
    const [init = '', calls = '', ...rest] = blocks(page, 'sh');
    expect(rest).toEqual([]);
    await walk(init);
    const said = await walk(calls);
    expect(said).toContain('"path":"/var/lib/graft/privileged/images/example/rootfs"');
    expect(said).toContain('"exclusive_bytes_used"');
    expect(said).toContain('Image example deleted\n');
    expect(said).toContain('{"capacity":10737418240}\n');
    expect(await walk('graft --config privileged.yml list')).toBe('Store empty\n');
  });

  test('docs/moving-from-grootfs.md: there and back', async () => {
    // The file that GrootFS has on a cell.
    put(
      'grootfs_config.yml',
      [
        'store: /var/vcap/data/grootfs/store/privileged',
        'tardis_bin: /var/vcap/packages/grootfs/bin/tardis',
        'newuidmap_bin: /var/vcap/packages/garden-idmapper/bin/newuidmap',
        'newgidmap_bin: /var/vcap/packages/garden-idmapper/bin/newgidmap',
        'log_level: info',
        'metron_endpoint: 127.0.0.1:3457',
        'log_timestamp_format: unix-epoch',
        'create:',
        '  without_mount: false',
        '  insecure_registries: []',
        '  skip_layer_validation: true',
        '  clean_log_file: /var/vcap/sys/log/groot.clean.log',
        'init:',
        '  store_size_bytes: 1073741824',
        '',
      ].join('\n'),
    );
    await walk(
      'if mountpoint -q /var/lib/graft/privileged; then graft --config privileged.yml delete-store; fi',
    );
    await walk('rm -rf /var/lib/graft/privileged*');
    const [there = '', back = '', ...rest] = blocks('docs/moving-from-grootfs.md', 'sh');
    expect(rest).toEqual([]);
    expect(await walk(there)).toContain('Image first deleted\n');
    await walk(back);
    expect(await walk('ls -d /var/lib/graft/privileged* || true')).toBe('');
    expect(await walk('grep -c /var/lib/graft/privileged /proc/self/mountinfo || true')).toBe('0\n');
  });
});
