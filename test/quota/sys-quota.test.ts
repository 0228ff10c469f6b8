/** lib/sys/mounts/quota.ts at its edges; what a limit does to writers is in project-quota.test.ts. */
import { describe, expect, test } from 'bun:test';
import { linkSync, mkdirSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { close, openAt, openDir } from '../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../lib/sys/kernel/libc.ts';
import { attachLoop } from '../../lib/sys/mounts/loop.ts';
import { mount, unmount } from '../../lib/sys/mounts/mount.ts';
import { mountOf } from '../../lib/sys/mounts/mountinfo.ts';
import { mountOverlay } from '../../lib/sys/mounts/overlay.ts';
import {
  clearProjectLimit,
  getProjectId,
  getProjectUsage,
  listProjects,
  quotactlByNode,
  quotaSupport,
  setProjectId,
  setProjectLimit,
} from '../../lib/sys/mounts/quota.ts';
import { durableSuite } from '../suites/durable.suite.ts';
import { must, runPrivately } from '../support/shell.ts';
import { quotaDir } from '../support/stores/quota.ts';

const MiB = 1024 * 1024;
const Q_XGETQUOTA = (0x5803 << 8) | 2;
let nextId = 8000;

const code = (name: string) => expect.objectContaining({ code: name });

function withDir<T>(path: string, use: (fd: number) => T): T {
  const fd = openDir(path);
  try {
    return use(fd);
  } finally {
    close(fd);
  }
}

describe('setProjectLimit', () => {
  test.each([
    [1, 4096],
    [4095, 4096],
    [4096, 4096],
    [4097, 8192],
    [262_144, 262_144],
    [7_334_969, 7_335_936],
    [2 ** 40 + 1, 2 ** 40 + 4096],
  ])('%i bytes become %i: whole blocks, never fewer than asked', async (asked, held) => {
    await using dir = quotaDir();
    nextId += 1;
    expect(setProjectLimit(dir, nextId, asked).limitBytes).toBe(held);
    expect(getProjectUsage(dir, nextId)?.limitBytes).toBe(held);
    clearProjectLimit(dir, nextId);
    expect(getProjectUsage(dir, nextId)?.limitBytes ?? 0).toBe(0);
  });

  test('limits inodes too, and leaves them as they are when not asked', async () => {
    await using dir = quotaDir();
    nextId += 1;
    mkdirSync(dir.at('d'));
    withDir(dir.at('d'), (fd) => setProjectId(fd, nextId));
    setProjectLimit(dir, nextId, { bytes: MiB, inodes: 3 });
    writeFileSync(dir.at('d/1'), '');
    writeFileSync(dir.at('d/2'), '');
    expect(() => writeFileSync(dir.at('d/3'), '')).toThrow(code('ENOSPC'));
    expect(getProjectUsage(dir, nextId)).toMatchObject({ inodes: 3, inodeLimit: 3, limitBytes: MiB });
    expect(setProjectLimit(dir, nextId, 2 * MiB)).toMatchObject({ inodeLimit: 3, limitBytes: 2 * MiB });
    clearProjectLimit(dir, nextId);
    writeFileSync(dir.at('d/3'), '');
    expect(getProjectUsage(dir, nextId)).toMatchObject({ inodes: 4, inodeLimit: 0, limitBytes: 0 });
  });

  test('may be set below what is used already: nothing more fits, nothing is lost', async () => {
    await using dir = quotaDir();
    nextId += 1;
    mkdirSync(dir.at('d'));
    withDir(dir.at('d'), (fd) => setProjectId(fd, nextId));
    writeFileSync(dir.at('d/file'), Buffer.alloc(2 * MiB));
    setProjectLimit(dir, nextId, MiB);
    expect(getProjectUsage(dir, nextId)).toMatchObject({ usedBytes: 2 * MiB, limitBytes: MiB });
    expect(() => writeFileSync(dir.at('d/more'), Buffer.alloc(MiB))).toThrow(code('ENOSPC'));
    expect(statSync(dir.at('d/file')).size).toBe(2 * MiB);
  });
});

describe('project ids', () => {
  test('are inherited by what is made inside, directories and their content', async () => {
    await using dir = quotaDir();
    nextId += 1;
    mkdirSync(dir.at('d'));
    withDir(dir.at('d'), (fd) => setProjectId(fd, nextId));
    mkdirSync(dir.at('d/a/b/c'), { recursive: true });
    expect(withDir(dir.at('d/a/b/c'), getProjectId)).toBe(nextId);
    expect(withDir(dir.path, getProjectId)).toBe(0);
    expect(getProjectUsage(dir, nextId)?.inodes).toBe(4);
  });

  test('keep files of others out: no rename, no hard link across', async () => {
    await using dir = quotaDir();
    nextId += 1;
    mkdirSync(dir.at('d'));
    withDir(dir.at('d'), (fd) => setProjectId(fd, nextId));
    writeFileSync(dir.at('file'), '');
    expect(() => linkSync(dir.at('file'), dir.at('d/file'))).toThrow(code('EXDEV'));
    renameSync(dir.at('d'), dir.at('renamed'));
    expect(withDir(dir.at('renamed'), getProjectId)).toBe(nextId);
  });

  test('need a descriptor that is really open', async () => {
    await using dir = quotaDir();
    const fd = openAt(AT_FDCWD, dir.path, O.PATH);
    expect(() => setProjectId(fd, 5)).toThrow(code('EBADF'));
    expect(() => getProjectId(fd)).toThrow(code('EBADF'));
    close(fd);
  });
});

describe('listProjects', () => {
  test('finds every project, in order', async () => {
    await using dir = quotaDir();
    const ids = [nextId + 2, nextId + 50, 2 ** 31 + 7, 0xfffffffe];
    nextId += 100;
    for (const id of ids) setProjectLimit(dir, id, MiB);
    const listed = [...listProjects(dir)].map(({ id }) => id);
    expect(listed).toEqual(expect.arrayContaining([0, ...ids]));
    expect(listed).toEqual([...listed].sort((a, b) => a - b));
    for (const id of ids) clearProjectLimit(dir, id);
  });
});

describe('the device of a filesystem', () => {
  /** An XFS with project quotas on a loop device of its own. */
  async function loopXfs(path: string, options: string): Promise<{ at: string; device: string }> {
    await must('truncate', ['-s', '400M', `${path}/disk`]);
    await must('mkfs.xfs', ['-q', `${path}/disk`]);
    mkdirSync(`${path}/m`);
    using loop = attachLoop(`${path}/disk`, { directIo: false });
    mount(loop.device, `${path}/m`, 'xfs', 0, options);
    return { at: `${path}/m`, device: loop.device };
  }

  test('is found by descriptor and by node, with one answer', async () => {
    await using dir = quotaDir();
    const { at } = await loopXfs(dir.path, 'prjquota');
    expect(quotaSupport(at)).toEqual({ supported: true, device: { path: at } });
    setProjectLimit({ path: at }, 9, MiB);
    const bytes = new Uint8Array(112);
    quotactlByNode({ path: at }, Q_XGETQUOTA, 9, bytes);
    expect(Number(new DataView(bytes.buffer).getBigUint64(8, true)) * 512).toBe(MiB);
    unmount(at);
  });

  test('works where /dev does not show it, and leaves no node there', async () => {
    await using dir = quotaDir();
    const { at, device } = await loopXfs(dir.path, 'prjquota');
    setProjectLimit({ path: at }, 9, MiB);
    const lib = new URL('../../lib/sys/', import.meta.url).pathname;
    const script = `
      import { readdirSync, writeSync } from 'node:fs';
      import { mount } from '${lib}mounts/mount.ts';
      import { getProjectUsage, quotactlByNode } from '${lib}mounts/quota.ts';
      mount('none', '/dev', 'tmpfs');
      const device = { path: '${at}' };
      const bytes = new Uint8Array(112);
      quotactlByNode(device, ${Q_XGETQUOTA}, 9, bytes);
      const byNode = Number(new DataView(bytes.buffer).getBigUint64(8, true)) * 512;
      writeSync(1, JSON.stringify([getProjectUsage(device, 9)?.limitBytes, byNode, readdirSync('/dev')]));`;
    writeFileSync(dir.at('script.ts'), script);
    expect(mountOf(at)?.source).toBe(device);
    expect(await runPrivately(process.execPath, [dir.at('script.ts')])).toMatchObject({
      code: 0,
      stdout: JSON.stringify([MiB, MiB, []]),
    });
    unmount(at);
  });

  test.each([
    ['', 'it is not mounted with the option prjquota'],
    ['uquota', 'it is not mounted with the option prjquota'],
    ['pqnoenforce', 'it is mounted with pqnoenforce: usage is counted, limits are not enforced'],
  ])('XFS mounted with "%s" has none: %s', async (options, reason) => {
    await using dir = quotaDir();
    const { at } = await loopXfs(dir.path, options);
    expect(quotaSupport(at)).toEqual({ supported: false, reason, lacking: 'filesystem' });
    if (options !== 'pqnoenforce') expect(() => setProjectLimit({ path: at }, 9, MiB)).toThrow();
    unmount(at);
  });
});

durableSuite('XFS with project quotas', async () => quotaDir());
durableSuite('an overlay on it', async () => {
  const dir = quotaDir();
  for (const name of ['l', 'u', 'w', 't']) mkdirSync(dir.at(name));
  mountOverlay({ lowers: [dir.at('l')], upper: dir.at('u'), work: dir.at('w'), target: dir.at('t') });
  return { ...dir, path: dir.at('t'), at: (...names: string[]) => dir.at('t', ...names) };
});
