/** Removal of a tree that other processes rearrange at the same time. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { removeUsedTree } from '../../../../lib/sys/files/remove-used-tree.ts';
import { close, openDir } from '../../../../lib/sys/kernel/files.ts';
import { cleanEnv } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
let fd: number;
beforeEach(() => {
  dir = tempDir();
  fd = openDir(dir.path);
});
afterEach(async () => {
  close(fd);
  await dir.remove();
});

/** Loops until the tree is gone: the working directory is the tree itself. */
const WRITERS = {
  files: 'i=0; while : > f$((i = (i + 1) % 50)); do :; done',
  types:
    'while :; do rm -rf a; mkdir -p a/b/c || exit 0; : > a/b/f; mv a/b a/d; rm -rf a; : > a || exit 0; done',
  links: 'while :; do rm -rf l; mkdir -p l/in || exit 0; rm -rf l; ln -s "$1" l || exit 0; done',
};

test.each(Object.entries(WRITERS))('a tree in which %s change all the time is removed', async (_, script) => {
  mkdirSync(dir.at('tree/a/b/c'), { recursive: true });
  mkdirSync(dir.at('outside'));
  writeFileSync(dir.at('outside/kept'), '');
  const writer = Bun.spawn(['/bin/sh', '-c', `: > ../ready; ${script}`, 'sh', dir.at('outside')], {
    cwd: dir.at('tree'),
    env: cleanEnv(),
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  try {
    while (!existsSync(dir.at('ready'))) await Bun.sleep(1);
    rmSync(dir.at('ready'));
    removeUsedTree(fd, 'tree');
    expect(readdirSync(dir.path)).toEqual(['outside']);
    expect(readdirSync(dir.at('outside'))).toEqual(['kept']);
  } finally {
    writer.kill('SIGKILL');
    await writer.exited;
  }
});
