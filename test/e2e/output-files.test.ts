/** What is given as a log or metrics file and is none: no verb waits for it, puts a file in its place, or fails for metrics. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { lstatSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { must, type Ran } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

let store: TestStore;
const at = (name: string) => store.dir.at(name);
beforeAll(async () => {
  store = await testStore();
  for (const name of ['one', 'two']) {
    mkdirSync(at(`${name}.d`));
    writeFileSync(at(`${name}.d/file`), name);
    await must('tar', ['-C', at(`${name}.d`), '-cf', at(`${name}.tar`), '.']);
  }
  await must('mkfifo', [at('pipe')]);
  await must('mknod', [at('null'), 'c', '1', '3']);
  mkdirSync(at('directory'));
  symlinkSync('/proc/self/fd/1', at('stdout'));
});
afterAll(() => store?.[Symbol.asyncDispose]());

/** Kind and number: what stands there. */
const what = (name: string) => [lstatSync(at(name)).mode, lstatSync(at(name)).rdev];
const errorOf = ({ stderr }: Ran, event: string) =>
  stderr
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line))
    .find(({ message }) => message.endsWith(`.${event}`))?.data.error;

describe.each([
  ['pipe', 'a named pipe'],
  ['directory', 'a directory'],
  ['null', 'a device'],
  ['stdout', 'a symbolic link'],
])('--metrics-file %s', (name, kind) => {
  test('is told in the log; create, delete and clean succeed, and it stays what it is', async () => {
    const before = what(name);
    const verbs = [['create', at('one.tar'), 'web'], ['delete', 'web'], ['clean']];
    for (const verb of verbs) {
      const ran = await store.graft(['--log-level', 'error', '--metrics-file', at(name), ...verb]);
      expect([verb[0], ran.code, ran.stdout.split('\n').length]).toEqual([verb[0], 0, 2]);
      const said = errorOf(ran, 'metrics-not-written');
      expect(said).toBe(`CLI_METRICS_FILE ${JSON.stringify({ path: at(name), reason: `it is ${kind}` })}`);
    }
    expect(what(name)).toEqual(before);
    expect(readdirSync(at('directory'))).toEqual([]);
  });
});

describe('--log-file', () => {
  test.each([
    ['pipe', 'it is a pipe that nobody reads, or a socket'],
    ['directory', 'is a directory'],
  ])('%s is refused in one sentence', async (name, reason) => {
    const ran = await store.graft(['--log-file', at(name), 'list']);
    expect([ran.code, ran.stdout]).toEqual([1, `the log file ${at(name)} cannot be written: ${reason}\n`]);
  });

  test('a pipe with a reader gets the log', async () => {
    const reader = Bun.spawn(['sh', '-c', 'exec 3<>"$1"; echo ready; exec cat <&3', 'sh', at('pipe')], {
      stdout: 'pipe',
      stdin: 'ignore',
    });
    try {
      const lines = linesOf(reader.stdout);
      expect((await lines.next()).value).toBe('ready');
      const ran = await store.graft(['--log-file', at('pipe'), 'create', at('gone.tar'), 'web']);
      expect(ran.code).toBe(1);
      expect(JSON.parse((await lines.next()).value ?? '').source).toBe('graft');
    } finally {
      reader.kill('SIGKILL');
      await reader.exited;
    }
  });
});

describe.each(['pipe', 'directory'])('--clean-log-file %s', (name) => {
  test('is told in the log; the image is made, and the clean runs all the same', async () => {
    await store.must(['pull', at('one.tar')]);
    const unused = readdirSync(`${store.path}/volumes`);
    expect(unused.length).toBe(1);
    const options = ['--log-level', 'error', 'create', '--with-clean', '--clean-log-file', at(name)];
    const ran = await store.graft([...options, at('two.tar'), 'web']);
    expect([ran.code, JSON.parse(ran.stdout).root.path]).toEqual([0, `${store.path}/images/web/rootfs`]);
    expect(errorOf(ran, 'clean-log-not-opened')).toStartWith('CLI_LOG_FILE ');
    while (readdirSync(`${store.path}/volumes`).some((volume) => unused.includes(volume)))
      await Bun.sleep(20);
    await store.must(['delete', 'web']);
    await store.must(['clean']);
  });
});

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + new TextDecoder().decode(chunk)).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
