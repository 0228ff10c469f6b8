/** The tarballs: the same twice, complete, and a program for either machine that starts. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { compiledPackages } from '../../ci/release-packages.ts';
import { blocks } from '../docs/page.ts';
import { cleanEnv, must, PROJECT, run, runPrivately, sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const MACHINES = ['x86_64', 'arm64'] as const;
const EPOCH = '1767225600';
const HERE = process.arch === 'arm64' ? 'arm64' : 'x86_64';
const VERSION = (JSON.parse(readFileSync(join(PROJECT, 'package.json'), 'utf8')) as { version: string })
  .version;
const EMULATORS = {
  arm64: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
  x86_64: ['qemu-x86_64', '-L', '/usr/x86_64-linux-gnu'],
};

const top = (machine: string) => `graft-${VERSION}-linux-${machine}`;

/** The sources in a place of their own, so that two builds have nothing in common but them. */
async function checkout(at: string): Promise<string> {
  const copy = 'tar --exclude=./node_modules --exclude=./dist --exclude=./.git -cf - . | tar -C "$1" -xf -';
  await sh(`mkdir -p "$1/node_modules"; ${copy}; mount --bind node_modules "$1/node_modules"`, [at], {
    cwd: PROJECT,
  });
  return at;
}

let dir: TempDir;
beforeAll(async () => {
  dir = tempDir();
  const [first, second] = [await checkout(dir.at('first')), await checkout(dir.at('another/place/for/it'))];
  for (const [name, from, umask] of [
    ['one', first, '022'],
    ['two', second, '077'],
  ] as const) {
    const env = cleanEnv({ SOURCE_DATE_EPOCH: EPOCH, TMPDIR: dir.path });
    const build = `umask ${umask}; exec ci/release ${dir.at(name)}`;
    await must('sh', ['-c', build], { cwd: from, env, timeoutMs: 300_000 });
  }
  for (const machine of MACHINES)
    await must('tar', ['-C', dir.path, '-xzf', dir.at('one', `${top(machine)}.tar.gz`)]);
}, 620_000);
afterAll(() => dir?.remove());

test('two builds give the same bytes, from other directories and under another umask', async () => {
  const sums = readFileSync(dir.at('one/SHA256SUMS'), 'utf8');
  expect(readFileSync(dir.at('two/SHA256SUMS'), 'utf8')).toBe(sums);
  for (const build of ['one', 'two'])
    expect(await must('sha256sum', ['--strict', '-c', 'SHA256SUMS'], { cwd: dir.at(build) })).not.toContain(
      'FAILED',
    );
  const named = sums.split('\n').flatMap((line) => line.split('  ')[1] ?? []);
  expect([...named, 'SHA256SUMS'].sort()).toEqual(readdirSync(dir.at('one')).sort());
  expect(named.sort()).toEqual(
    MACHINES.flatMap((one) => [`${top(one)}.cdx.json`, `${top(one)}.tar.gz`]).sort(),
  );
});

