/** The level of its architecture that this machine's processor has, by the names that image indexes use as variants. */
import { close, openAt } from './files.ts';
import { AT_FDCWD, check, libc, O } from './libc.ts';

/**
 * How much of /proc/cpuinfo is read: the lines of the first processor. On large machines the whole file has a megabyte.
 */
const FIRST_PROCESSOR = 8 * 1024;

/**
 * Levels of an architecture, the lowest first. Each lists the features that it adds, by their names in /proc/cpuinfo.
 */
type Levels = readonly (readonly [level: string, features: readonly string[]])[];

/**
 * x86-64 psABI, "Micro-Architecture Levels". /proc/cpuinfo names SSE3 `pni` and LZCNT `abm`, and lists XSAVE when it is
 * enabled.
 */
const X86_64: Levels = [
  ['v2', ['cx16', 'lahf_lm', 'popcnt', 'pni', 'sse4_1', 'sse4_2', 'ssse3']],
  ['v3', ['avx', 'avx2', 'bmi1', 'bmi2', 'f16c', 'fma', 'abm', 'movbe', 'xsave']],
  ['v4', ['avx512f', 'avx512bw', 'avx512cd', 'avx512dq', 'avx512vl']],
];

/**
 * Arm Architecture Reference Manual, A2: the features that are mandatory in each version, as far as the kernel shows
 * them to user space (Documentation/arch/arm64/elf_hwcaps.rst). Armv9.n has all features of Armv8.(n+5), and SVE2.
 */
const ARM64: Levels = [
  ['v8.1', ['atomics', 'asimdrdm', 'crc32']],
  ['v8.2', ['dcpop']],
  ['v8.3', ['jscvt', 'fcma', 'lrcpc', 'paca', 'pacg']],
  ['v8.4', ['asimddp', 'dit', 'flagm', 'ilrcpc', 'uscat']],
  ['v8.5', ['sb', 'flagm2', 'frint']],
  ['v8.6', ['bf16', 'i8mm']],
];

/** The variant of this machine; undefined for the baseline. @param arch as in `process.arch` */
export function cpuVariant(arch: string = process.arch): string | undefined {
  return arch === 'x64' || arch === 'arm64' ? variantIn(readStart(), arch) : undefined;
}

/** @param cpuinfo the beginning of /proc/cpuinfo, with at least one whole processor */
export function variantIn(cpuinfo: string, arch: 'x64' | 'arm64'): string | undefined {
  const key = arch === 'x64' ? 'flags' : 'Features';
  const line = cpuinfo.split('\n').find((text) => text.startsWith(key));
  const has = new Set(
    line
      ?.slice(line.indexOf(':') + 1)
      .trim()
      .split(' '),
  );
  let best: string | undefined;
  for (const [level, features] of arch === 'x64' ? X86_64 : ARM64) {
    if (!features.every((feature) => has.has(feature))) break;
    best = level;
  }
  if (!has.has('sve2')) return best;
  if (best === 'v8.5') return 'v9';
  return best === 'v8.6' ? 'v9.1' : best;
}

function readStart(): string {
  const fd = openAt(AT_FDCWD, '/proc/cpuinfo', O.RDONLY);
  try {
    const buffer = new Uint8Array(FIRST_PROCESSOR);
    const length = check(Number(libc.read(fd, buffer, buffer.length)), 'read', '/proc/cpuinfo');
    return Buffer.from(buffer.buffer, 0, length).toString('latin1');
  } finally {
    close(fd);
  }
}
