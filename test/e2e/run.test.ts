/** `run` and `spec`: a process in a root filesystem by hand, through the real runtime. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { executable } from '../support/graft.ts';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { cleanEnv, run } from '../support/shell.ts';
import { INIT } from '../support/stores/garden-mapping.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

let store: TestStore;
let image: MadeImage;
beforeAll(async () => {
  store = await testStore();
  image = await makeBusyboxImage(store.dir.at('layout'));
});
afterAll(() => store[Symbol.asyncDispose]());

const containers = () => readdirSync(`${store.path}/images`);
/** Bundles and half-deleted trees, too. */
const left = () => [...containers(), ...readdirSync(`${store.path}/tmp`)];

describe('run IMAGE', () => {
  test('runs the command as the image says, ends with its code and deletes what it made', async () => {
    const script = 'id -u; pwd; echo $GREETING; echo made > made; cat made; exit 7';
    const ran = await store.graft(['run', image.url, '--', 'sh', '-c', script]);
    expect(ran).toMatchObject({ code: 7, stdout: '1000\n/home/app\nhello\nmade\n', stderr: '' });
    expect(left()).toEqual([]);
  });

  test('has no network but loopback, and that of the host where it is asked to', async () => {
    const command = ['--', 'cat', '/proc/net/dev'];
    const none = await store.must(['run', image.url, ...command]);
    expect(none.match(/^ *[^ ]+:/gm)?.map((name) => name.trim())).toEqual(['lo:']);
    const host = await store.must(['run', '--host-network', image.url, ...command]);
    const own = await Bun.file('/proc/net/dev').text();
    expect(host.match(/^ *[^ ]+:/gm)).toEqual(own.match(/^ *[^ ]+:/gm));
  });

  test.each([
    [['--', 'nosuch'], 127, 'the command nosuch is not in the image (looked for in /bin)'],
    [['--', '/etc/passwd'], 126, 'its mode has no execute permission'],
    [['--', '/etc'], 126, 'it is a directory'],
    [['--runtime', '/nonexistent/runc'], 125, '/nonexistent/runc was not found'],
    [['--runtime', '/bin/false'], 125, '/bin/false ended with exit code 1 before the process was started'],
    [['--disk-limit-size-bytes', '1'], 125, 'graft: '],
    [['--nosuch'], 125, 'flag provided but not defined: -nosuch'],
  ])('%j: %i, with a sentence on stderr and nothing left', async (words, code, sentence) => {
    const ran = await store.graft(['run', image.url, ...words]);
    expect([ran.code, ran.stdout]).toEqual([code, '']);
    expect(ran.stderr).toContain(sentence);
    expect(left()).toEqual([]);
  });

  test('keeps what it made where it is told to, under the given id', async () => {
    const ran = await store.graft(['run', '--keep', '--id', 'kept', image.url, '--', 'touch', 'made']);
    expect([ran.code, ran.stderr]).toEqual([0, 'kept: kept; graft delete kept deletes it\n']);
    expect(existsSync(`${store.path}/images/kept/diff/home/app/made`)).toBe(true);
    await store.must(['delete', 'kept']);
  });

  test('passes each signal on once', async () => {
    const script =
      'n=0; trap "n=\\$((n+1)); echo got \\$n" INT; trap "exit 9" TERM; echo up; while :; do sleep 0.1; done';
    const args = ['--store', store.path, 'run', image.url, '--', 'sh', '-c', script];
    const child = Bun.spawn([executable(), ...args], {
      env: cleanEnv(),
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    });
    let shown = '';
    for await (const chunk of child.stdout) {
      shown += Buffer.from(chunk).toString();
      if (shown === 'up\n') child.kill('SIGINT');
      if (shown.endsWith('got 1\n')) child.kill('SIGTERM');
    }
    expect([await child.exited, shown]).toEqual([9, 'up\ngot 1\n']);
    expect(left()).toEqual([]);
  });

  test('gives a process a terminal where there is one', async () => {
    const spawn = 'import pty,sys\nsys.exit(pty.spawn(sys.argv[1:]) >> 8)';
    const command = [
      executable(),
      '--store',
      store.path,
      'run',
      image.url,
      '--',
      'sh',
      '-c',
      'test -t 0 && test -t 1 && exit 3',
    ];
    const ran = await run('python3', ['-c', spawn, ...command], {
      env: cleanEnv({ TERM: 'vt100' }),
      stdin: '',
    });
    expect(ran.code).toBe(3);
  });

  test('runs in the user namespace of a store with a mapping', async () => {
    await using mapped = await testStore({ init: INIT });
    // The mapped root comes to its root filesystem by the path of the host.
    for (const path of [mapped.dir.path, dirname(mapped.path)]) chmodSync(path, 0o711);
    const ran = await mapped.graft([
      'run',
      image.url,
      '--',
      'sh',
      '-c',
      'id -u; cat /proc/self/uid_map; touch x && stat -c %u x',
    ]);
    expect(ran.stderr).toBe('');
    expect(ran.stdout.replaceAll(/ +/g, ' ')).toBe('1000\n 0 4294967294 1\n 1 1 4294967293\n1000\n');
  });
});

