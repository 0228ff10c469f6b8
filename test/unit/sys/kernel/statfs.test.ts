import { describe, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { close, openDir } from '../../../../lib/sys/kernel/files.ts';
import { filesystemOf } from '../../../../lib/sys/kernel/statfs.ts';
import { mount } from '../../../../lib/sys/mounts/mount.ts';
import { mountOverlay } from '../../../../lib/sys/mounts/overlay.ts';
import { must, sh } from '../../../support/shell.ts';
import { mountXfs } from '../../../support/stores/store.ts';
import { tempDir } from '../../../support/temp.ts';

const MiB = 1024 * 1024;

describe('filesystemOf', () => {
  test('counts bytes and files', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('m'));
    mount('none', dir.at('m'), 'tmpfs', 0, 'size=8m,nr_inodes=100');
    const empty = filesystemOf(dir.at('m'));
    expect(empty).toMatchObject({ type: 'tmpfs', magic: 0x01021994, totalBytes: 8 * MiB, totalFiles: 100 });
    writeFileSync(dir.at('m/file'), Buffer.alloc(MiB));
    const after = filesystemOf(dir.at('m'));
    expect(empty.freeBytes - after.freeBytes).toBe(MiB);
    expect(empty.availableBytes - after.availableBytes).toBe(MiB);
    expect(empty.freeFiles - after.freeFiles).toBe(1);
  });

  test('agrees with stat(1) on a real disk, by path and by descriptor', async () => {
    await using dir = tempDir();
    const at = await mountXfs(dir.path);
    const said = (await must('stat', ['-f', '-c', '%t %S %b %f %a %c %d', at])).trim().split(' ');
    const [magic = '', unit, blocks, free, available, files, freeFiles] = said;
    const expected = {
      type: 'xfs',
      magic: Number.parseInt(magic, 16),
      totalBytes: Number(blocks) * Number(unit),
      freeBytes: Number(free) * Number(unit),
      availableBytes: Number(available) * Number(unit),
      totalFiles: Number(files),
      freeFiles: Number(freeFiles),
    };
    expect(filesystemOf(at)).toEqual(expected);
    const fd = openDir(at);
    expect(filesystemOf(fd)).toEqual(expected);
    close(fd);
  });

  test('names filesystems by what is there, and unknown ones by number', async () => {
    await using dir = tempDir();
    for (const name of ['l', 'u', 'w', 't']) mkdirSync(dir.at('m', name), { recursive: true });
    mount('none', dir.at('m'), 'tmpfs');
    for (const name of ['l', 'u', 'w', 't']) mkdirSync(dir.at('m', name));
    mountOverlay({
      lowers: [dir.at('m/l')],
      upper: dir.at('m/u'),
      work: dir.at('m/w'),
      target: dir.at('m/t'),
    });
    expect(filesystemOf(dir.at('m/t')).type).toBe('overlay');
    expect(filesystemOf('/proc').type).toBe('proc');
    expect(filesystemOf('/sys').type).toBe('0x62656572');
  });

  test('a FUSE filesystem', async () => {
    await using dir = tempDir();
    mkdirSync(dir.at('tree'));
    mkdirSync(dir.at('m'));
    await sh('mksquashfs "$1" "$2" -quiet -no-progress && squashfuse "$2" "$3"', [
      dir.at('tree'),
      dir.at('image'),
      dir.at('m'),
    ]);
    expect(filesystemOf(dir.at('m')).type).toBe('fuse');
  });

  test('does not open what it is asked about', async () => {
    await using dir = tempDir();
    await must('mkfifo', [dir.at('fifo')]);
    // What is free changes with what the other tests do.
    const { type, magic, totalBytes } = filesystemOf(dir.path);
    expect(filesystemOf(dir.at('fifo'))).toMatchObject({ type, magic, totalBytes });
    expect(() => filesystemOf(dir.at('missing'))).toThrow(expect.objectContaining({ code: 'ENOENT' }));
  });
});
