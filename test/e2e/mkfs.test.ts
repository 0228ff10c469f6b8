/** Programs that init-store runs: why one failed is told, also below a parent that ignores SIGCHLD, and nothing is left. */
import { expect, test } from 'bun:test';
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { executable } from '../support/graft.ts';
import { cleanEnv, run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const BYTES = String(400 * 1024 * 1024);
/** Of env(1). */
const HEARD: readonly string[] = [];
const IGNORED = ['--ignore-signal=CHLD'];

function init(dir: TempDir, signals: readonly string[]) {
  const env = cleanEnv({ PATH: `${dir.at('bin')}:/usr/sbin:/usr/bin:/sbin:/bin` });
  const verb = ['--store', dir.at('new/store'), 'init-store', '--store-size-bytes', BYTES];
  return run('env', [...signals, executable(), ...verb], { env });
}

for (const [how, signals] of [
  ['heard of', HEARD],
  ['ignored', IGNORED],
] as const) {
  test.each([
    ['echo "no such sector" >&2; exit 1', 'no such sector'],
    ['exit 3', 'mkfs.xfs ended with exit code 3'],
    ['kill -KILL $$', 'mkfs.xfs was ended by SIGKILL'],
  ])(`where the end of children is ${how}: %s`, async (script, reason) => {
    await using dir = tempDir();
    mkdirSync(dir.at('bin'));
    writeFileSync(dir.at('bin/mkfs.xfs'), `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    const ran = await init(dir, signals);
    const sentence = `formatting XFS filesystem on ${dir.at('new/store')}.backing-store: ${reason}\n`;
    expect([ran.code, ran.stdout]).toEqual([1, sentence]);
    expect(readdirSync(dir.path)).toEqual(['bin']);
  });
}

test('a store is made where the end of children is ignored', async () => {
  await using dir = tempDir();
  const ran = await init(dir, IGNORED);
  expect([ran.code, readdirSync(dir.at('new')).sort()]).toEqual([0, ['store', 'store.backing-store']]);
});
