/** What callers see of the program before any store is touched: words, exit codes, and where they go. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { closeSync, mkdirSync, writeFileSync } from 'node:fs';
import { executable } from '../support/graft.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { pipe } from './garden/pipe.ts';
import { CELL_ENV, type GardenRun, runLikeGarden } from './garden/run.ts';

const GRAFT = executable();
let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

const graft = (args: readonly string[], env: Record<string, string> = {}): Promise<GardenRun> =>
  runLikeGarden([GRAFT, ...args], { env: { ...CELL_ENV, ...env }, cwd: dir.path });

describe('a mistake in the command line', () => {
  test.each([
    [['nosuch'], 3, /^No help topic for 'nosuch'\. `graft help` lists the verbs\.\n$/],
    [['creat'], 3, /^No help topic for 'creat'\. Did you mean create\?\n$/],
    [['help', 'nosuch'], 3, /^No help topic for 'nosuch'\./],
    [
      ['list', '--bogus'],
      1,
      /^Incorrect Usage: flag provided but not defined: -bogus\. `graft help list` lists the options\.\n$/,
    ],
    [
      ['-bogus', 'list'],
      1,
      /^Incorrect Usage: flag provided but not defined: -bogus\. `graft help` lists the options\.\n$/,
    ],
    [['create', '--with-claen', 'a', 'b'], 1, /not defined: -with-claen\. Did you mean --with-clean\?/],
    [
      ['create', '--store', '/s', 'a', 'b'],
      1,
      /not defined: -store\. It is an option of graft itself, before `create`; put it there\.\n$/,
    ],
    [
      ['create', '--disk-limit-size-bytes', 'abc', 'a', 'b'],
      1,
      /^Incorrect Usage: invalid value "abc" for flag -disk-limit-size-bytes: parse error\./,
    ],
    [
      ['create', '--with-clean=maybe', 'a', 'b'],
      1,
      /^Incorrect Usage: invalid boolean value "maybe" for -with-clean: parse error\./,
    ],
    [['--store'], 1, /^Incorrect Usage: flag needs an argument: -store\n$/],
    [['create', 'a'], 1, /^invalid arguments - usage: create \[options\] <image> <id>\n$/],
    [
      ['create', 'a', 'b', '--with-clean'],
      1,
      /^invalid arguments - usage: create .*options go before the arguments: --with-clean came after one\)\n$/,
    ],
    [['stats'], 1, /^invalid arguments - usage: stats \[options\] <id\|image path>\n$/],
    [['delete'], 1, /^id was not specified/],
    [['delete', ''], 1, /^id was not specified/],
    [['init-store', 'x'], 1, /^invalid arguments - usage: init-store --store <path>\n$/],
    [
      ['create', '--with-clean', '--without-clean', 'a', 'b'],
      1,
      /^with-clean and without-clean cannot be used together\n$/,
    ],
    [
      ['create', '--disk-limit-size-bytes', '-1', 'a', 'b'],
      1,
      /^invalid argument: disk limit cannot be negative\n$/,
    ],
    [['clean', '--threshold-bytes', '-1'], 1, /^invalid argument: clean threshold cannot be negative\n$/],
    [['--config', '/nope', 'list'], 1, /^invalid config path: open \/nope: no such file or directory\n$/],
    [
      ['--log-file', '/nope/x', 'list'],
      1,
      /^the log file \/nope\/x cannot be written: no such file or directory\n$/,
    ],
  ] as const)('%p', async (args, exitCode, stdout) => {
    const run = await graft(args);
    expect(run.stdout).toMatch(stdout);
    expect(run.exitCode).toBe(exitCode);
    // The default level lets nothing through: Garden's log is not the place for a caller's mistake.
    expect(run.stderrReads).toEqual([]);
  });
});

describe('an answer that needs no store', () => {
  test.each([
    [['version'], /^graft version \d+\.\d+\.\d+\n$/],
    [['--version'], /^graft version \d+\.\d+\.\d+\n$/],
    [['-v'], /^graft version \d+\.\d+\.\d+\n$/],
    [[], /^graft: root filesystems from images/],
    [['help'], /^graft: root filesystems from images/],
    [['-h'], /^graft: root filesystems from images/],
    [['help', 'create'], /^graft create: [\s\S]*--disk-limit-size-bytes/],
    [['create', '--help'], /^graft create: [\s\S]*--disk-limit-size-bytes/],
    [['capacity'], /^\{"capacity":0\}\n$/],
    [['completion', 'bash'], /complete .* graft\n$/],
  ] as const)('%p', async (args, stdout) => {
    const run = await graft(args);
    expect(run.stdout).toMatch(stdout);
    expect([run.exitCode, run.stderrReads]).toEqual([0, []]);
  });
});

describe('a configuration file', () => {
  const config = (name: string, text: string) => {
    writeFileSync(dir.at(name), text);
    return dir.at(name);
  };

  test('gives the capacity', async () => {
    const path = config('c.yml', 'init:\n  store_size_bytes: 107374182400\n');
    expect((await graft(['--config', path, 'capacity'])).stdout).toBe('{"capacity":107374182400}\n');
  });

  test('that is broken stops every verb, with a sentence that names it', async () => {
    const path = config('broken.yml', 'store: [\n');
    for (const verb of [['list'], ['capacity'], ['stats', 'x'], ['delete', 'x'], ['create', 'a', 'b']]) {
      const { stdout, exitCode } = await graft(['--config', path, ...verb]);
      expect(stdout).toMatch(/^invalid config file: yaml: .*broken\.yml\)\n$/);
      expect(exitCode).toBe(1);
    }
  });

  test('with keys that nobody reads is used, and a create names them once', async () => {
    const path = config(
      'u.yml',
      `store: ${dir.at('no-store')}\nlog_level: error\nstor: x\ncreate:\n  with_cleen: true\n`,
    );
    const created = await graft(['--config', path, 'create', '/a.tar', 'x']);
    const [warning] = created.relogged();
    expect(warning).toMatchObject({
      lager: true,
      level: 'error',
      message: 'graft.create.config-keys-unknown',
    });
    expect(JSON.stringify(warning?.lager && [...warning.data.entries()])).toContain('create.with_cleen');
    expect((await graft(['--config', path, 'capacity'])).stderrReads).toEqual([]);
  });

  test('of graft’s own that is broken does not stop what does not need it', async () => {
    const path = config('own.yml', 'init: {store_size_bytes: 5}\n');
    mkdirSync(`${path}.d`);
    writeFileSync(`${path}.d/x.yml`, 'nonsense: true\n');
    expect((await graft(['--config', path, 'capacity'])).stdout).toBe('{"capacity":5}\n');
  });
});

describe('logs', () => {
  const missing = ['--store', '/nope', 'list'];

  test('at level debug are lager lines, each in one write', async () => {
    const run = await graft(['--log-level', 'debug', ...missing]);
    const entries = run.relogged();
    expect(entries.length).toBeGreaterThan(1);
    expect(entries.every((entry) => entry.lager)).toBe(true);
    expect(run.stderrReads).toHaveLength(entries.length);
    for (const read of run.stderrReads) expect(read.length).toBeLessThan(4096);
    expect(entries[0]).toMatchObject({
      level: 'debug',
      source: 'graft',
      message: 'graft.list.list-config',
    });
  });

  test('take a level in any case, and anything else for fatal', async () => {
    expect((await graft(['--log-level', 'DEBUG', ...missing])).stderrReads).not.toEqual([]);
    expect((await graft(['--log-level', 'loud', ...missing])).stderrReads).toEqual([]);
  });

  test('go to a file, which raises the level to info', async () => {
    const path = dir.at('log');
    const run = await graft(['--log-file', path, ...missing]);
    expect(run.stderrReads).toEqual([]);
    const lines = (await Bun.file(path).text()).trimEnd().split('\n');
    expect(lines.map((line) => JSON.parse(line).level)).toEqual(['error']);
  });

  test('never hold a password, nor does anything else', async () => {
    const password = 'hunter2-<&>';
    for (const image of ['/nope.tar', 'oci:///nope', `docker://127.0.0.1:1/${password}`, password]) {
      const run = await graft([
        ...['--log-level', 'debug', '--store', '/nope', 'create'],
        ...['--username', 'u', '--password', password, image, 'x'],
      ]);
      const said = run.stdout + Buffer.concat(run.stderrReads.map((read) => Buffer.from(read))).toString();
      expect(run.exitCode).toBe(1);
      expect(said).not.toContain('hunter2');
    }
  });
});

describe('a person in front of a terminal', () => {
  /** Runs it on a terminal of its own, with what it shows as the answer. */
  const onTerminal = async (args: readonly string[]) => {
    const command = [GRAFT, ...args].map((word) => `'${word}'`).join(' ');
    const run = await runLikeGarden(['script', '-qec', command, '/dev/null'], {
      env: { ...CELL_ENV, TERM: 'xterm' },
      cwd: dir.path,
    });
    return run.stdout;
  };

  test('sees no JSON', async () => {
    expect(await onTerminal(['--store', '/nope', 'stats', 'x'])).not.toContain('{');
  });

  test('sees it when asked for', async () => {
    const shown = await onTerminal(['--log-level', 'error', '--store', '/nope', 'list']);
    expect(shown).toContain('"source":"graft"');
  });

  test('hears of keys that nobody reads', async () => {
    writeFileSync(dir.at('t.yml'), 'stor: x\n');
    expect(await onTerminal(['--config', dir.at('t.yml'), 'capacity'])).toContain(
      't.yml: nothing reads stor',
    );
  });
});

