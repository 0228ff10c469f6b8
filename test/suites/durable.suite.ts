/** Publishing and writing files, for every kind of filesystem a store may be on. */
import { describe, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import {
  createExclusive,
  publishDirectory,
  publishQuickly,
  replaceFile,
  writeFileDurable,
} from '../../lib/sys/files/durable.ts';
import type { TempDir } from '../support/temp.ts';

const code = (name: string) => expect.objectContaining({ code: name });
const text = (path: string) => readFileSync(path, 'utf8');
const bytes = (value: string) => Buffer.from(value);
const mode = (path: string) => (statSync(path).mode & 0o7777).toString(8);

export function durableSuite(name: string, newDir: () => Promise<TempDir>): void {
  describe.each([publishDirectory, publishQuickly])(`${name}: %p`, (publish) => {
    test('gives a staged directory its name', async () => {
      await using dir = await newDir();
      mkdirSync(dir.at('tmp/staged'), { recursive: true });
      mkdirSync(dir.at('volumes'));
      writeFileSync(dir.at('tmp/staged/file'), 'content');
      expect(publish(dir.at('tmp/staged'), dir.at('volumes/final'))).toBe(true);
      expect(readdirSync(dir.at('tmp'))).toEqual([]);
      expect(text(dir.at('volumes/final/file'))).toBe('content');
    });

    test.each(['a full directory', 'an empty directory', 'a file', 'a dangling link'])(
      'leaves %s under that name alone, and the staged one where it is',
      async (what) => {
        await using dir = await newDir();
        mkdirSync(dir.at('staged'));
        writeFileSync(dir.at('staged/mine'), '');
        if (what === 'a file') writeFileSync(dir.at('final'), 'old');
        else if (what === 'a dangling link') symlinkSync('nowhere', dir.at('final'));
        else mkdirSync(dir.at('final'));
        if (what === 'a full directory') writeFileSync(dir.at('final/old'), '');
        const before = readdirSync(dir.path, { recursive: true }).sort();
        expect(publish(dir.at('staged'), dir.at('final'))).toBe(false);
        expect(readdirSync(dir.path, { recursive: true }).sort()).toEqual(before);
      },
    );

    test('says what is missing', async () => {
      await using dir = await newDir();
      expect(() => publish(dir.at('missing'), dir.at('final'))).toThrow(code('ENOENT'));
      mkdirSync(dir.at('staged'));
      expect(() => publish(dir.at('staged'), dir.at('missing/final'))).toThrow(code('ENOENT'));
      expect(readdirSync(dir.path)).toEqual(['staged']);
    });
  });

  describe.each([writeFileDurable, replaceFile])(`${name}: %p`, (write) => {
    test('makes and replaces files, and leaves nothing beside them', async () => {
      await using dir = await newDir();
      write(dir.at('file'), bytes('one'), 0o600);
      expect(text(dir.at('file'))).toBe('one');
      const reader = readFileSync(dir.at('file'));
      write(dir.at('file'), bytes(''), 0o644);
      expect(text(dir.at('file'))).toBe('');
      expect(reader.toString()).toBe('one');
      expect(readdirSync(dir.path)).toEqual(['file']);
    });

    test('gives exactly the mode that was asked for, whatever the umask', async () => {
      await using dir = await newDir();
      const before = process.umask(0o077);
      try {
        write(dir.at('file'), bytes('x'), 0o664);
      } finally {
        process.umask(before);
      }
      expect(mode(dir.at('file'))).toBe('664');
    });

    test('replaces a link, not what it points to', async () => {
      await using dir = await newDir();
      writeFileSync(dir.at('target'), 'untouched');
      symlinkSync('target', dir.at('file'));
      write(dir.at('file'), bytes('new'), 0o600);
      expect(text(dir.at('file'))).toBe('new');
      expect(text(dir.at('target'))).toBe('untouched');
    });

    test('leaves nothing behind when it fails', async () => {
      await using dir = await newDir();
      mkdirSync(dir.at('directory'));
      expect(() => write(dir.at('directory'), bytes('x'), 0o600)).toThrow(code('EISDIR'));
      expect(() => write(dir.at('missing/file'), bytes('x'), 0o600)).toThrow(code('ENOENT'));
      expect(() => write(dir.at('n'.repeat(256)), bytes('x'), 0o600)).toThrow(code('ENAMETOOLONG'));
      expect(readdirSync(dir.path)).toEqual(['directory']);
    });

    test('takes the longest name a filesystem has', async () => {
      await using dir = await newDir();
      write(dir.at('n'.repeat(255)), bytes('x'), 0o600);
      expect(readdirSync(dir.path)).toEqual(['n'.repeat(255)]);
    });
  });

  describe(`${name}: createExclusive`, () => {
    test('makes a file once; the second time it is somebody else’s', async () => {
      await using dir = await newDir();
      expect(createExclusive(dir.at('file'), bytes('one'), 0o640)).toBe(true);
      expect(createExclusive(dir.at('file'), bytes('two'), 0o600)).toBe(false);
      expect(text(dir.at('file'))).toBe('one');
      expect(mode(dir.at('file'))).toBe('640');
      expect(statSync(dir.at('file')).nlink).toBe(1);
      expect(readdirSync(dir.path)).toEqual(['file']);
    });

    test('gives exactly the mode that was asked for, whatever the umask', async () => {
      await using dir = await newDir();
      const before = process.umask(0o077);
      try {
        createExclusive(dir.at('file'), bytes('x'), 0o664);
      } finally {
        process.umask(before);
      }
      expect(mode(dir.at('file'))).toBe('664');
    });

    test('a link under that name, dangling or not, is a name that is taken', async () => {
      await using dir = await newDir();
      symlinkSync('target', dir.at('file'));
      expect(createExclusive(dir.at('file'), bytes('x'), 0o600)).toBe(false);
      writeFileSync(dir.at('target'), 'untouched');
      expect(createExclusive(dir.at('file'), bytes('x'), 0o600)).toBe(false);
      expect(text(dir.at('target'))).toBe('untouched');
      expect(readdirSync(dir.path).sort()).toEqual(['file', 'target']);
    });

    test('leaves nothing behind when it fails', async () => {
      await using dir = await newDir();
      expect(() => createExclusive(dir.at('n'.repeat(256)), bytes('x'), 0o600)).toThrow(code('ENAMETOOLONG'));
      expect(() => createExclusive(dir.at('missing/file'), bytes('x'), 0o600)).toThrow(code('ENOENT'));
      expect(readdirSync(dir.path)).toEqual([]);
    });

    test('writes more than one page', async () => {
      await using dir = await newDir();
      const much = Buffer.alloc(400_000, 'ab');
      expect(createExclusive(dir.at('file'), much, 0o600)).toBe(true);
      expect(readFileSync(dir.at('file')).equals(much)).toBe(true);
      rmSync(dir.at('file'));
    });
  });
}
