import { expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { MiB } from '../../../../lib/base/limits.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { initStore } from '../../../../lib/store/init/init.ts';
import { tempDir } from '../../../support/temp.ts';

const deps = {
  run: () => ({ ok: false, complaint: 'no program may be needed' }),
  log: silentLogger,
  directIo: false,
};
const mappings = { uids: [], gids: [] };

test.each([
  ['made', false],
  ['mounted again', true],
])('no loop file is %s where a symbolic link leads', async (_what, there) => {
  await using dir = tempDir();
  mkdirSync(dir.at('disk'));
  symlinkSync(dir.at('disk'), dir.at('store'));
  if (there) writeFileSync(dir.at('store.backing-store'), 'XFSB');
  const before = readdirSync(dir.path).sort();
  const request = { path: dir.at('store'), sizeBytes: 400 * MiB, mappings };
  const made = initStore(request, deps);
  await expect(made).rejects.toMatchObject({ code: 'STORE_BAD_PATH', subject: { store: dir.at('store') } });
  expect(readdirSync(dir.path).sort()).toEqual(before);
  expect(readdirSync(dir.at('disk'))).toEqual([]);
  expect(readFileSync('/proc/self/mountinfo', 'utf8')).not.toContain(dir.path);
});
