import { describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { publishDirectory, replaceFile, writeFileDurable } from '../../../../lib/sys/files/durable.ts';
import { isTemporaryName, temporaryPath } from '../../../../lib/sys/files/temporary.ts';
import { mount } from '../../../../lib/sys/mounts/mount.ts';
import { durableSuite } from '../../../suites/durable.suite.ts';
import { must } from '../../../support/shell.ts';
import { mountXfs } from '../../../support/stores/store.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';
import { actor } from '../exclusive/actors/spawn.ts';

durableSuite('here', async () => tempDir());
durableSuite('tmpfs', async () => {
  const dir = tempDir();
  mount('none', dir.path, 'tmpfs');
  return dir;
});

describe('on a disk that fills up', () => {
  test('ENOSPC leaves the old file and nothing else', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'tmpfs', 0, 'size=64k');
    for (const write of [writeFileDurable, replaceFile]) {
      write(dir.at('m/file'), Buffer.from('old'), 0o600);
      expect(() => write(dir.at('m/file'), Buffer.alloc(100_000), 0o600)).toThrow(
        expect.objectContaining({ code: 'ENOSPC' }),
      );
      expect(readFileSync(dir.at('m/file'), 'utf8')).toBe('old');
      expect(readdirSync(dir.at('m'))).toEqual(['file']);
    }
  });

  test('a directory of another filesystem cannot be published here', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'tmpfs');
    mkdirSync(dir.at('staged'));
    expect(() => publishDirectory(dir.at('staged'), dir.at('m/final'))).toThrow(
      expect.objectContaining({ code: 'EXDEV' }),
    );
    expect(readdirSync(dir.at('m'))).toEqual([]);
  });
});

describe('replaceFile', () => {
  test('shows every reader one whole version', async () => {
    await using dir = tempDir();
    writeFileSync(dir.at('file'), Buffer.alloc(50_000, 'A'));
    await using writer = actor('replace', dir.at('file'), '3000');
    const seen = new Set<string>();
    for (let done = false; !done; done = writer.lines().includes('done')) {
      for (let i = 0; i < 200; i += 1) {
        const content = readFileSync(dir.at('file'));
        expect(content.every((byte) => byte === content[0])).toBe(true);
        expect(content.length).toBeGreaterThanOrEqual(50_000);
        seen.add(String(content[0]));
      }
      await Bun.sleep(0);
    }
    expect(seen.size).toBeGreaterThan(3);
  });
});

/** The system calls that matter here, in order, of a script that uses lib/sys/files/durable.ts. */
async function callsOf(dir: TempDir, script: string): Promise<string[]> {
  const file = dir.at('script.ts');
  const durable = join(import.meta.dir, '../../../../lib/sys/files/durable.ts');
  writeFileSync(file, `import * as durable from ${JSON.stringify(durable)};\n${script}\n`);
  const trace = 'trace=syncfs,fsync,fdatasync,rename,renameat,renameat2,write,linkat';
  await must('strace', [
    '-f',
    '-y',
    '-e',
    trace,
    '-e',
    'signal=none',
    '-o',
    dir.at('trace'),
    process.execPath,
    file,
  ]);
  return readFileSync(dir.at('trace'), 'utf8')
    .split('\n')
    .filter((line) => line.includes(dir.path) && !line.includes('ENOENT'))
    .map((line) => /^\d+ +(\w+)\(/.exec(line)?.[1] ?? line);
}

describe('the order of the calls, which decides what a power cut leaves', () => {
  test('publishDirectory: content, then name, then the directory of the name', async () => {
    await using dir = tempDir();
    const xfs = await mountXfs(dir.path);
    mkdirSync(`${xfs}/staged`);
    const calls = await callsOf(dir, `durable.publishDirectory('${xfs}/staged', '${xfs}/final');`);
    expect(calls).toEqual(['syncfs', 'renameat2', 'fsync']);
    expect(readdirSync(xfs)).toEqual(['final']);
  });

  test('publishDirectory does not sync for a name that is taken', async () => {
    await using dir = tempDir();
    for (const name of ['staged', 'final']) mkdirSync(dir.at(name));
    expect(
      await callsOf(dir, `durable.publishDirectory('${dir.at('staged')}', '${dir.at('final')}');`),
    ).toEqual([]);
  });

  test('writeFileDurable: content, then name, then the directory of the name', async () => {
    await using dir = tempDir();
    const calls = await callsOf(dir, `durable.writeFileDurable('${dir.at('f')}', new Uint8Array(3), 0o600);`);
    expect(calls).toEqual(['write', 'fsync', 'renameat2', 'fsync']);
  });

  test('replaceFile and createExclusive wait for no disk', async () => {
    await using dir = tempDir();
    const replaced = await callsOf(dir, `durable.replaceFile('${dir.at('f')}', new Uint8Array(3), 0o600);`);
    expect(replaced).toEqual(['write', 'renameat2']);
    const created = await callsOf(
      dir,
      `durable.createExclusive('${dir.at('g')}', new Uint8Array(3), 0o600);`,
    );
    expect(created).toEqual(['write', 'linkat']);
  });
});

describe('temporary names', () => {
  test('are known as such, and no other name is', () => {
    for (let i = 0; i < 1000; i += 1) expect(isTemporaryName(temporaryPath('/d').slice(3))).toBe(true);
    expect(new Set(Array.from({ length: 1000 }, () => temporaryPath('/d'))).size).toBe(1000);
    for (const name of [
      '.graft-tmp-',
      '.graft-tmp-A',
      'x.graft-tmp-1',
      '.graft-tmp-1\n',
      '.graft-tmp-1/x',
      '',
    ]) {
      expect(isTemporaryName(name)).toBe(false);
    }
  });
});
