import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { syscall } from '../../../../lib/sys/kernel/libc.ts';
import { keepMemoryPrivate } from '../../../../lib/sys/kernel/own-process.ts';

const PR_GET_DUMPABLE = 3;

test("the memory of this process is no other user's and makes no core", () => {
  keepMemoryPrivate();
  expect(syscall(process.arch === 'arm64' ? 167 : 157, PR_GET_DUMPABLE)).toBe(0);
  expect(readFileSync('/proc/self/limits', 'utf8')).toMatch(/^Max core file size +0 +0 /m);
});
