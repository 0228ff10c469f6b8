/** Credential helpers are programs of somebody else: they hang, babble and fail (hostile row 59). */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { runHelper } from '../../../../lib/registry/auth/helper.ts';
import { defaultPolicy } from '../../../../lib/registry/policy/policy.ts';
import { NEVER, rejection } from '../../../support/registries/registry-client.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

/** Installs `docker-credential-<name>` with this script. */
function helper(name: string, script: string): void {
  const path = dir.at(`docker-credential-${name}`);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
}

const policy = () => ({
  ...defaultPolicy.credentials,
  helperPath: dir.path,
  helperEnv: { PATH: '/usr/bin:/bin', REGION: 'somewhere' },
  helperTimeoutMs: 20_000,
});
const ask = (name: string, host = 'registry.example:5000', more = {}) =>
  runHelper(name, host, { ...policy(), ...more }, NEVER);
const refused = async (promise: Promise<unknown>) => {
  const { code, subject } = await rejection(promise);
  return [code, String(subject['reason'])];
};
const PRINT = `printf '{"ServerURL":"x","Username":"u","Secret":"s"}'`;

test('is given the host on stdin and answers with user and secret', async () => {
  helper('good', `cat > ${dir.at('stdin')}; echo "$@" > ${dir.at('args')}; ${PRINT}`);
  const found = await ask('good');
  expect(found?.kind === 'password' && [found.username, found.password.reveal()]).toEqual(['u', 's']);
  expect(readFileSync(dir.at('stdin'), 'utf8')).toBe('registry.example:5000');
  expect(readFileSync(dir.at('args'), 'utf8')).toBe('get\n');
});

test('is asked for Docker Hub by the key that Docker stores it under', async () => {
  helper('hub', `cat > ${dir.at('stdin')}; ${PRINT}`);
  await ask('hub', 'docker.io');
  expect(readFileSync(dir.at('stdin'), 'utf8')).toBe('https://index.docker.io/v1/');
});

test('is read as Go reads it: the case of a key does not count, two keys that differ in case only are refused', async () => {
  helper('folded', `printf '{"serverURL":"x","USERNAME":"u","secret":"s","other":null}'`);
  const found = await ask('folded');
  expect(found?.kind === 'password' && [found.username, found.password.reveal()]).toEqual(['u', 's']);
  helper('twice', `printf '{"Username":"u","username":"v","Secret":"s"}'`);
  const [code, reason] = await refused(ask('twice'));
  expect([code, reason]).toEqual(['REGISTRY_HELPER', 'it prints a key twice, in capital and small letters']);
});

test('may give a refresh token', async () => {
  helper('token', `printf '{"Username":"<token>","Secret":"refresh"}'`);
  const found = await ask('token');
  expect(found?.kind === 'identity-token' && found.token.reveal()).toBe('refresh');
});

test('that does not know the host means no credentials', async () => {
  helper('unknown', `echo 'credentials not found in native keychain'; exit 1`);
  expect(await ask('unknown')).toBeUndefined();
});

test('sees the environment it is given and nothing else', async () => {
  process.env['GRAFT_TEST_LEAK'] = 'leaked';
  helper('env', `env > ${dir.at('env')}; pwd >> ${dir.at('env')}; ${PRINT}`);
  await ask('env');
  delete process.env['GRAFT_TEST_LEAK'];
  const seen = readFileSync(dir.at('env'), 'utf8');
  expect(seen).toContain('REGION=somewhere');
  expect(seen).not.toContain('leaked');
  expect(seen).toEndWith('\n/\n');
});

test('that fails is named, and what it printed is not', async () => {
  helper('fails', `echo SECRET; echo SECRET >&2; exit 7`);
  const [code, reason] = await refused(ask('fails'));
  expect([code, reason]).toEqual(['REGISTRY_HELPER', 'it ends with status 7']);
});

test.each([
  ['text', 'echo SECRET'],
  ['half', `printf '{"Username":"u"}'`],
  ['null', 'echo null'],
  ['list', 'echo []'],
  ['number', `printf '{"Username":5,"Secret":"SECRET"}'`],
  ['nothing', 'true'],
])('that prints %s is refused', async (name, script) => {
  helper(name, script);
  const [code, reason] = await refused(ask(name));
  expect(code).toBe('REGISTRY_HELPER');
  expect(reason).toStartWith('it ');
  expect(reason).not.toContain('SECRET');
});

test('that prints without end is stopped at 64 KiB, with what it started', async () => {
  helper('babble', `echo $$ > ${dir.at('pid')}; yes SECRET | tee /dev/null`);
  const [code, reason] = await refused(ask('babble'));
  expect([code, reason]).toEqual(['REGISTRY_HELPER', 'it prints more than 65536 bytes']);
  await ended(dir.at('pid'));
});

test('that hangs is killed after its time, with what it started', async () => {
  helper('hang', `sleep 1000 & echo $! > ${dir.at('pid')}; wait`);
  const [code, reason] = await refused(ask('hang', 'r', { helperTimeoutMs: 1500 }));
  expect([code, reason]).toEqual(['REGISTRY_HELPER', 'it does not answer in 1.5 s']);
  await ended(dir.at('pid'));
});

test('that ends and leaves a child with its stdout open is given up after its time', async () => {
  helper('orphan', `sleep 1000 & echo $! > ${dir.at('pid')}; ${PRINT}`);
  const [code] = await refused(ask('orphan', 'r', { helperTimeoutMs: 1500 }));
  expect(code).toBe('REGISTRY_HELPER');
  await ended(dir.at('pid'));
});

test('is killed when the pull is stopped', async () => {
  helper('slow', `echo $$ > ${dir.at('slow-pid')}; sleep 1000`);
  const abort = new AbortController();
  const asking = runHelper('slow', 'r', policy(), abort.signal);
  while (!existsSync(dir.at('slow-pid')) || readFileSync(dir.at('slow-pid'), 'utf8') === '')
    await Bun.sleep(5);
  const reason = new Error('enough');
  abort.abort(reason);
  expect((await rejection(asking)) as unknown).toBe(reason);
  await ended(dir.at('slow-pid'));
});

test.each(['../../../bin/sh', 'UPPER', '', '-x', 'a b', 'a/b', 'a.b'])(
  'with the name %p is not run',
  async (name) => {
    expect(await refused(ask(name))).toEqual([
      'REGISTRY_HELPER',
      'the name of a helper has only a-z, 0-9 and -',
    ]);
  },
);

test('is looked for in absolute directories alone', async () => {
  helper('here', PRINT);
  const before = process.cwd();
  process.chdir(dir.path);
  const result = await refused(ask('here', 'r', { helperPath: '.::relative' }));
  process.chdir(before);
  expect(result[0]).toBe('REGISTRY_HELPER');
});

/** The process whose id is in the file is gone: SIGKILL has been sent, and the kernel takes a moment. */
async function ended(pidFile: string): Promise<void> {
  const pid = Number(readFileSync(pidFile, 'utf8'));
  expect(pid).toBeGreaterThan(1);
  for (let tries = 0; tries < 500; tries += 1) {
    if (!isRunning(pid)) return;
    await Bun.sleep(10);
  }
  throw new Error(`process ${pid} is still running`);
}

function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z/.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
