/** What `npm run build` promises: the same bytes twice, no success with a broken program, nothing from outside. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { executable } from '../support/graft.ts';
import { cleanEnv, must, PROJECT, type Ran, run } from '../support/shell.ts';
import { testStore } from '../support/stores/store.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

function sha256(path: string): string {
  return new Bun.CryptoHasher('sha256').update(readFileSync(path)).digest('hex');
}

describe('two builds', () => {
  test('give the same bytes, in another directory and under another umask', async () => {
    const build = (to: string, umask: string) =>
      must('sh', ['-c', `umask ${umask}; exec ci/build`], { env: cleanEnv({ GRAFT_DIST: dir.at(to) }) });
    await build('one', '022');
    await build('two', '077');
    for (const name of ['graft', 'graft-faults', 'empty']) {
      expect(sha256(dir.at('one', name))).toBe(sha256(dir.at('two', name)));
    }
    const shown = readdirSync(dir.at('one')).filter((name) => !name.startsWith('.'));
    expect(shown.sort()).toEqual(['empty', 'graft', 'graft-faults']);
  });

  test('of the same sources are one, unless the program is not the one that was built', async () => {
    const build = () => must('ci/build', ['empty'], { env: cleanEnv({ GRAFT_DIST: dir.at('again') }) });
    const built = `built ${dir.at('again/empty')}\n`;
    expect(await build()).toBe(built);
    expect(await build()).toBe(`${dir.at('again/empty')} is current\n`);
    writeFileSync(dir.at('again/empty'), 'damaged');
    expect(await build()).toBe(built);
  });

  test('differ in one thing: only the one for fault injection obeys GRAFT_FAULT', async () => {
    const args = ['--store', dir.at('store'), 'init-store'];
    const env = cleanEnv({ GRAFT_FAULT: 'kill:main:1' });
    mkdirSync(dir.at('store'));
    expect((await run(executable('graft-faults'), args, { env })).signal).toBe('SIGKILL');
    expect((await run(executable('graft'), args, { env })).signal).toBeUndefined();
  });
});

describe('a build fails and leaves the last good program', () => {
  /** A project of its own with this entry and nothing else. */
  function project(name: string, entry: string): string {
    const at = dir.at(name);
    mkdirSync(join(at, 'cmd'), { recursive: true });
    mkdirSync(join(at, 'test/bench'), { recursive: true });
    for (const file of ['ci/build', 'ci/bun-path', 'package.json', 'tsconfig.json', 'test/bench/empty.ts']) {
      cpSync(join(PROJECT, file), join(at, file));
    }
    symlinkSync(join(PROJECT, 'node_modules'), join(at, 'node_modules'));
    writeFileSync(join(at, 'cmd/graft.ts'), entry);
    mkdirSync(join(at, 'dist'));
    writeFileSync(join(at, 'dist/graft'), 'the last good one');
    return at;
  }
  async function build(at: string): Promise<Ran> {
    const ran = await run('ci/build', ['graft'], { cwd: at });
    expect(ran.code).not.toBe(0);
    expect(readFileSync(join(at, 'dist/graft'), 'utf8')).toBe('the last good one');
    expect(readdirSync(join(at, 'dist'))).toEqual(['graft']);
    return ran;
  }

  test.each([
    ['syntax', 'const = 1;', 'graft does not compile'],
    ['import', "import './nowhere.ts';", 'graft does not compile'],
    ['status', 'process.exit(3);', 'graft version exits 3'],
    ['throw', "throw new Error('dies at start');", 'dies at start'],
    ['silent', 'export {};', 'graft version prints no version'],
  ])('%s: %s', async (name, entry, sentence) => {
    expect((await build(project(`broken-${name}`, entry))).stderr).toContain(sentence);
  });

  test('when the compiler complains and exits 0, as with its bytecode', async () => {
    const at = project('bytecode', "process.stdout.write('graft version 0.0\\n');");
    const bun = (await must('ci/bun-path', [])).trim();
    const shim = '#!/bin/sh\nshift\necho "Failed to generate bytecode for ./graft.js"\n';
    writeFileSync(join(at, 'ci/bun-path'), `#!/bin/sh\necho ${at}/bun\n`);
    writeFileSync(join(at, 'bun'), `${shim}exec ${bun} build "$@"\n`);
    chmodSync(join(at, 'bun'), 0o755);
    expect((await build(at)).stderr).toContain('Failed to generate bytecode');
  });
});

