import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { openBeneath, resolveBeneath } from '../../../lib/cvmfs/beneath.ts';
import { isDirectoryAt, openIfThere, readBeneath } from '../../../lib/cvmfs/read-beneath.ts';
import { close, mkdirAt, openDir } from '../../../lib/sys/kernel/files.ts';
import { O } from '../../../lib/sys/kernel/libc.ts';
import { must, sh } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const RULES = { roots: ['/cvmfs/a.example', '/mnt/a'], variables: { CVMFS_ARCH: 'x86_64' } };

describe('inside a repository', () => {
  let dir: TempDir;
  let root: number;

  beforeAll(async () => {
    dir = tempDir();
    mkdirSync(dir.at('outside'));
    writeFileSync(dir.at('outside/secret'), 'secret');
    mkdirSync(dir.at('root/real/deep'), { recursive: true });
    mkdirSync(dir.at('root/arch/x86_64'), { recursive: true });
    mkdirSync(dir.at('root/mounted'));
    writeFileSync(dir.at('root/real/file'), 'content');
    await must('mount', ['-t', 'tmpfs', 'tmpfs', dir.at('root/mounted')]);
    writeFileSync(dir.at('root/mounted/x'), 'x');
    const links: Record<string, string> = {
      relative: 'real/deep',
      back: 'real/../real/./deep//',
      chain: 'relative',
      absolute: '/cvmfs/a.example/real',
      mapped: '/mnt/a/real/deep',
      'absolute-root': '/cvmfs/a.example',
      variant: 'arch/$(CVMFS_ARCH)',
      otherwise: 'arch/$(OTHER:-x86_64)',
      unset: 'arch/$(OTHER)',
      prototype: 'arch/$(constructor:-x86_64)',
      out: '../outside',
      'out-absolute': '/etc',
      'out-similar': '/cvmfs/a.example.evil/real',
      'out-deep': 'real/../../outside/secret',
      loop: 'loop',
      dangling: 'nothing',
    };
    for (const [name, target] of Object.entries(links)) symlinkSync(target, dir.at('root', name));
    root = openDir(dir.at('root'));
  });
  afterAll(async () => {
    close(root);
    await dir.remove();
  });

  const found: readonly (readonly [path: string, leadsTo: string | undefined])[] = [
    ['real/deep', 'real/deep'],
    ['', ''],
    ['relative', 'real/deep'],
    ['back', 'real/deep'],
    ['chain', 'real/deep'],
    ['chain/../file', 'real/file'],
    ['absolute/deep', 'real/deep'],
    ['mapped', 'real/deep'],
    ['absolute-root/real', 'real'],
    ['variant', 'arch/x86_64'],
    ['otherwise', 'arch/x86_64'],
    ['prototype', 'arch/x86_64'],
    ['unset', 'arch'],
    ['dangling', undefined],
    ['nothing/at/all', undefined],
    ['real/file/below', undefined],
  ];
  for (const [path, leadsTo] of found) {
    test(`${JSON.stringify(path)} leads to ${leadsTo}`, () => {
      expect(resolveBeneath(root, path, RULES)).toBe(leadsTo);
    });
  }

  const refused: readonly (readonly [path: string, code: string])[] = [
    ['..', 'EXDEV'],
    ['real/../../outside', 'EXDEV'],
    ['out', 'EXDEV'],
    ['out-absolute/passwd', 'EXDEV'],
    ['out-similar', 'EXDEV'],
    ['out-deep', 'EXDEV'],
    ['loop', 'ELOOP'],
    ['mounted/x', 'EXDEV'],
  ];
  for (const [path, code] of refused) {
    test(`${path} is refused`, () => {
      expect(() => resolveBeneath(root, path, RULES)).toThrow(expect.objectContaining({ code }));
    });
  }

  test('opening follows no link and crosses no mount', () => {
    expect(() => openBeneath(root, Buffer.from('relative'), O.RDONLY)).toThrow(
      expect.objectContaining({ code: 'ELOOP' }),
    );
    expect(() => openBeneath(root, Buffer.from('relative/x'), O.PATH)).toThrow(
      expect.objectContaining({ code: 'ELOOP' }),
    );
    expect(() => openBeneath(root, Buffer.from('mounted/x'), O.RDONLY)).toThrow(
      expect.objectContaining({ code: 'EXDEV' }),
    );
    expect(openIfThere(root, 'nothing', O.RDONLY)).toBeUndefined();
  });

  test('reading takes small files and nothing else', async () => {
    await sh('mkfifo "$1"', [dir.at('root/fifo')]);
    expect(readBeneath(root, 'real/file', 7)?.toString()).toBe('content');
    expect(() => readBeneath(root, 'real/file', 6)).toThrow(expect.objectContaining({ code: 'EFBIG' }));
    expect(readBeneath(root, 'nothing', 6)).toBeUndefined();
    expect(readBeneath(root, 'fifo', 6)?.length).toBe(0);
    expect(() => readBeneath(root, 'real', 1_000_000)).toThrow(expect.objectContaining({ code: 'EISDIR' }));
    expect([isDirectoryAt(root, 'real'), isDirectoryAt(root, 'relative'), isDirectoryAt(root, 'no')]).toEqual(
      [true, false, false],
    );
  });

  test('a path longer than the kernel takes is opened in pieces', () => {
    const name = 'n'.repeat(250);
    let at = openDir(dir.at('root'));
    for (let level = 0; level < 30; level += 1) {
      mkdirAt(at, name, 0o755);
      const next = openDir(name, at);
      close(at);
      at = next;
    }
    close(at);
    const path = Buffer.from(Array.from({ length: 30 }, () => name).join('/'));
    expect(path.length).toBeGreaterThan(4096);
    const fd = openBeneath(root, path, O.RDONLY | O.DIRECTORY);
    close(fd);
    expect(() => openBeneath(root, Buffer.from('x'.repeat(5000)), O.RDONLY)).toThrow(
      expect.objectContaining({ code: 'ENAMETOOLONG' }),
    );
  });
});
