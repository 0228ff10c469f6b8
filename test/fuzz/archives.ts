/** Random archives, right ones and then damaged ones. The same seed gives the same bytes. */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import type { Random } from '../property/random.ts';
import {
  base256,
  checksum,
  type EntrySpec,
  longName,
  pax,
  tar,
  zeros,
} from '../support/images/tar-writer.ts';

const BLOCK = 512;
const NAMES = [
  'a',
  'b/c',
  'dir',
  'dir/x',
  'lib',
  'usr/lib/y',
  './z',
  'l',
  'l/inner',
  `${'very/'.repeat(15)}deep`,
];
const TYPES = ['0', '0', '0', '5', '5', '2', '1', '6', '3', '\0', '7'];
const TARGETS = ['a', '../b', 'usr', '/dir', 'b/c', 'nowhere'];

export function randomArchive(random: Random): Buffer {
  const pieces = Array.from({ length: 1 + random.below(6) }, () => randomEntry(random)).flat();
  return tar(pieces, zeros(random.pick([2, 2, 2, 0, 1, 20])));
}

function randomEntry(random: Random): (EntrySpec | Uint8Array)[] {
  const type = random.pick(TYPES);
  const file = type === '0' || type === '\0' || type === '7';
  const spec: EntrySpec = {
    name: random.pick(NAMES),
    type,
    link: type === '1' || type === '2' ? random.pick(TARGETS) : '',
    content: file ? randomContent(random) : '',
    mode: random.pick([0o644, 0o755, 0o4755, 0]),
    uid: random.pick([0, 1000, 65_534]),
    format: random.pick(['ustar', 'ustar', 'gnu', 'v7']),
  };
  const form = random.below(5);
  if (form === 0) return [{ ...spec, pax: randomRecords(random, spec) }];
  if (form === 1) return [longName(`${'long/'.repeat(25)}${random.pick(NAMES)}`), spec];
  if (form === 2 && spec.link !== '') return [longName(`${'to/'.repeat(50)}x`, 'K'), spec];
  if (form === 3 && random.chance(0.3)) return [pax({ comment: 'commit' }, 'g'), spec];
  return [spec];
}

function randomContent(random: Random): Buffer {
  // Some content is an archive itself: a reader that loses its place sees entries that are none.
  if (random.chance(0.2)) return tar([{ name: 'smuggled', content: 'inner' }], zeros(random.below(3)));
  return Buffer.alloc(
    random.pick([0, 1, 5, 511, 512, 513, 3000]),
    String.fromCharCode(97 + random.below(26)),
  );
}

function randomRecords(random: Random, spec: EntrySpec): Record<string, string> {
  const records: Record<string, string> = {};
  if (random.chance(0.5)) records['path'] = `${random.pick(NAMES)}-pax`;
  if (random.chance(0.3)) records['mtime'] = random.pick(['1.5', '0', '-3.25', '1600000000']);
  if (random.chance(0.3)) records['uid'] = random.pick(['0', '3000000']);
  if (random.chance(0.3)) records['size'] = String((spec.content ?? '').length);
  if (random.chance(0.2)) records['SCHILY.xattr.user.x'] = 'value';
  if (random.chance(0.2) && spec.link !== '') records['linkpath'] = random.pick(TARGETS);
  return records;
}

/** One to four random damages; most of them to headers, with the checksum made right again or not. */
export function damage(random: Random, archive: Buffer): Buffer {
  let bytes: Buffer = Buffer.from(archive);
  for (let times = 1 + random.below(4); times > 0 && bytes.length >= BLOCK; times -= 1) {
    bytes = random.pick(DAMAGES)(random, bytes);
  }
  return bytes;
}

type Damage = (random: Random, bytes: Buffer) => Buffer;

const NUMBERS = [
  '',
  '00000000000',
  '77777777777',
  '00000000001',
  '-0000000001',
  '0000001000 ',
  'junk',
  '00000000777\0junk',
];

