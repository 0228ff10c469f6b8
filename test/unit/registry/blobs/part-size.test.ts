import { expect, test } from 'bun:test';
import { PartSize } from '../../../../lib/registry/blobs/part-size.ts';

const KiB = 1024;

test('asks for everything while bodies bring anything', () => {
  const part = new PartSize();
  part.cameWhole();
  expect(part.bytes).toBe(Number.POSITIVE_INFINITY);
});

test('begins small after a break, and grows to everything while that goes well', () => {
  const part = new PartSize();
  part.broke();
  const sizes = Array.from({ length: 9 }, () => {
    const { bytes } = part;
    part.cameWhole();
    return bytes / KiB;
  });
  expect(sizes).toEqual([32, 64, 128, 256, 512, 1024, 2048, 4096, Number.POSITIVE_INFINITY]);
});

test('never again asks for what was too large', () => {
  const part = new PartSize();
  part.broke();
  part.cameWhole();
  part.cameWhole();
  expect(part.bytes).toBe(128 * KiB);
  part.broke();
  const sizes = Array.from({ length: 6 }, () => {
    const { bytes } = part;
    part.cameWhole();
    return bytes / KiB;
  });
  expect(sizes).toEqual([32, 64, 64, 64, 64, 64]);
});

test('has a least size, however often it breaks', () => {
  const part = new PartSize();
  for (let i = 0; i < 50; i += 1) part.broke();
  expect(part.bytes).toBe(KiB);
});
