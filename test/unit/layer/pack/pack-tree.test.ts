/** Trees packed as archives: read again by graft, GNU tar, bsdtar and tar-stream; the same bytes each time. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { appendFileSync, mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { extract } from 'tar-stream';
import type { ByteName } from '../../../../lib/base/bytes.ts';
import { type PackOptions, packTree } from '../../../../lib/layer/pack/pack-tree.ts';
import { close, lsetxattr, mkdirAt, mknodAt, openAt, openDir } from '../../../../lib/sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../../../lib/sys/kernel/libc.ts';
import { compareTrees } from '../../../support/images/compare-trees.ts';
import { codeOf, requestIn, unpack } from '../../../support/images/unpack.ts';
import { must, sh } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
  mkdirSync(dir.at('tree'));
});
afterEach(async () => {
  await dir.remove();
});

async function packed(changes: Partial<PackOptions> = {}): Promise<Buffer> {
  const parts: Buffer[] = [];
  const options: PackOptions = {
    write: (bytes) => parts.push(Buffer.from(bytes)),
    signal: new AbortController().signal,
    xattrs: true,
    omit: new Set(),
    modes: new Map(),
    ignored: undefined,
    ...changes,
  };
  const { bytes } = await packTree(dir.at('tree'), options);
  const archive = Buffer.concat(parts);
  expect(archive.length).toBe(bytes);
  return archive;
}

async function names(archive: Uint8Array): Promise<string[]> {
  writeFileSync(dir.at('archive.tar'), archive);
  const listed = await must('tar', ['-tf', dir.at('archive.tar'), '--quoting-style=escape']);
  return listed.split('\n').filter(Boolean);
}

/** All that a member can have, and what only PAX can say. */
async function rich(): Promise<void> {
  const at = dir.at('tree');
  await sh(
    `cd "$1"; mkdir -p b/deep a z; mkfifo a/pipe; ln -s ../nowhere/$(printf 'l%.0s' $(seq 150)) a/long-link
     printf content > b/file; ln b/file a/second; ln b/file z/third; printf '' > empty; head -c 700000 /dev/zero > b/large
     printf x > "$(printf 'n\\377\\376')"; mkdir -p $(printf 'd%.0s' $(seq 90))/$(printf 'e%.0s' $(seq 120))/f
     chown 3000000:2999999 b/file; chmod 6755 b/large; chmod 1777 z; chmod 0 empty
     touch -hd '1969-12-31 23:59:58.25 UTC' a/long-link; touch -d '@1600000000.123456789' b/file
     ln b/large "a/hard-$(printf 'h%.0s' $(seq 140))"`,
    [at],
  );
  lsetxattr(`${at}/b/file`, 'user.bytes', Uint8Array.of(0xff, 0x80, 0x00, 0x3d, 0x0a));
  const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex');
  lsetxattr(`${at}/b/large`, 'security.capability', capability);
  lsetxattr(`${at}/z`, 'user.dir', Buffer.from('x'));
  utimesSync(at, 1_500_000_000, 1_500_000_000);
}

