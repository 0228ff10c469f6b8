import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must } from './shell.ts';

/** A directory that goes with its block: `await using dir = tempDir();`, or `await dir.remove()` in afterAll. */
export interface TempDir extends AsyncDisposable {
  readonly path: string;
  /** The path of a name inside. */
  at(...names: string[]): string;
  /** Unmounts what is mounted inside, then removes all of it. Again is no error. */
  remove(): Promise<void>;
}

/** A new directory under $TMPDIR, or under `parent`. */
export function tempDir(parent = tmpdir()): TempDir {
  const path = realpathSync(mkdtempSync(join(parent, 'graft-test-')));
  const remove = async () => {
    await unmountBelow(path);
    rmSync(path, { recursive: true, force: true });
  };
  return { path, at: (...names) => join(path, ...names), remove, [Symbol.asyncDispose]: remove };
}

/** Unmounts everything at or below `path`, the latest mount first. */
export async function unmountBelow(path: string): Promise<void> {
  for (const point of mountPointsBelow(path).reverse()) await must('umount', [point]);
}

/** Mount points at or below `path`, in the order in which they were mounted. */
export function mountPointsBelow(path: string): string[] {
  return mountPoints().filter((point) => point === path || point.startsWith(`${path}/`));
}

/** proc_pid_mountinfo(5): the fifth field is the mount point; blanks and the like are octal escapes. */
function mountPoints(): string[] {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter(Boolean);
  return lines.map((line) =>
    (line.split(' ')[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    ),
  );
}

/** A TCP port on 127.0.0.1 that was free a moment ago, for servers that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  const server = createServer();
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  server.once('error', reject);
  server.listen(0, '127.0.0.1', () => {
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    server.close(() => resolve(port));
  });
  return promise;
}
