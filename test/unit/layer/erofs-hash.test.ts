/** The hash of an image: what the writer notes while it writes is what a reader of the whole file finds, and any change shows. */
import { afterEach, beforeEach, expect, test } from 'bun:test';
import { closeSync, openSync, readFileSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { FILE_TYPE } from '../../../lib/layer/erofs/format.ts';
import { hashImage, PORTION } from '../../../lib/layer/erofs/image-hash.ts';
import { ImageWriter, type WrittenImage } from '../../../lib/layer/erofs/image-writer.ts';
import { ROOT } from '../../../lib/layer/erofs/numbers.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

const COMMON = { mode: 0o644, uid: 0, gid: 0, mtime: { sec: 1, nsec: 2 }, xattrs: new Uint8Array(0) };
type Piece = Uint8Array | { readonly hole: number };

/** Each file of some pieces; the first has a second name, so that its inode changes after it is written. */
function write(name: string, files: readonly (readonly Piece[])[]): WrittenImage {
  using image = new ImageWriter(dir.at(name), 0o644);
  image.tree.directories.set(ROOT, { ...COMMON, mode: 0o755 });
  const lengthOf = (piece: Piece) => ('hole' in piece ? piece.hole : piece.length);
  const places = files.map((pieces, number) => {
    const place = image.file(
      COMMON,
      pieces.reduce((sum, piece) => sum + lengthOf(piece), 0),
    );
    for (const piece of pieces)
      if ('hole' in piece) image.hole(piece.hole);
      else image.content(piece);
    image.endOfFile();
    image.tree.add(ROOT, `f${number}`, FILE_TYPE.file, place);
    return place;
  });
  const [first] = places;
  if (first !== undefined) {
    image.tree.add(ROOT, 'again', FILE_TYPE.file, first);
    image.setLinks(first, 2);
  }
  return image.finish();
}

const bytes = (length: number, seed: number) => {
  const made = Buffer.alloc(length);
  for (let at = 0; at < length; at += 1) made[at] = (at * 31 + seed * 7 + (at >> 9)) & 0xff;
  return made;
};

test.each([
  ['nothing', []],
  ['a small file', [[bytes(10, 1)]]],
  ['small files over several portions', Array.from({ length: 900 }, (_, i) => [bytes(3000, i)])],
  ['content that ends with a portion', [[bytes(PORTION - 4096, 1)], [bytes(2 * PORTION, 2)]]],
  [
    'holes inside a portion, of whole portions and at the end',
    [
      [bytes(100, 1), { hole: 70_000 }, bytes(100, 2)],
      [bytes(5000, 3), { hole: 5 * PORTION }, bytes(PORTION, 4), { hole: 3 * PORTION + 17 }],
      [{ hole: 2 * PORTION }],
    ],
  ],
] as const)('an image of %s has the hash that a reader finds', (_, files) => {
  const written = write('image', files as readonly (readonly Piece[])[]);
  const { bytes: size, hash } = hashImage(dir.at('image'));
  expect({ bytes: size, hash }).toEqual({ bytes: written.bytes, hash: written.hash });
  expect(statSync(dir.at('image')).size).toBe(written.bytes);
  // A copy has no holes, and the same bytes.
  writeFileSync(dir.at('copy'), readFileSync(dir.at('image')));
  expect(hashImage(dir.at('copy')).hash).toBe(hash);
  expect(written.diskBytes).toBeLessThanOrEqual(written.bytes);
});

test('any byte that changes, and any length, gives another hash', () => {
  const { hash, bytes: size } = write('image', [
    [bytes(100, 1), { hole: 2 * PORTION }, bytes(PORTION + 5, 2)],
  ]);
  const places = [0, 1024, 1151, 4096, PORTION - 1, PORTION, 2 * PORTION + 9, size - 1];
  const seen = new Set([hash]);
  for (const at of places) {
    const file = openSync(dir.at('image'), 'r+');
    const before = readFileSync(dir.at('image'))[at] ?? 0;
    writeSync(file, Buffer.of(before ^ 1), 0, 1, at);
    seen.add(hashImage(dir.at('image')).hash);
    writeSync(file, Buffer.of(before), 0, 1, at);
    closeSync(file);
    expect(hashImage(dir.at('image')).hash).toBe(hash);
  }
  for (const length of [size - 1, size + 1, size + 4096, PORTION, 0]) {
    truncateSync(dir.at('image'), length);
    seen.add(hashImage(dir.at('image')).hash);
  }
  expect(seen.size).toBe(1 + places.length + 5);
});

test('the same content gives the same image and UUID, and other content another UUID', () => {
  const uuid = (name: string) =>
    readFileSync(dir.at(name))
      .subarray(1024 + 48, 1024 + 64)
      .toString('hex');
  const one = write('one', [[bytes(5000, 1)]]);
  expect(write('two', [[bytes(5000, 1)]]).hash).toBe(one.hash);
  write('three', [[bytes(5000, 2)]]);
  expect(uuid('one')).toBe(uuid('two'));
  expect(uuid('three')).not.toBe(uuid('one'));
  expect(uuid('one')).toMatch(/^.{12}8.{3}[89ab]/);
});
