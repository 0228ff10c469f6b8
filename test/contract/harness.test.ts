/** The way programs are run here, held to what it promises, with programs that misbehave on purpose. */
import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { runLikeGarden } from './garden/run.ts';

const shell = (script: string) => ['/bin/sh', '-c', script];
const LINE = '{"timestamp":"1","level":"info","source":"x","message":"m","data":{}}';

describe('running like Garden', () => {
  test('stdin is /dev/null, stdout and stderr are pipes', async () => {
    const { stdout } = await runLikeGarden(shell('for fd in 0 1 2; do readlink /proc/self/fd/$fd; done'));
    expect(stdout).toMatch(/^\/dev\/null\npipe:\[\d+\]\npipe:\[\d+\]\n$/);
  });

  test('no other descriptor is open', async () => {
    // No pipe in the shell, whose ends it would have open itself; and ls is not its last command, which it would become.
    const { stdout } = await runLikeGarden(shell('ls /proc/$$/fd; :'));
    expect(stdout).toBe('0\n1\n2\n');
  });

  test('the process leads a group of its own', async () => {
    let pid = 0;
    const { stdout } = await runLikeGarden(shell('cut -d" " -f5 /proc/$$/stat'), {
      started: (started) => {
        pid = started;
      },
    });
    expect(Number(stdout)).toBe(pid);
    expect(pid).not.toBe(Number(readFileSync('/proc/self/stat', 'latin1').split(' ')[4]));
  });

  test('each write is one read', async () => {
    const { stderrReads } = await runLikeGarden(
      shell(`printf '%s\\n' '${LINE}' >&2; printf '%s\\n' '${LINE}' >&2`),
    );
    expect(stderrReads).toHaveLength(2);
  });

  test('a line in two writes is torn', async () => {
    const run = await runLikeGarden(
      shell(`printf '%s' '${LINE.slice(0, 20)}' >&2; printf '%s\\n' '${LINE.slice(20)}' >&2`),
    );
    expect(run.relogged().map((entry) => entry.lager)).toEqual([false, false]);
  });

  test('a line of more than 4096 bytes is torn', async () => {
    const long = LINE.replace('{}', `{"x":"${'x'.repeat(5000)}"}`);
    const run = await runLikeGarden(shell('printf "%s\\n" "$LINE" >&2'), { env: { LINE: long } });
    expect(run.relogged().map((entry) => entry.lager)).toEqual([false, false]);
  });

  test('a background child that keeps a pipe open keeps the caller waiting', async () => {
    const holding = await runLikeGarden(shell('sleep 3 & exit 0'));
    expect(holding.milliseconds).toBeGreaterThan(2500);
    const polite = await runLikeGarden(shell('sleep 3 >/dev/null 2>&1 & exit 0'));
    expect(polite.milliseconds).toBeLessThan(2500);
  });

  test('exit codes and signals', async () => {
    expect((await runLikeGarden(shell('exit 3'))).exitCode).toBe(3);
    expect((await runLikeGarden(shell('kill -9 $$'))).exitCode).toBe(137);
  });
});