const DAMAGES: readonly Damage[] = [
  (random, bytes) =>
    inBlock(random, bytes, (block) => block.writeUInt8(random.below(256), random.below(BLOCK))),
  (random, bytes) =>
    inBlock(random, bytes, (block) =>
      block.write(random.pick(NUMBERS).padEnd(12, '\0'), random.pick([124, 136]), 12),
    ),
  (random, bytes) =>
    inBlock(random, bytes, (block) => {
      const value = random.pick([-1n, 0n, 5n, 512n, 2n ** 33n, 2n ** 63n, 2n ** 90n]);
      block.set(base256(value, 12), 124);
    }),
  (random, bytes) =>
    inBlock(random, bytes, (block) =>
      block.write(random.pick([...'01234567xgLKSVMDX\0 A']), 156, 1, 'latin1'),
    ),
  (random, bytes) =>
    inBlock(random, bytes, (block) =>
      block.write(random.pick(['ustar\x0000', 'ustar  \0', '\0\0\0\0\0\0\0\0']), 257, 8),
    ),
  (random, bytes) =>
    inBlock(random, bytes, (block) =>
      block.write(random.pick(['../x', '/abs', 'a//b', '.', '', 'x/']).padEnd(100, '\0'), 0, 100),
    ),
  (random, bytes) => {
    const changed = Buffer.from(bytes);
    changed.writeUInt8(random.below(256), random.below(bytes.length));
    return changed;
  },
  inExtendedHeader,
  swappedFields,
  (random, bytes) => bytes.subarray(0, random.below(bytes.length)),
  (random, bytes) => spliced(bytes, random, (block) => [block, block]),
  (random, bytes) => spliced(bytes, random, () => []),
  (random, bytes) => spliced(bytes, random, (block) => [zeros(1 + random.below(2)), block]),
  (random, bytes) => Buffer.concat([bytes, randomArchive(random)]),
];

/** Changes a character of a PAX record or a long name: no checksum covers them. */
function inExtendedHeader(random: Random, bytes: Buffer): Buffer {
  const bodies: number[] = [];
  for (let at = 0; at + 2 * BLOCK <= bytes.length; at += BLOCK) {
    if ('xgLK'.includes(String.fromCharCode(bytes[at + 156] ?? 0))) bodies.push(at + BLOCK);
  }
  if (bodies.length === 0) return bytes;
  const changed = Buffer.from(bytes);
  changed.write(random.pick([...'0159 =\n\0-/.x']), random.pick(bodies) + random.below(64), 1, 'latin1');
  return changed;
}

const FIELDS = [
  [0, 100],
  [100, 8],
  [124, 12],
  [136, 12],
  [156, 1],
  [157, 100],
  [257, 8],
  [345, 155],
] as const;

/** Gives one field of two blocks to each other. */
function swappedFields(random: Random, bytes: Buffer): Buffer {
  const changed = Buffer.from(bytes);
  const [at, length] = random.pick(FIELDS);
  const blocks = [0, 0].map(() => {
    const start = random.below(Math.floor(bytes.length / BLOCK)) * BLOCK;
    return changed.subarray(start, start + BLOCK);
  });
  const [one, other] = blocks;
  if (one === undefined || other === undefined) return bytes;
  const kept = Buffer.from(one.subarray(at, at + length));
  one.set(other.subarray(at, at + length), at);
  other.set(kept, at);
  if (random.chance(0.85)) for (const block of blocks) checksum(block);
  return changed;
}

/** As blobs come: plain, gzip or zstd, and of the packed bytes a few wrong now and then. */
export function packed(random: Random, archive: Buffer): Buffer {
  const form = random.below(4);
  if (form > 1) return archive;
  const blob = form === 0 ? gzipSync(archive, { level: 1 }) : zstdCompressSync(archive);
  if (random.chance(0.7)) return blob;
  if (random.chance(0.3)) return blob.subarray(0, random.below(blob.length));
  for (let times = 1 + random.below(3); times > 0; times -= 1)
    blob[random.below(blob.length)] = random.below(256);
  return blob;
}

/** Changes one block, and mostly makes its checksum right, as an attacker would. */
function inBlock(random: Random, bytes: Buffer, change: (block: Buffer) => void): Buffer {
  const changed = Buffer.from(bytes);
  const at = random.below(Math.floor(bytes.length / BLOCK)) * BLOCK;
  const block = changed.subarray(at, at + BLOCK);
  change(block);
  if (random.chance(0.85)) checksum(block);
  return changed;
}

function spliced(bytes: Buffer, random: Random, replace: (block: Buffer) => Buffer[]): Buffer {
  const at = random.below(Math.floor(bytes.length / BLOCK)) * BLOCK;
  const block = bytes.subarray(at, at + BLOCK);
  return Buffer.concat([bytes.subarray(0, at), ...replace(block), bytes.subarray(at + BLOCK)]);
}
