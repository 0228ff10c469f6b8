/** A password on the command line: who sees it while graft runs, and when it dies. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { executable, graftMust } from '../support/graft.ts';
import { cleanEnv, run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const SECRET = 'TOPSECRET42';
let dir: TempDir;
let store: string;
beforeAll(async () => {
  dir = tempDir();
  store = dir.at('store');
  await graftMust(['--store', store, 'init-store']);
  // What a crash of the runtime would send its report with.
  mkdirSync(dir.at('bin'));
  writeFileSync(dir.at('bin/curl'), `#!/bin/sh\necho "$@" >>${dir.at('called')}\n`);
  chmodSync(dir.at('bin/curl'), 0o755);
});
afterAll(() => dir.remove());

interface Hanging {
  readonly child: Bun.Subprocess<'ignore', 'pipe', 'pipe'>;
  readonly said: Promise<string>;
}

/** graft at a registry that never answers; `args` gets the registry's port. */
async function hanging(args: (port: number) => readonly string[], use: (at: Hanging) => Promise<void>) {
  const { promise: connected, resolve } = Promise.withResolvers<void>();
  const registry = Bun.listen({
    hostname: '127.0.0.1',
    port: 0,
    socket: { open: () => resolve(), data() {} },
  });
  const child = Bun.spawn(
    [
      'sh',
      '-c',
      'ulimit -c unlimited; exec "$@"',
      'sh',
      executable(),
      '--store',
      store,
      ...args(registry.port),
    ],
    {
      cwd: dir.path,
      env: cleanEnv({ PATH: `${dir.at('bin')}:${process.env['PATH']}` }),
      stdin: 'ignore',
      stdout: 'pipe',
      stderr: 'pipe',
    },
  );
  const said = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]).then(
    (all) => all.join(''),
  );
  try {
    await Promise.race([connected, said.then((text) => Promise.reject(new Error(`it ended: ${text}`)))]);
    await use({ child, said });
  } finally {
    child.kill('SIGKILL');
    await child.exited;
    registry.stop(true);
  }
}

const login = ['--username', 'u', '--password', SECRET];
const CALLS: [string, (port: number) => string[]][] = [
  [
    'create',
    (port) => [
      'create',
      ...login,
      '--insecure-registry',
      `127.0.0.1:${port}`,
      `docker://127.0.0.1:${port}/x`,
      'c',
    ],
  ],
  [
    'create, in one word',
    (port) => [
      'create',
      `-password=${SECRET}`,
      '--insecure-registry',
      `127.0.0.1:${port}`,
      `docker://127.0.0.1:${port}/x`,
      'c',
    ],
  ],
  [
    'create, in the reference',
    (port) => [
      'create',
      '--insecure-registry',
      `127.0.0.1:${port}`,
      `docker://u:${SECRET}@127.0.0.1:${port}/x`,
      'c',
    ],
  ],
  [
    'pull',
    (port) => ['pull', ...login, '--insecure-registry', `127.0.0.1:${port}`, `docker://127.0.0.1:${port}/x`],
  ],
  [
    'pull, in the reference',
    (port) => ['pull', '--insecure-registry', `127.0.0.1:${port}`, `docker://${SECRET}@127.0.0.1:${port}/x`],
  ],
  [
    'inspect',
    (port) => [
      'inspect',
      ...login,
      '--insecure-registry',
      `127.0.0.1:${port}`,
      `docker://127.0.0.1:${port}/x`,
    ],
  ],
  [
    'inspect, in the reference',
    (port) => [
      'inspect',
      '--insecure-registry',
      `127.0.0.1:${port}`,
      `docker://u:${SECRET}@127.0.0.1:${port}/x`,
    ],
  ],
];

describe('a secret that is given to', () => {
  test.each(CALLS)('%s is in no list of processes and in no report of a crash', async (_name, args) => {
    for (const signal of ['SIGSEGV', 'SIGABRT'] as const)
      await hanging(args, async ({ child, said }) => {
        const proc = (file: string) => readFileSync(`/proc/${child.pid}/${file}`, 'latin1');
        expect(proc('cmdline')).toContain('127.0.0.1');
        expect(proc('cmdline')).not.toContain(SECRET);
        expect(proc('limits')).toMatch(/^Max core file size +0 +0 /m);
        expect(readlinkSync(`/proc/${child.pid}/fd/2`)).toBe('/dev/null');
        child.kill(signal);
        expect(await said).not.toContain(SECRET);
        await child.exited;
        expect(child.signalCode).toBe(signal);
      });
    expect(readdirSync(dir.path).sort()).toEqual(['bin', 'store']);
  });
});

test('without a secret the runtime may report its crash, and sends nothing', async () => {
  const args = (port: number) => [
    'pull',
    '--insecure-registry',
    `127.0.0.1:${port}`,
    `docker://127.0.0.1:${port}/x`,
  ];
  await hanging(args, async ({ child, said }) => {
    child.kill('SIGSEGV');
    await said;
    await child.exited;
    expect(child.signalCode).toBe('SIGSEGV');
  });
  expect(existsSync(dir.at('called'))).toBe(false);
});

test('messages of a call with a password still arrive', async () => {
  const ran = await run(executable(), [
    '--log-level',
    'debug',
    '--store',
    store,
    'create',
    ...login,
    '/no/such.tar',
    'c',
  ]);
  expect(ran.code).toBe(1);
  expect(ran.stdout).toStartWith('fetching image timestamp: stat /no/such.tar');
  expect(ran.stderr).toContain('"message":"graft.create.failed"');
  expect(ran.stderr + ran.stdout).not.toContain(SECRET);
});

test('a misplaced password is not repeated', async () => {
  for (const word of [`--password=${SECRET}`, `-password=${SECRET}`]) {
    const ran = await run(executable(), ['create', 'image', 'id', word]);
    expect(ran.code).toBe(1);
    expect(ran.stdout).toContain(
      'options go before the arguments: --password=*** came after one'.replace(
        '--',
        word.startsWith('--') ? '--' : '-',
      ),
    );
    expect(ran.stderr).toBe('');
  }
});
