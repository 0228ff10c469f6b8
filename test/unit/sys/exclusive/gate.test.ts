import { expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { throughGate } from '../../../../lib/sys/exclusive/gate.ts';
import { tempDir } from '../../../support/temp.ts';

/** flock(1) of util-linux: another program at the same gate. It says when it is behind it, and stays until it is ended. */
async function keeper(directory: string, mode: '--shared' | '--exclusive') {
  const command = ['flock', '--no-fork', mode, directory, 'sh', '-c', 'echo in; exec cat'];
  const child = Bun.spawn(command, { stdio: ['pipe', 'pipe', 'inherit'] });
  const { value } = await child.stdout.getReader().read();
  expect(new TextDecoder().decode(value)).toBe('in\n');
  const leave = async () => {
    child.stdin.end();
    await child.exited;
  };
  return { child, leave, [Symbol.asyncDispose]: leave };
}

const busy = (what: string, seconds: number) =>
  expect.objectContaining({ code: 'STORE_BUSY', subject: { what, seconds } });

test('many are behind a gate at once, and nobody who wants to be alone meanwhile', async () => {
  await using dir = tempDir();
  await using _other = await keeper(dir.path, '--shared');
  expect(throughGate(dir.path, 'shared', 'x', () => 'in')).toBe('in');
  const alone = () => throughGate(dir.path, 'alone', 'a create', () => 'in', 20);
  expect(alone).toThrow(busy('a create', 0.02));
});

test('who is alone keeps everybody out until it leaves', async () => {
  await using dir = tempDir();
  const other = await keeper(dir.path, '--exclusive');
  expect(() => throughGate(dir.path, 'shared', 'a clean', () => 'in', 20)).toThrow(busy('a clean', 0.02));
  expect(() => throughGate(dir.path, 'alone', 'a clean', () => 'in', 20)).toThrow(busy('a clean', 0.02));
  await other.leave();
  expect(throughGate(dir.path, 'alone', 'a clean', () => 'in')).toBe('in');
});

test('waits for its turn, which comes when the one before is killed', async () => {
  await using dir = tempDir();
  await using other = await keeper(dir.path, '--exclusive');
  // By a process of its own, since this one stands still while it waits.
  Bun.spawn(['sh', '-c', `sleep 0.2; kill -9 ${other.child.pid}`], { stdio: ['ignore', 'ignore', 'ignore'] });
  expect(throughGate(dir.path, 'alone', 'a clean', () => 'in')).toBe('in');
});

test('what fails behind the gate leaves it open, and no descriptor', async () => {
  await using dir = tempDir();
  const before = readdirSync('/proc/self/fd').length;
  const fails = () =>
    throughGate(dir.path, 'alone', 'x', () => {
      throw new Error('inside');
    });
  expect(fails).toThrow('inside');
  expect(readdirSync('/proc/self/fd').length).toBe(before);
  expect(throughGate(dir.path, 'alone', 'x', () => 'in', 0)).toBe('in');
});

test('a directory that is not there is an error at once', async () => {
  await using dir = tempDir();
  expect(() => throughGate(dir.at('none'), 'shared', 'x', () => 'in')).toThrow(
    expect.objectContaining({ code: 'ENOENT' }),
  );
});
