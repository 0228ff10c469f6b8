/** The kernel's own promise, without graft's store: what lib/sys/mounts/quota.ts sets is what stops a writer. */
import { describe, expect, test } from 'bun:test';
import { mkdirSync, openSync, rmSync, statSync, writeSync } from 'node:fs';
import { close, openDir } from '../../lib/sys/kernel/files.ts';
import {
  clearProjectLimit,
  getProjectId,
  getProjectUsage,
  listProjects,
  quotaSupport,
  setProjectId,
  setProjectLimit,
} from '../../lib/sys/mounts/quota.ts';
import { sh } from '../support/shell.ts';
import { quotaDir, usageWhenSettled } from '../support/stores/quota.ts';

const MiB = 1024 * 1024;
const LIMIT = 8 * MiB;

/** Gives a new directory a project id of its own and a limit. */
function limitedDir(path: string, id: number, bytes: number): void {
  mkdirSync(path, { recursive: true });
  const fd = openDir(path);
  try {
    setProjectId(fd, id);
    expect(getProjectId(fd)).toBe(id);
  } finally {
    close(fd);
  }
  setProjectLimit({ path }, id, bytes);
}

/** Writes to a new file until the kernel refuses; returns the error's code and the bytes in the file. */
function fill(path: string): { code: string | undefined; bytes: number } {
  const fd = openSync(path, 'wx');
  const block = Buffer.alloc(64 * 1024, 'x');
  try {
    for (let written = 0; written < 4 * LIMIT; written += block.length) writeSync(fd, block);
  } catch (error) {
    return { code: (error as { code?: string }).code, bytes: statSync(path).size };
  } finally {
    close(fd);
  }
  return { code: undefined, bytes: statSync(path).size };
}

describe('a project quota', () => {
  test('is supported here', async () => {
    await using dir = quotaDir();
    expect(quotaSupport(dir.path)).toEqual({ supported: true, device: { path: dir.path } });
  });

  test('stops a writer at exactly its limit, and in a child directory too', async () => {
    await using dir = quotaDir();
    limitedDir(dir.at('limited'), 7001, LIMIT);
    expect(fill(dir.at('limited/file'))).toEqual({ code: 'ENOSPC', bytes: LIMIT });
    rmSync(dir.at('limited/file'));
    mkdirSync(dir.at('limited/child'));
    expect(fill(dir.at('limited/child/file'))).toEqual({ code: 'ENOSPC', bytes: LIMIT });
    expect(getProjectUsage(dir, 7001)).toMatchObject({ usedBytes: LIMIT, limitBytes: LIMIT });
  });

  test('leaves its neighbour alone, and ends when it is cleared', async () => {
    await using dir = quotaDir();
    limitedDir(dir.at('a'), 7002, LIMIT);
    limitedDir(dir.at('b'), 7003, 2 * LIMIT);
    expect(fill(dir.at('a/file'))).toEqual({ code: 'ENOSPC', bytes: LIMIT });
    expect(fill(dir.at('b/file'))).toEqual({ code: 'ENOSPC', bytes: 2 * LIMIT });
    clearProjectLimit(dir, 7002);
    expect(fill(dir.at('a/more'))).toEqual({ code: undefined, bytes: 4 * LIMIT });
    rmSync(dir.at('a'), { recursive: true });
    expect(await usageWhenSettled(dir.path, 7002)).toBe(0);
    const listed = [...listProjects(dir)].filter(({ id }) => id === 7003);
    expect(listed).toMatchObject([{ id: 7003, usage: { usedBytes: 2 * LIMIT, limitBytes: 2 * LIMIT } }]);
  });

  test('holds through an overlay whose upper directory has it, and df shows the limit', async () => {
    await using dir = quotaDir();
    for (const name of ['lower', 'root']) mkdirSync(dir.at(name));
    limitedDir(dir.at('image'), 7004, LIMIT);
    for (const name of ['image/diff', 'image/work']) mkdirSync(dir.at(name));
    const options = `lowerdir=${dir.at('lower')},upperdir=${dir.at('image/diff')},workdir=${dir.at('image/work')}`;
    await sh('mount -t overlay overlay -o "$1" "$2"', [options, dir.at('root')]);
    expect((await sh('df --output=size -B1 "$1" | tail -n 1', [dir.at('root')])).trim()).toBe(String(LIMIT));
    expect(fill(dir.at('root/file'))).toEqual({ code: 'ENOSPC', bytes: LIMIT });
  });
});
