import { expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { readFile } from '../../../../lib/sys/kernel/read.ts';
import { noise } from '../../../support/registries/fake-registry.ts';
import { tempDir } from '../../../support/temp.ts';

const KiB = 1024;

test('a file of any size is read whole, around every size that the buffer has', async () => {
  await using dir = tempDir();
  for (const edge of [0, 4 * KiB, 16 * KiB, 64 * KiB, 256 * KiB]) {
    for (const size of [edge - 1, edge, edge + 1].filter((bytes) => bytes >= 0)) {
      writeFileSync(dir.at('file'), noise(size));
      expect(Buffer.compare(readFile(dir.at('file'), size), noise(size))).toBe(0);
    }
  }
});

test('one byte above the limit is an error, wherever the limit lies', async () => {
  await using dir = tempDir();
  for (const limit of [0, 100, 4 * KiB, 4 * KiB + 1, 100 * KiB]) {
    writeFileSync(dir.at('file'), noise(limit + 1));
    expect(() => readFile(dir.at('file'), limit)).toThrow(expect.objectContaining({ code: 'EFBIG' }));
  }
});
