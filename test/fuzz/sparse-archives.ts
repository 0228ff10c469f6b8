/** Random sparse files in each form of a header that programs write, and the numbers of PAX records that Go takes. */
import type { Random } from '../property/random.ts';
import { checksum, type EntrySpec, entry, header, paxRecord, rawPax } from '../support/images/tar-writer.ts';

const BLOCK = 512;
const PAIRS_IN_HEADER = 4;
const PAIRS_IN_EXTENSION = 21;

/** Pieces of data in a file: offset and length of each, in their order. */
export interface SparseFile {
  readonly name: string;
  readonly size: number;
  readonly pieces: readonly (readonly [offset: number, length: number])[];
  readonly data: Buffer;
  readonly attributes: Pick<EntrySpec, 'mode' | 'uid' | 'gid' | 'mtime'>;
}

export type SparseForm = 'old' | '0.0' | '0.1' | '1.0';

/** @param aligned pieces as GNU tar writes them: whole blocks up to the last one */
export function randomSparseFile(random: Random, name: string, aligned: boolean): SparseFile {
  const pieces: (readonly [number, number])[] = [];
  let end = 0;
  for (let left = random.pick([0, 1, 2, 4, 5, 25, 26, 60]); left > 0; left -= 1) {
    const offset = end + random.pick(aligned ? [512, 4096, 70_144] : [0, 1, 511, 512, 4096, 70_000]);
    const length = random.pick(aligned ? [512, 1024, 8192] : [0, 1, 5, 511, 512, 513, 2000]);
    pieces.push([offset, length]);
    end = offset + length;
  }
  const size = end + random.pick([0, 0, 1, 512, 100_000]);
  // GNU tar needs an empty piece at the end of a file that ends in a hole. Go knows the size without.
  // A map without pieces is refused: GNU tar never writes one, and Go reads such a file under a made-up name.
  if (random.chance(0.5) || (aligned && size > end) || pieces.length === 0) pieces.push([size, 0]);
  const bytes = pieces.reduce((sum, [, length]) => sum + length, 0);
  const data = Buffer.from(Array.from({ length: bytes }, () => 97 + random.below(26)));
  const attributes = {
    mode: random.pick([0o644, 0o600, 0o4755]),
    uid: random.pick([0, 7, 1000]),
    gid: random.pick([0, 7]),
    mtime: 1_500_000_000 + random.below(1000),
  };
  return { name, size, pieces, data, attributes };
}

export function sparseEntry(random: Random, file: SparseFile, form: SparseForm): Buffer {
  return form === 'old' ? oldEntry(file) : paxEntry(random, file, form);
}

function oldEntry({ name, size, pieces, data, attributes }: SparseFile): Buffer {
  const block = header({ name, type: 'S', format: 'gnu', content: data, ...attributes });
  putPairs(block, 386, pieces.slice(0, PAIRS_IN_HEADER));
  block.write(octal(size), 483, 'latin1');
  const extensions: Buffer[] = [];
  for (let at = PAIRS_IN_HEADER; at < pieces.length; at += PAIRS_IN_EXTENSION) {
    const extension = Buffer.alloc(BLOCK);
    putPairs(extension, 0, pieces.slice(at, at + PAIRS_IN_EXTENSION));
    extension[504] = at + PAIRS_IN_EXTENSION < pieces.length ? 1 : 0;
    extensions.push(extension);
  }
  block[482] = extensions.length > 0 ? 1 : 0;
  return Buffer.concat([checksum(block), ...extensions, entry({ name: '', content: data }).subarray(BLOCK)]);
}

function putPairs(block: Buffer, at: number, pieces: SparseFile['pieces']): void {
  pieces.forEach(([offset, length], index) => {
    block.write(`${octal(offset)}\0${octal(length)}\0`, at + 24 * index, 'latin1');
  });
}

function octal(value: number): string {
  return value.toString(8).padStart(11, '0');
}

type Records = (readonly [key: string, value: string])[];

function paxEntry(random: Random, file: SparseFile, form: Exclude<SparseForm, 'old'>): Buffer {
  const { name, pieces, attributes } = file;
  const records = sparseRecords(file, form);
  // Extended headers have other numbers than the header itself, and those count.
  if (random.chance(0.3)) records.push(['uid', `000${attributes.uid}`]);
  if (random.chance(0.3)) records.push(['gid', String(attributes.gid)]);
  if (random.chance(0.3)) records.push(['mtime', `${attributes.mtime}.${random.pick(['5', '250', '0'])}`]);
  const map = Buffer.from(`${[pieces.length, ...pieces.flat()].join('\n')}\n`);
  const front =
    form === '1.0' ? Buffer.concat([map, Buffer.alloc(-map.length & (BLOCK - 1))]) : Buffer.alloc(0);
  const content = Buffer.concat([front, file.data]);
  if (random.chance(0.2)) records.push(['size', `0${content.length}`]);
  const body = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  const shown = form === '0.0' ? name : `GNUSparseFile.1/${name}`;
  return Buffer.concat([rawPax(body), entry({ name: shown, content, ...attributes })]);
}

function sparseRecords({ name, size, pieces }: SparseFile, form: Exclude<SparseForm, 'old'>): Records {
  if (form === '1.0') {
    return [
      ['GNU.sparse.major', '1'],
      ['GNU.sparse.minor', '0'],
      ['GNU.sparse.name', name],
      ['GNU.sparse.realsize', String(size)],
    ];
  }
  const common: Records = [
    ['GNU.sparse.size', String(size)],
    ['GNU.sparse.numblocks', String(pieces.length)],
  ];
  if (form === '0.1')
    return [...common, ['GNU.sparse.name', name], ['GNU.sparse.map', pieces.flat().join(',')]];
  const pairs = pieces.flatMap(
    ([offset, length]): Records => [
      ['GNU.sparse.offset', String(offset)],
      ['GNU.sparse.numbytes', String(length)],
    ],
  );
  return [...common, ...pairs];
}
