/** A store that cannot be written, whose file is gone, whose directories are gone: told, with what to do. */
import { expect, test } from 'bun:test';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { graft, graftMust } from '../support/graft.ts';
import { must } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const MINUTE = 60_000;
const BYTES = String(320 * 1024 * 1024);

async function verdict(store: string, name: string): Promise<{ verdict?: string; detail?: string }> {
  const { stdout } = await graft(['--store', store, 'doctor', '--json']);
  const all = JSON.parse(stdout) as { name: string; verdict: string; detail: string }[];
  return all.find((one) => one.name === name) ?? {};
}

async function kinds(store: string): Promise<string[]> {
  const { stdout } = await graft(['--store', store, 'check', '--json']);
  return (JSON.parse(stdout) as { kind: string }[]).map(({ kind }) => kind);
}

async function tarIn(dir: TempDir): Promise<string> {
  mkdirSync(dir.at('tree'));
  writeFileSync(dir.at('tree/file'), 'hello');
  await must('tar', ['-C', dir.at('tree'), '-cf', dir.at('image.tar'), '.']);
  return dir.at('image.tar');
}

test(
  'read-only, without its file, on a full disk: doctor and check see each',
  async () => {
    await using dir = tempDir();
    const small = dir.at('small');
    mkdirSync(small);
    await must('mount', ['-t', 'tmpfs', '-o', 'size=160m', 'none', small]);
    const store = `${small}/store`;
    await graftMust(['--store', store, 'init-store', '--store-size-bytes', BYTES]);
    expect([(await verdict(store, 'store')).verdict, await kinds(store)]).toEqual(['ok', []]);
    await must('mount', ['-o', 'remount,ro', store]);
    expect(await verdict(store, 'store')).toMatchObject({
      verdict: 'problem',
      detail: `${store} is read-only: nothing can be created or deleted`,
    });
    expect(await kinds(store)).toEqual(['store-read-only']);
    await must('mount', ['-o', 'remount,rw', store]);
    await must('sh', ['-c', `! head -c 200M /dev/zero 2>&1 > ${small}/fill`]);
    expect((await verdict(store, 'backing')).verdict).toBe('problem');
    expect(await kinds(store)).toEqual(['backing-full']);
    rmSync(`${small}/fill`);
    rmSync(`${store}.backing-store`);
    expect(await verdict(store, 'backing')).toMatchObject({
      verdict: 'problem',
      detail: expect.stringContaining('was deleted'),
    });
    expect(await kinds(store)).toEqual(['backing-deleted']);
  },
  MINUTE,
);

test(
  'a directory that is gone is named by every verb that wants it, and init-store makes it again',
  async () => {
    await using dir = tempDir();
    const [store, tar] = [dir.at('store'), await tarIn(dir)];
    await graftMust(['--store', store, 'init-store']);
    const on = (...args: string[]) => graft(['--store', store, ...args]);
    for (const name of ['images', 'tmp', 'l', 'locks', 'meta/leases', 'meta/images', 'meta/stacks']) {
      rmSync(`${store}/${name}`, { recursive: true });
      const sentence =
        `the store ${store} is not whole: its directory ${store}/${name} is gone; make it again with: ` +
        `graft --store ${store} init-store; containers and layers stay\n`;
      const create = await on('create', tar, 'x');
      expect([name, create.code, create.stdout]).toEqual([name, 1, sentence]);
      const seen = await verdict(store, 'store');
      expect([name, seen.verdict, `${seen.detail}\n`]).toEqual([name, 'problem', sentence]);
      await graftMust(['--store', store, 'init-store']);
    }
    expect((await on('check')).stdout).toBe('Nothing is wrong.\n');
    await graftMust(['--store', store, 'create', tar, 'x']);
    await graftMust(['--store', store, 'delete', 'x']);
  },
  MINUTE,
);

test(
  'parts of a container that are gone: found, and made again where they can be',
  async () => {
    await using dir = tempDir();
    const [store, tar] = [dir.at('store'), await tarIn(dir)];
    await graftMust(['--store', store, 'init-store']);
    await graftMust(['--store', store, 'create', tar, 'x']);
    const stats = await graftMust(['--store', store, 'stats', 'x']);
    const image = `${store}/images/x`;
    await must('umount', [`${image}/rootfs`]);
    writeFileSync(`${image}/image_info`, '');
    rmSync(`${image}/workdir`, { recursive: true });
    expect(await kinds(store)).toEqual(['image-info', 'image-directory']);
    await graftMust(['--store', store, 'check', '--repair']);
    expect(await kinds(store)).toEqual([]);
    expect(await graftMust(['--store', store, 'stats', 'x'])).toBe(stats);
    await graftMust(['--store', store, 'init-store', '--restore-mounts']);
    rmSync(`${image}/diff`, { recursive: true });
    const lost = await graft(['--store', store, 'check', '--repair']);
    expect([lost.code, lost.stdout]).toEqual([1, expect.stringMatching(/^image-directory +images\/x\/diff/)]);
    await graftMust(['--store', store, 'delete', 'x']);
  },
  MINUTE,
);
