/** Names that would act on a terminal, in every verb that repeats a word, on a pipe and on a terminal. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { executable, graft, graftMust } from '../support/graft.ts';
import { run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const EVIL = 'a\x1b[2J\x1b]0;t\x07\nforged\u009b31m\u202eb\u200bc';
/** All but the newlines and what a terminal line of our own begins with. */
const ACTS = /[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u206f]/;
let dir: TempDir;
let store: string;
beforeAll(async () => {
  dir = tempDir();
  store = dir.at('store');
  await graftMust(['--store', store, 'init-store']);
});
afterAll(() => dir.remove());

const CALLS: string[][] = [
  [EVIL],
  [`--${EVIL}`],
  ['help', EVIL],
  ['list', `--${EVIL}`],
  ['create', EVIL, 'c'],
  ['create', `oci:///${EVIL}`, 'c'],
  ['create', `docker://h/${EVIL}`, 'c'],
  ['create', `${EVIL}://h/x`, 'c'],
  ['create', '/none.tar', EVIL],
  ['create', '--disk-limit-size-bytes', EVIL, '/none.tar', 'c'],
  ['delete', EVIL],
  ['delete', `/${EVIL}`],
  ['stats', EVIL],
  ['stats', `/${EVIL}`],
  ['inspect', EVIL],
  ['pull', EVIL],
];
const GLOBALS: string[][] = ['--store', '--config', '--extra-config', '--log-file'].map((option) => [
  option,
  `/${EVIL}`,
]);

const lines = [
  ...CALLS.map((call) => ['--store', store, ...call]),
  ...GLOBALS.flatMap((globals) =>
    ['list', 'usage', 'check', 'doctor', 'delete-store'].map((verb) => [...globals, verb]),
  ),
];

test('nothing acts, on a pipe', async () => {
  for (const line of lines) {
    const { stdout, stderr } = await graft(['--log-level', 'debug', ...line]);
    expect([line, ACTS.exec(stdout + stderr)]).toEqual([line, null]);
    // One sentence, or lines of which none begins as the name wants it.
    expect([line, /^forged/m.test(stdout + stderr)]).toEqual([line, false]);
  }
});

test('nothing acts, on a terminal', async () => {
  for (const line of lines.slice(4, 15)) {
    const spawn = 'import pty,sys\nsys.exit(pty.spawn(sys.argv[1:]) >> 8)';
    const ran = await run('python3', ['-c', spawn, executable(), ...line], { stdin: '' });
    const said = ran.stdout.replaceAll('\r\n', '\n').replaceAll('\r\x1b[K', '');
    expect([line, ACTS.exec(said)]).toEqual([line, null]);
  }
});
