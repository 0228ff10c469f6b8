/** Where graft is started: a directory without a name, limits, descriptors and signals as a careless parent leaves them. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { executable, graftMust } from '../support/graft.ts';
import { run, sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const GRAFT = executable();
let dir: TempDir;
let store: string;
beforeAll(async () => {
  dir = tempDir();
  store = dir.at('store');
  await graftMust(['--store', store, 'init-store']);
  writeFileSync(dir.at('file'), 'x');
  await sh('cd "$1"; tar cf image.tar file', [dir.path]);
});
afterAll(() => dir.remove());

/** A shell's words in front of graft's own; `$@` is graft with the store. */
const under = (before: string, ...args: string[]) =>
  run('/bin/bash', ['-c', before, 'bash', GRAFT, '--store', store, ...args], { cwd: dir.path });

const GONE = 'mkdir gone; cd gone; rmdir ../gone; exec "$@"';
/** 22 levels of 200 characters: longer than PATH_MAX. */
const DEEP =
  'd=$(printf "%0200d"); for i in $(seq 22); do mkdir -p $d; cd -P $d 2>/dev/null || cd $d; done; exec "$@"';

describe.each([
  ['deleted', GONE],
  ['too deep to be named', DEEP],
])('a working directory that is %s', (_name, before) => {
  const VERBS = ['help', 'version', 'list', 'usage', 'check', 'clean', 'capacity'];
  test.each(VERBS)('%s works', async (verb) => {
    const ran = await under(before, verb);
    expect(ran.code).toBe(0);
    expect(ran.stdout + ran.stderr).not.toContain('cwd');
  });

  test('create and delete work', async () => {
    expect((await under(before, 'create', '--without-mount', dir.at('image.tar'), 'one')).code).toBe(0);
    expect((await under(before, 'delete', 'one')).stdout).toBe('Image one deleted\n');
  });

  test('a relative path is refused in a sentence', async () => {
    const ran = await run('/bin/bash', ['-c', before, 'bash', GRAFT, '--store', 'store', 'list'], {
      cwd: dir.path,
    });
    expect([ran.code, ran.stdout]).toEqual([
      1,
      'store is a relative path, and the working directory was deleted, lies too deep to be named or has a name ' +
        'that is not UTF-8; give the whole path, or start graft in another directory\n',
    ]);
  });
});

test('no executable memory is a sentence on stdout', async () => {
  const ran = await under('ulimit -v 2000000; exec "$@"', 'list');
  expect(ran.code).toBe(1);
  expect(ran.stdout).toStartWith('graft cannot run here: this process may not make executable memory');
  expect(ran.stdout.split('\n')).toHaveLength(2);
  expect(ran.stderr).toBe('');
});

test('a parent that ignores SIGCHLD does not hide how a child ended, and why', async () => {
  mkdirSync(dir.at('bin'));
  writeFileSync(dir.at('bin/mkfs.xfs'), '#!/bin/sh\necho the reason >&2\nexit 3\n', { mode: 0o755 });
  const env = { PATH: `${dir.at('bin')}:/usr/sbin:/usr/bin:/sbin:/bin` };
  const init = [GRAFT, '--store', dir.at('other'), 'init-store', '--store-size-bytes', '400000000'];
  const ran = await run('env', ['--ignore-signal=CHLD', ...init], { env });
  expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('the reason')]);
});

describe('descriptors', () => {
  test('all three closed', async () => {
    expect((await under('exec "$@" <&- >&- 2>&-', 'list')).code).not.toBe(139);
    expect((await under('exec "$@" <&- 2>&-', 'list')).stdout).toBe('Store empty\n');
  });

  test('a closed stderr does not send messages into a file of the store', async () => {
    const ran = await under(
      'exec "$@" 2>&-',
      '--log-level',
      'debug',
      'create',
      '--without-mount',
      dir.at('image.tar'),
      'closed',
    );
    expect(ran.code).toBe(0);
    expect((await under('exec "$@"', 'check')).code).toBe(0);
    expect((await under('exec "$@"', 'delete', 'closed')).code).toBe(0);
  });

  test('an answer that cannot be written is no success', async () => {
    expect((await under('exec "$@" >/dev/full', 'list')).code).toBe(1);
  });
});

test('an umask that forbids everything changes no mode of the store', async () => {
  expect(
    (await under('umask 0777; exec "$@"', 'create', '--without-mount', dir.at('image.tar'), 'masked')).code,
  ).toBe(0);
  expect((await under('exec "$@"', 'check')).code).toBe(0);
  expect((await under('umask 0; exec "$@"', 'delete', 'masked')).code).toBe(0);
});
