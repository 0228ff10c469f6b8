import { expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { cpuVariant, variantIn } from '../../../../lib/sys/kernel/cpu.ts';

const V2 = 'fpu sse sse2 pni ssse3 cx16 sse4_1 sse4_2 popcnt lahf_lm';
const V3 = `${V2} avx avx2 bmi1 bmi2 f16c fma abm movbe xsave`;
const V4 = `${V3} avx512f avx512bw avx512cd avx512dq avx512vl`;
const N1 = 'fp asimd aes sha1 sha2 crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp ssbs';
const V84 = `${N1} jscvt fcma paca pacg dit flagm ilrcpc uscat sve`;
const V86 = `${V84} sb flagm2 frint bf16 i8mm`;

test.each([
  ['x64', 'fpu sse sse2', undefined],
  ['x64', V2, 'v2'],
  ['x64', V3, 'v3'],
  ['x64', V4, 'v4'],
  ['x64', V3.replace(' movbe', ''), 'v2'],
  ['x64', V4.replace(' sse4_1', ''), undefined],
  ['x64', V4.replace('avx512cd ', ''), 'v3'],
  ['x64', '', undefined],
  ['arm64', 'fp asimd', undefined],
  ['arm64', N1, 'v8.2'],
  ['arm64', V84, 'v8.4'],
  ['arm64', V86, 'v8.6'],
  ['arm64', `${V86} sve2`, 'v9.1'],
  ['arm64', `${V86.replace(' i8mm', '')} sve2`, 'v9'],
  ['arm64', `${N1} sve2`, 'v8.2'],
] as const)('%s with %s is %p', (arch, features, level) => {
  const key = arch === 'x64' ? 'flags\t\t' : 'Features\t';
  expect(variantIn(`processor\t: 0\n${key}: ${features}\nbugs\t\t: none\n\n`, arch)).toBe(level);
});

test('this machine is what all of its /proc/cpuinfo says', () => {
  const { arch } = process;
  if (arch !== 'x64' && arch !== 'arm64') throw new Error(`no test for ${arch}`);
  expect(cpuVariant()).toBe(variantIn(readFileSync('/proc/cpuinfo', 'utf8'), arch));
  expect(cpuVariant('riscv64')).toBe(undefined);
});
