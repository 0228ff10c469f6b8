import { cleanEnv } from '../support/shell.ts';

const MiB = 1024 ** 2;

/**
 * Runs a program and says the most memory that it had, in MiB (ru_maxrss of wait4(2)). At an execve(2) the kernel
 * counts what the caller had as the program's (exec_mmap in fs/exec.c): a figure no larger than ours is only a bound.
 * @throws Error with its output when it fails
 */
export function peakOf(argv: readonly string[]): string {
  const ran = Bun.spawnSync([...argv], { env: cleanEnv(), stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
  if (ran.exitCode !== 0)
    throw new Error(`${argv.join(' ')} exits ${ran.exitCode}\n${ran.stdout}${ran.stderr}`);
  const peak = ran.resourceUsage.maxRSS;
  const own = process.resourceUsage().maxRSS * 1024;
  return `${peak > own ? '' : '< '}${Math.ceil(peak / MiB)}`;
}
