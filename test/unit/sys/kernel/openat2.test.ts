import { expect, test } from 'bun:test';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { close, openAt, openat2, RESOLVE } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../../../lib/sys/kernel/libc.ts';
import { tempDir } from '../../../support/temp.ts';

/** Renames a file to and fro until it is ended; says so once it is at it. */
const RENAMER = `
const { renameSync } = require('node:fs');
const [, a] = process.argv;
renameSync(a, a + '2'); renameSync(a + '2', a);
process.stdout.write('at it');
for (;;) { renameSync(a, a + '2'); renameSync(a + '2', a); }`;

test('a link with `..` is followed while others rename', async () => {
  await using dir = tempDir();
  mkdirSync(dir.at('root/etc'), { recursive: true });
  mkdirSync(dir.at('root/usr'));
  writeFileSync(dir.at('root/usr/passwd'), 'root');
  symlinkSync('../usr/passwd', dir.at('root/etc/passwd'));
  writeFileSync(dir.at('renamed'), '');
  const renamer = Bun.spawn([process.execPath, '-e', RENAMER, dir.at('renamed')], { stdout: 'pipe' });
  const root = openAt(AT_FDCWD, dir.at('root'), O.PATH | O.DIRECTORY);
  try {
    await renamer.stdout.getReader().read();
    for (let i = 0; i < 50_000; i += 1) close(openat2(root, 'etc/passwd', O.RDONLY, 0, RESOLVE.IN_ROOT));
  } finally {
    close(root);
    renamer.kill('SIGKILL');
    await renamer.exited;
  }
  expect(renamer.signalCode).toBe('SIGKILL');
});