describe('run ID and spec ID', () => {
  beforeAll(() => store.must(['create', image.url, 'box']));
  afterAll(() => store.must(['delete', 'box']));

  test('runs in a root filesystem that is there, and leaves it', async () => {
    const ran = await store.graft(['run', 'box', '--', 'sh', '-c', 'id -u; echo $GREETING; touch seen']);
    expect(ran).toMatchObject({ code: 0, stdout: '1000\nhello\n', stderr: '' });
    expect(existsSync(`${store.path}/images/box/diff/home/app/seen`)).toBe(true);
    expect(containers()).toEqual(['box']);
  });

  test.each([['nosuch'], [`run-\u001b`]])('%j, which is neither: 125', async (id) => {
    const ran = await store.graft(['run', id]);
    expect([ran.code, ran.stdout]).toEqual([125, '']);
  });

  test('is refused where the policy for signatures refuses the image today', async () => {
    const policy = store.dir.at('policy.json');
    const extra = store.dir.at('extra.yml');
    writeFileSync(policy, JSON.stringify({ default: [{ type: 'reject' }] }));
    writeFileSync(extra, `trust:\n  policy: ${policy}\n`);
    for (const subject of ['box', image.url]) {
      const ran = await run(executable(), ['--store', store.path, '--extra-config', extra, 'run', subject]);
      expect([ran.code, ran.stdout]).toEqual([125, '']);
      expect(ran.stderr).toContain('every image of this scope is rejected');
    }
    expect(containers()).toEqual(['box']);
  });

  test('says so where the image is gone, and does not take root for the user', async () => {
    await using lost = await testStore();
    const gone = await makeBusyboxImage(lost.dir.at('layout'));
    await lost.must(['create', gone.url, 'box']);
    await run('rm', ['-rf', gone.layout]);
    const ran = await lost.graft(['run', 'box', '--', 'id']);
    expect([ran.code, ran.stdout]).toEqual([125, '']);
    expect(ran.stderr).toContain('cannot be read, so that the user of its process is unknown');
  });

  test('an unmounted root filesystem is not mounted a second time', async () => {
    await store.must(['create', '--without-mount', image.url, 'bare']);
    const ran = await store.graft(['spec', 'bare']);
    expect([ran.code, ran.stderr]).toEqual([1, '']);
    expect(ran.stdout).toContain('the root filesystem bare is not mounted');
    await store.must(['delete', 'bare']);
  });

  test('spec prints a bundle that the runtime takes', async () => {
    const bundle = store.dir.at('bundle');
    mkdirSync(bundle);
    const spec = await store.must(['spec', 'box', '--', 'sh', '-c', 'id -u; pwd; echo $GREETING']);
    writeFileSync(`${bundle}/config.json`, spec);
    const ran = await run('runc', ['run', '--bundle', bundle, `graft-test-${crypto.randomUUID()}`]);
    expect(ran).toMatchObject({ code: 0, stdout: '1000\n/home/app\nhello\n', stderr: '' });
    const own = JSON.parse(await store.must(['spec', `${store.path}/images/box`])) as {
      process: { args: string[] };
    };
    expect(own.process.args).toEqual(['/bin/sh']);
  });
});
