/**
 * Runs the program of its arguments and prints how it ended, and the most memory that it had, in MiB. A process of its
 * own: at an execve(2) the kernel counts what the caller had as the program's (exec_mmap in fs/exec.c), and a test has
 * hundreds of megabytes where this has forty.
 */
const ran = Bun.spawnSync(process.argv.slice(2), { stdin: 'ignore', stdout: 'pipe', stderr: 'pipe' });
const said = `${ran.stdout.toString().slice(0, 500)}${ran.stderr.toString().slice(0, 500)}`;
const peak = ran.resourceUsage.maxRSS / 1024 ** 2;
process.stdout.write(JSON.stringify({ code: ran.exitCode, peak, said }));