/**
 * The absolute paths that one line of `strace -y` names: `openat(AT_FDCWD</somewhere>, "name", …`. What mount
 * and execve are given besides paths (options, arguments) and the texts of links are no names that are looked up.
 */
function pathsOf(line: string, cwd: string): string[] {
  const [, call = '', given = ''] = /^\d+ +(\w+)\((.*)/.exec(line) ?? [];
  const named = [...given.matchAll(/(?:<([^>"]*)>, )?"((?:[^"\\]|\\.)*)"/g)];
  const looksUp = { execve: 1, mount: 2, readlink: 1, readlinkat: 1, symlink: 2, symlinkat: 2 }[call];
  return named
    .slice(call.startsWith('symlink') ? 1 : 0, looksUp)
    .filter(([, , name]) => name !== '' && !(call === 'mount' && name === 'overlay'))
    .map(([, from = cwd, name = '']) => resolve(from, name));
}

describe('the program reads nothing from its working directory', () => {
  let cwd: string;
  beforeAll(() => {
    cwd = dir.at('hostile');
    mkdirSync(join(cwd, 'cmd'), { recursive: true });
    const loud = "require('node:fs').writeSync(1, 'FROM THE WORKING DIRECTORY');";
    const files: Record<string, string> = {
      'bunfig.toml': 'preload = ["./loud.ts"]\n[run]\npreload = ["./loud.ts"]\n',
      'tsconfig.json': '{ "compilerOptions": { "paths": { "*": ["./loud.ts"] } } }',
      'package.json': '{ "imports": { "*": "./loud.ts" }, "type": "commonjs" }',
    };
    for (const name of ['.env', '.env.local', '.env.production', '.env.development']) {
      files[name] =
        'NODE_OPTIONS=--require=./loud.ts\nBUN_OPTIONS=--preload=./loud.ts\nGRAFT_STORE=/hostile\n';
    }
    for (const name of [
      'loud.ts',
      'graft.ts',
      'unpack-worker.ts',
      'unpack-worker.js',
      'cmd/unpack-worker.ts',
    ]) {
      files[name] = loud;
    }
    for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  });

  /** Names at or below the working directory that any thread of the program asked the kernel for. */
  async function namesAsked(args: readonly string[]): Promise<{ ran: Ran; names: string[] }> {
    const log = dir.at('strace');
    const trace = ['-f', '-y', '-qq', '-e', 'trace=%file', '-o', log];
    const ran = await run('strace', [...trace, executable(), ...args], { cwd });
    const names = readFileSync(log, 'utf8')
      .split('\n')
      .flatMap((line) => pathsOf(line, cwd));
    return { ran, names: names.filter((name) => name.startsWith(`${cwd}/`)) };
  }

  test.each([
    [['version']],
    [['--store', '/nowhere/store', 'stats', 'some-id']],
    [['--store', '/nowhere/store', 'create', '/nowhere/image.tar', 'some-id']],
    [['help', 'create']],
    [['no-such-verb']],
    [['create', '--no-such-flag']],
  ])('%p', async (args) => {
    const { ran, names } = await namesAsked(args);
    expect(names).toEqual([]);
    expect(`${ran.stdout}${ran.stderr}`).not.toContain('FROM THE WORKING DIRECTORY');
    expect(`${ran.stdout}${ran.stderr}`).not.toContain('/hostile');
  });

  test('nor for a create that unpacks a layer', async () => {
    await using store = await testStore();
    await must('tar', ['-C', cwd, '-czf', store.dir.at('image.tar.gz'), '.']);
    const create = ['--store', store.path, 'create', store.dir.at('image.tar.gz'), 'some-id'];
    const { ran, names } = await namesAsked(create);
    expect(ran).toMatchObject({ code: 0 });
    expect(existsSync(join(store.path, 'images/some-id/rootfs/loud.ts'))).toBe(true);
    expect(names).toEqual([]);
    expect(`${ran.stdout}${ran.stderr}`).not.toContain('FROM THE WORKING DIRECTORY');
  });

  test('yet a relative name given to it is looked up there, so the test sees what it looks for', async () => {
    const { names } = await namesAsked(['--config', 'no-such-config.yml', 'capacity']);
    expect(names.some((name) => name.endsWith('no-such-config.yml'))).toBe(true);
  });
});