describe('the surroundings', () => {
  test('nothing is read from the working directory', async () => {
    const cwd = dir.at('trap');
    mkdirSync(`${cwd}/node_modules/yargs`, { recursive: true });
    const marker = dir.at('marker');
    const script = `require('fs').writeFileSync(${JSON.stringify(marker)}, 'x');`;
    writeFileSync(`${cwd}/evil.js`, script);
    writeFileSync(`${cwd}/node_modules/yargs/index.js`, script);
    writeFileSync(
      `${cwd}/.env`,
      `BUN_OPTIONS=--preload=${cwd}/evil.js\nNODE_OPTIONS=--require=${cwd}/evil.js\n`,
    );
    writeFileSync(`${cwd}/bunfig.toml`, 'preload = ["./evil.js"]\n');
    writeFileSync(`${cwd}/package.json`, '{"version":"6.6.6","yargs":{"short-option-groups":true}}');
    writeFileSync(`${cwd}/tsconfig.json`, '{"compilerOptions":{"paths":{"*":["./evil.js"]}}}');
    for (const args of [['version'], ['help'], ['nosuch'], ['capacity']]) {
      const { stdout } = await runLikeGarden([GRAFT, ...args], { cwd });
      expect(stdout).not.toContain('6.6.6');
      expect(await Bun.file(marker).exists()).toBe(false);
    }
    const traced = await runLikeGarden(['strace', '-f', '-e', 'trace=%file', GRAFT, 'capacity'], { cwd });
    const said = Buffer.concat(traced.stderrReads.map((read) => Buffer.from(read))).toString();
    const opened = said.split('\n').filter((line) => /\bopen(at)?\(/.test(line) && !line.includes('ENOENT'));
    expect(opened.length).toBeGreaterThan(5);
    expect(opened.filter((line) => line.includes(cwd) || /\((AT_FDCWD, )?"[^/]/.test(line))).toEqual([]);
  });

  test('an empty environment is enough', async () => {
    const run = await runLikeGarden([GRAFT, 'version'], { env: {} });
    expect([run.exitCode, run.stdout]).toEqual([0, expect.stringMatching(/^graft version/)]);
  });

  test('a reader that is gone is a failure, and not a signal’s', async () => {
    const [readEnd, writeEnd] = pipe(0);
    closeSync(readEnd);
    // The runtime of the tests ignores SIGPIPE, and children inherit that; Garden's do not.
    const child = Bun.spawn(['env', '--default-signal=PIPE', GRAFT, 'version'], {
      stdio: ['ignore', writeEnd, 'pipe'],
    });
    closeSync(writeEnd);
    expect(await child.exited).toBe(1);
    expect(await new Response(child.stderr).text()).toBe('');
  });
});
