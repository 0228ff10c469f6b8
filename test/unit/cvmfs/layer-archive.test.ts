/** A published layer read as an archive by a child: what is in it, and what a child is that does not end as it should. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, symlinkSync } from 'node:fs';
import { type ArchiveBroken, readArchive, writeArchive } from '../../../lib/cvmfs/layer-archive.ts';
import { codeOf, listTree, requestIn, unpack } from '../../support/images/unpack.ts';
import { sh } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const REQUEST = { repository: '/', tree: '', xattrs: false, omit: [] };
let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(async () => {
  await dir.remove();
});

async function archived(tree: string, omit: readonly string[] = []): Promise<Buffer> {
  const parts: Buffer[] = [];
  const request = { ...REQUEST, repository: dir.path, tree, omit };
  await writeArchive(request, (bytes) => parts.push(Buffer.from(bytes)));
  return Buffer.concat(parts);
}

describe('the archive', () => {
  test('has the layer with its markers, and neither catalogs nor entries of what publishing made up', async () => {
    await sh(
      `mkdir -p "$1/l/a/b" "$1/l/etc"; touch "$1/l/.cvmfscatalog" "$1/l/a/.cvmfscatalog" "$1/l/etc/.wh.gone" "$1/l/a/b/f"
       chmod 0700 "$1/l/a" "$1/l/a/b"`,
      [dir.path],
    );
    const request = requestIn(dir.at('unpacked'), { publication: { attributes: 'set' } });
    const result = await unpack(request, await archived('l', ['', 'a']));
    expect(result.explicitRoot).toBe(false);
    expect(result.impliedDirs).toEqual(['a'] as never);
    expect(result.whiteoutDirs).toEqual(['etc'] as never);
    const tree = listTree(request.target);
    expect(Object.keys(tree)).toEqual(['/', 'a', 'a/b', 'a/b/f', 'etc', 'etc/gone']);
    expect([tree['a'], tree['a/b']]).toEqual(['d 755 0:0', 'd 700 0:0']);
  });

  test('is never of a tree outside of the repository', async () => {
    mkdirSync(dir.at('r'));
    symlinkSync('/etc', dir.at('r', 'out'));
    const request = { ...REQUEST, repository: dir.at('r') };
    const codes = ['out', '../', 'out/..'].map((tree) =>
      codeOf(writeArchive({ ...request, tree }, () => {})),
    );
    expect(await Promise.all(codes)).toEqual(['ELOOP', 'EXDEV', 'ELOOP']);
  });
});

describe('a child', () => {
  async function broken(script: string, stallMs: number): Promise<string> {
    try {
      for await (const _ of readArchive(['/bin/sh', '-c', script], REQUEST, stallMs));
    } catch (error) {
      return (error as ArchiveBroken).how;
    }
    return 'whole';
  }

  test('that ends before the end of the archive is told from one that has written all of it', async () => {
    expect(await broken('cat > /dev/null; printf x', 60_000)).toBe('whole');
    expect(await broken('cat > /dev/null; printf x; exit 1', 60_000)).toBe('died');
    expect(await broken('cat > /dev/null; printf x; kill -9 $$', 60_000)).toBe('died');
  });

  test('that writes nothing more is not waited for, whether it ends or not', async () => {
    expect(await broken('printf x; exec sleep 1000', 200)).toBe('hang');
    expect(await broken('exec 1>&-; exec sleep 1000', 200)).toBe('hang');
  });
});
