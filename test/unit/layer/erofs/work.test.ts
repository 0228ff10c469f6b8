/** The work and the memory that a layer can ask of the writer of images: bounded for hostile names, small for many. */
import { heapStats } from 'bun:jsc';
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { byteName } from '../../../../lib/base/bytes.ts';
import { LayerWriter } from '../../../../lib/layer/erofs/layer-writer.ts';
import { Budget } from '../../../../lib/layer/tree/budget.ts';
import { type EntrySpec, entry, longName, tar } from '../../../support/images/tar-writer.ts';
import { codeOf, ROOMY, requestIn, unpack } from '../../../support/images/unpack.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

const writing = (archive: Uint8Array) =>
  unpack(requestIn(dir.path, { image: { path: dir.at('image'), isWhole: false } }), archive);

/** An entry of any length of name and link. */
function long(name: string, rest: Partial<EntrySpec> & { readonly link?: string } = {}): Uint8Array[] {
  const { link = '' } = rest;
  return [
    ...(link.length > 100 ? [longName(link, 'K')] : []),
    longName(name),
    entry({ ...rest, name: 'cut', link: link.slice(0, 100) }),
  ];
}

test('a chain of links, each through a thousand names, is paid for by each entry behind it', async () => {
  const way = Array(1000).fill('d').join('/');
  const links = Array.from({ length: 38 }, (_, i) => ({
    name: `l${i}`,
    type: '2',
    link: i === 0 ? 'd' : `l${i - 1}`,
  }));
  const steps = Array(1900).fill('.').join('/');
  const pieces = [
    ...long(`${way}/`, { type: '5' }),
    ...links.flatMap(({ name, type, link }) => long(name, { type, link: `${link}/${steps}` })),
    // Another entry between two, so that no way is the one that was gone last.
    ...Array.from({ length: 20_000 }, (_, i) => [{ name: `l37/f${i}` }, { name: `x${i}` }]).flat(),
  ];
  expect(await codeOf(writing(tar(pieces)))).toBe('LAYER_TOO_LARGE');
}, 60_000);

test('an honest layer pays for no way, however many entries it has', async () => {
  const pieces = Array.from({ length: 4000 }, (_, i) => ({ name: `a/b/c/d/e/f/g/d${i % 400}/f${i}` }));
  expect((await writing(tar(pieces))).looks).toBe(0);
});

test('a million entries would take less than 100 MiB until the end', () => {
  const entries = 100_000;
  const writer = new LayerWriter(dir.at('image'), { uids: [], gids: [] }, new Budget(ROOMY, undefined));
  const common = {
    uid: 0,
    gid: 0,
    mode: 0o755,
    mtime: { sec: 1, nsec: 0 },
    xattrs: [],
    foreignXattrs: 0,
  } as const;
  Bun.gc(true);
  const before = heapStats().heapSize;
  for (let i = 0; i < entries; i += 1) {
    const directory = byteName(Buffer.from(`usr/lib/node_modules/package-${Math.floor(i / 20)}`));
    if (i % 20 === 0) writer.entry({ ...common, kind: 'directory', name: directory });
    else
      writer.entry({
        ...common,
        kind: 'file',
        name: byteName(Buffer.from(`${directory}/a-name-of-20-bytes-${i}`)),
        size: 0,
      });
    if (i % 20 !== 0) writer.endOfContent();
  }
  Bun.gc(true);
  expect((heapStats().heapSize - before) / entries).toBeLessThan(100);
  writer.finish();
});