describe.each(MACHINES)('%s', (machine) => {
  const at = (path: string) => dir.at(top(machine), path);

  test('everything belongs to root, has the date of the source, and nothing is executable but graft', async () => {
    const listed = await must('tar', [
      '--utc',
      '--full-time',
      '-tvzf',
      dir.at('one', `${top(machine)}.tar.gz`),
    ]);
    const lines = listed.trim().split('\n');
    expect(lines.length).toBeGreaterThan(80);
    for (const line of lines) {
      const [mode = '', owner, , day, time, name = ''] = line.split(/ +/);
      expect([owner, day, time]).toEqual(['0/0', '2026-01-01', '00:00:00']);
      expect(name).toStartWith(`${top(machine)}/`);
      const wanted = name.endsWith('/')
        ? 'drwxr-xr-x'
        : name.endsWith('/bin/graft')
          ? '-rwxr-xr-x'
          : '-rw-r--r--';
      expect([name, mode]).toEqual([name, wanted]);
    }
  });

  test('its program starts', async () => {
    const [program = '', ...before] = [...(machine === HERE ? [] : EMULATORS[machine]), at('bin/graft')];
    const start = (...args: string[]) =>
      run(program, [...before, ...args], { env: cleanEnv(), cwd: dir.path });
    expect(await start('version')).toMatchObject({ code: 0, stdout: `graft version ${VERSION}\n` });
    const missing = await start('--store', '/nowhere/store', 'stats', 'web');
    expect(missing).toMatchObject({ code: 1 });
    expect(missing.stdout).toStartWith('Image `web` not found. There is no store at /nowhere/store.');
    expect((await start('help', 'create')).stdout).toContain('--disk-limit-size-bytes');
  });

  test('nothing in it says where it was built', () => {
    const program = readFileSync(at('bin/graft'));
    for (const place of [dir.path, PROJECT])
      expect([place, program.includes(`${place}/`)]).toEqual([place, false]);
  });

  test('its program is for this machine', async () => {
    const { buffer } = readFileSync(at('bin/graft')).subarray(0, 20);
    // e_machine of the ELF header: EM_X86_64 is 62, EM_AARCH64 is 183.
    expect(new DataView(buffer).getUint16(18, true)).toBe(machine === 'x86_64' ? 62 : 183);
  });

  test('man pages, completion, licences and documentation are there', () => {
    const pages = readdirSync(at('share/man/man1'));
    expect(pages).toContain('graft.1');
    expect(pages).toContain('graft-create.1');
    for (const page of pages)
      expect(readFileSync(at(`share/man/man1/${page}`), 'utf8')).toContain('"2026-01-01"');
    expect(readFileSync(at('share/bash-completion/completions/graft'), 'utf8')).toContain('complete ');
    expect(readFileSync(at('share/zsh/site-functions/_graft'), 'utf8')).toStartWith('#compdef graft\n');
    for (const name of [
      'README.md',
      'LICENSE',
      'NOTICE',
      'CHANGELOG.md',
      'docs/README.md',
      'licences/README.md',
    ])
      expect([name, existsSync(at(`share/doc/graft/${name}`))]).toEqual([name, true]);
  });

  interface Component {
    readonly name: string;
    readonly version?: string;
    readonly purl: string;
    readonly hashes: readonly { readonly alg: string; readonly content: string }[];
    readonly licenses: readonly unknown[];
    readonly components?: readonly Component[];
    readonly 'bom-ref': string;
  }

  test('the SBOM names this executable and all that is in it', () => {
    const text = readFileSync(at('share/doc/graft/sbom.cdx.json'), 'utf8');
    expect(readFileSync(dir.at('one', `${top(machine)}.cdx.json`), 'utf8')).toBe(text);
    const bill = JSON.parse(text) as {
      bomFormat: string;
      specVersion: string;
      metadata: { component: Component };
      components: Component[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    expect([bill.bomFormat, bill.specVersion]).toEqual(['CycloneDX', '1.6']);
    const sha256 = new Bun.CryptoHasher('sha256').update(readFileSync(at('bin/graft'))).digest('hex');
    expect(bill.metadata.component.hashes).toEqual([{ alg: 'SHA-256', content: sha256 }]);

    const runtime = bill.components.find(({ name }) => name.startsWith('@oven/'));
    expect(runtime?.name).toBe(
      machine === 'arm64' ? '@oven/bun-linux-aarch64' : '@oven/bun-linux-x64-baseline',
    );
    const npm = bill.components.filter((one) => one !== runtime);
    expect(npm.map(({ name }) => name)).toEqual(compiledPackages().map(({ name }) => name));
    expect(npm.map(({ name }) => name)).toEqual(expect.arrayContaining(['pino', 'proper-lockfile', 'yargs']));
    for (const { name, licenses, purl } of bill.components) {
      expect(licenses).not.toEqual([]);
      expect(decodeURIComponent(purl)).toStartWith(`pkg:npm/${name}@`);
    }
    // Every reference leads somewhere, and there is one of each.
    const all = [bill.metadata.component, ...bill.components, ...(runtime?.components ?? [])];
    const refs = all.map((one) => one['bom-ref']);
    expect(new Set(refs).size).toBe(refs.length);
    for (const { ref, dependsOn } of bill.dependencies)
      for (const one of [ref, ...dependsOn]) expect(refs).toContain(one);
  });

  test('every npm package in the executable brings its own licence text', () => {
    for (const { name } of compiledPackages()) {
      const files = readdirSync(at(`share/doc/graft/licences/npm/${name}`));
      const text = files.map((file) =>
        readFileSync(at(`share/doc/graft/licences/npm/${name}/${file}`), 'utf8'),
      );
      expect([name, text.join('\n')]).toEqual([
        name,
        expect.stringMatching(/permission|redistribution|licen/i),
      ]);
    }
  });
});

test('it installs as the page says', async () => {
  const [install = ''] = blocks('docs/getting-started.md', 'sh');
  const script = `
    mount -t tmpfs tmpfs /usr/local
    cd "$1"
    ${install}
    command -v graft
    graft version
    MANPATH=/usr/local/share/man mandoc -T ascii /usr/local/share/man/man1/graft-create.1 | head -n 4`;
  const ran = await runPrivately('bash', ['-euc', script, '-', dir.at('one')], {
    env: cleanEnv({ PATH: '/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' }),
  });
  expect(ran.stderr).toBe('');
  expect(ran.stdout).toContain(`/usr/local/bin/graft\ngraft version ${VERSION}\n`);
  expect(ran.stdout).toContain('GRAFT-CREATE(1)');
});

describe('the runtime for another machine', () => {
  /** A project in which npm fetches whatever the test wants it to. */
  async function fetchWith(bytes: string): Promise<{ code: number; stdout: string; stderr: string }> {
    const at = dir.at(`fetch-${Math.random()}`);
    await must('mkdir', ['-p', `${at}/ci`, `${at}/tools`]);
    await must('cp', ['ci/release-bun', `${at}/ci/`]);
    await must('cp', ['package-lock.json', 'package.json', `${at}/`]);
    const npm = `#!/bin/bash\necho "$*" >${at}/called\nprintf %s '${bytes}' >"$4/package.tgz"\necho package.tgz\n`;
    writeFileSync(`${at}/tools/npm`, npm, { mode: 0o755 });
    const env = cleanEnv({ PATH: `${at}/tools:${cleanEnv()['PATH']}` });
    const ran = await run(`${at}/ci/release-bun`, ['arm64'], { cwd: at, env });
    expect(readFileSync(`${at}/called`, 'utf8')).toMatch(/ @oven\/bun-linux-aarch64@\d+\.\d+\.\d+\n$/);
    expect(
      existsSync(`${at}/node_modules/.cache/graft`) && readdirSync(`${at}/node_modules/.cache/graft`),
    ).toEqual([]);
    return ran;
  }

  test('is refused when it is not what package-lock.json says, and nothing of it is kept', async () => {
    const ran = await fetchWith('something else');
    expect(ran.code).toBe(1);
    expect(ran.stdout).toBe('');
    expect(ran.stderr).toContain('is not what package-lock.json says');
  });
});