describe('an archive', () => {
  test('is read by graft as the tree that was packed, with all that a layer can have', async () => {
    await rich();
    const request = requestIn(dir.at('again'));
    await unpack(request, await packed());
    expect(compareTrees(dir.at('tree'), request.target)).toEqual([]);
  });

  test.each([
    ['GNU tar', 'tar --numeric-owner --xattrs --xattrs-include="*" -xpf "$1"'],
    ['bsdtar', 'bsdtar --numeric-owner -xpf "$1"'],
  ])('is read by %s as the same tree', async (name, command) => {
    await rich();
    writeFileSync(dir.at('archive.tar'), await packed());
    mkdirSync(dir.at('again'));
    await sh(`cd "$2"; ${command}`, [dir.at('archive.tar'), dir.at('again')]);
    // bsdtar itself does not set the time of `.`, and reads a fraction before 1970 the wrong way round.
    const other = compareTrees(dir.at('tree'), dir.at('again')).filter(
      (line) => !(name === 'bsdtar' && /^\/(a\/long-link)?: mtime: /.test(line)),
    );
    expect(other).toEqual([]);
  });

  test('is read by tar-stream to its end', async () => {
    await rich();
    const found: string[] = [];
    const reader = extract();
    reader.end(await packed());
    for await (const entry of reader) {
      found.push(entry.header.type);
      entry.resume();
    }
    expect(found.filter((type) => type === 'link')).toHaveLength(3);
    expect(found).toContain('fifo');
  });

  test('has parents first, and the names of a directory in the order of their bytes', async () => {
    await sh('cd "$1"; mkdir -p b/x B a; touch b/x/f b/y "a b" a/1 Z', [dir.at('tree')]);
    const listed = await names(await packed());
    expect(listed).toEqual(['./', 'Z', 'a b', 'B/', 'a/', 'a/1', 'b/', 'b/y', 'b/x/', 'b/x/f']);
  });

  test('has the same bytes of the same tree, wherever it lies and in whatever order it was made', async () => {
    await rich();
    const one = await packed();
    writeFileSync(dir.at('a.tar'), one);
    await sh(
      'mv "$1" "$1.old"; mkdir "$1"; cd "$1"; tar --numeric-owner --xattrs --xattrs-include="*" -xpf "$2"',
      [dir.at('tree'), dir.at('a.tar')],
    );
    expect((await packed()).equals(one)).toBe(true);
  });

  test('has no socket and no device, and a whiteout as its marker', async () => {
    await sh('cd "$1"; mkdir d; mknod d/null c 1 3; mknod d/block b 7 0', [dir.at('tree')]);
    using _socket = Bun.listen({ unix: dir.at('tree', 'd', 'socket'), socket: { data() {} } });
    mknodAt(AT_FDCWD, dir.at('tree', 'd', 'gone'), 0o020000);
    expect(await names(await packed())).toEqual(['./', 'd/', 'd/.wh.gone']);
  });

  test('lacks what is omitted, and all that is ignored', async () => {
    await sh('cd "$1"; mkdir -p made/up; touch made/up/f made/.catalog .catalog', [dir.at('tree')]);
    const ignored = '.catalog' as ByteName;
    expect(await names(await packed({ omit: new Set(['', 'made']), ignored }))).toEqual([
      'made/up/',
      'made/up/f',
    ]);
  });
});

describe('packing fails', () => {
  test('with the reason of the signal, and of the writer', async () => {
    writeFileSync(dir.at('tree', 'f'), 'x'.repeat(600_000));
    const stopped = AbortSignal.abort(Object.assign(new Error(), { code: 'STOPPED' }));
    expect(await codeOf(packed({ signal: stopped }))).toBe('STOPPED');
    const full = () => {
      throw Object.assign(new Error(), { code: 'FULL' });
    };
    expect(await codeOf(packed({ write: full }))).toBe('FULL');
  });

  test('where a file grows or shrinks while it is read', async () => {
    const file = dir.at('tree', 'f');
    for (const change of [() => appendFileSync(file, 'more'), () => writeFileSync(file, 'less')]) {
      writeFileSync(file, 'x'.repeat(1_000_000));
      let once = false;
      const write = () => {
        if (!once) change();
        once = true;
      };
      expect(await codeOf(packed({ write }))).toBe('EIO');
    }
  });
});

test('a tree deeper than PATH_MAX is packed', async () => {
  let at = openDir(dir.at('tree'));
  for (let depth = 0; depth < 60; depth += 1) {
    mkdirAt(at, 'd'.repeat(100), 0o755);
    const below = openDir('d'.repeat(100), at);
    close(at);
    at = below;
  }
  close(openAt(at, 'file', O.WRONLY | O.CREAT));
  close(at);
  const request = requestIn(dir.at('again'));
  const { entries } = await unpack(request, await packed());
  expect(entries).toBe(62);
});
