import { expect, test } from 'bun:test';
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { silentLogger } from '../../../../lib/base/log.ts';
import { removeStore } from '../../../../lib/store/init/remove-store.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';

const deps = { run: () => ({ ok: false, complaint: '' }), log: silentLogger, directIo: false };

test('a store that is deleted leaves what was never its own', async () => {
  await using scratch = await scratchStore();
  writeFileSync(`${scratch.path}/notes`, 'somebody else');
  await removeStore(scratch.store.layout, deps);
  expect(readdirSync(scratch.path)).toEqual(['notes']);
  expect(readFileSync(`${scratch.path}/notes`, 'utf8')).toBe('somebody else');
});

test('a store that is deleted takes its directory along', async () => {
  await using scratch = await scratchStore();
  await removeStore(scratch.store.layout, deps);
  expect(() => readdirSync(scratch.path)).toThrow('ENOENT');
});
