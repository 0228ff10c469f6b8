/** A store of version 1, as graft made it before anything was released, to every verb. */
import { expect, test } from 'bun:test';
import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { graft } from '../support/graft.ts';
import { must } from '../support/shell.ts';
import { mountPointsBelow, tempDir } from '../support/temp.ts';

const VERBS = [
  ['create', 'oci:///nowhere', 'x'],
  ['delete', 'web'],
  ['stats', 'web'],
  ['list'],
  ['clean'],
  ['usage'],
  ['check'],
  ['check', '--repair'],
  ['pull', 'oci:///nowhere'],
  ['inspect', 'web'],
  ['init-store'],
];

test('every verb refuses it with the commands that help, and delete-store takes file and mounts away', async () => {
  await using home = tempDir();
  const path = home.at('store');
  const verb = (...args: string[]) => graft(['--store', path, ...args]);
  expect((await verb('init-store', '--store-size-bytes', String(320 * 1024 * 1024))).code).toBe(0);
  await must('tar', ['-C', '/etc', '-cf', home.at('image.tar'), 'passwd']);
  expect((await verb('create', home.at('image.tar'), 'web')).code).toBe(0);
  const marker = `${path}/meta/graft.json`;
  writeFileSync(marker, readFileSync(marker, 'utf8').replace('"version":3', '"version":1'));
  await must('chown', ['-R', '4294967294:4294967294', `${path}/images`, `${path}/volumes`]);
  await must('chown', ['4294967294:4294967294', path]);
  mkdirSync(home.at('kept/images'), { recursive: true });
  for (const args of VERBS) {
    const ran = await verb(...args);
    expect([args, ran.code, ran.stdout]).toEqual([
      args,
      1,
      `the store ${path} has format 1, which this graft cannot use; delete its containers, then remove it with: ` +
        `graft --store ${path} delete-store; and make it again, with the options it was made with: ` +
        `graft --store ${path} init-store\n`,
    ]);
  }
  // Its mapped root could put a link there.
  renameSync(`${path}/tmp`, `${path}/locks/tmp`);
  symlinkSync(home.at('kept'), `${path}/tmp`);
  // Also where it is not mounted: nothing but its inside says which version it is.
  await must('umount', [`${path}/images/web/rootfs`]);
  await must('umount', [path]);
  expect((await verb('init-store')).code).toBe(1);
  expect(mountPointsBelow(home.path)).toEqual([]);
  expect((await verb('delete-store')).code).toBe(0);
  expect([existsSync(path), existsSync(`${path}.backing-store`), existsSync(home.at('kept/images'))]).toEqual(
    [false, false, true],
  );
});
