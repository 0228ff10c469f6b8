/**
 * Sparse files in archives, right ones and damaged ones, unpacked by graft and by umoci, GNU tar and bsdtar. The trees
 * must be the same. A damaged archive that Go's reader takes must be taken, and one that it refuses must be refused.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { isPluginError } from '../../lib/base/errors/error.ts';
import { verifyTree } from '../../lib/layer/tree/verify-tree.ts';
import { Random } from '../property/random.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { LayoutBuilder, named } from '../support/images/layout-builder.ts';
import { checksum, entry, tar } from '../support/images/tar-writer.ts';
import { requestIn, unpack } from '../support/images/unpack.ts';
import { run } from '../support/shell.ts';
import { randomSparseFile, type SparseForm, sparseEntry } from './sparse-archives.ts';

const BLOCK = 512;
const BEHIND = 'behind';
const PAX_FORMS = ['0.0', '0.1', '1.0'] as const;
const FORMS = ['old', ...PAX_FORMS] as const;

export interface SparseCounts {
  cases: number;
  /** Right archives, each compared with three programs. */
  right: number;
  /** Damaged archives that both take, and that both refuse. */
  taken: number;
  refused: number;
  /** Damaged archives whose format of sparse files is unknown then. Go gives out the map as content. */
  unknown: number;
}

export function noSparseCounts(): SparseCounts {
  return { cases: 0, right: 0, taken: 0, refused: 0, unknown: 0 };
}

/** Runs case `number` of `seed` in a directory that is not there. @throws Error that says what is wrong */
export async function sparseCase(
  seed: number,
  number: number,
  directory: string,
  counts: SparseCounts,
): Promise<void> {
  const random = new Random(seed, number);
  const isRight = random.chance(0.5);
  // umoci knows no entry of type S.
  const known = isRight ? FORMS : PAX_FORMS;
  const forms: SparseForm[] = [random.pick(known), random.pick(known)];
  const aligned = random.chance(0.6);
  const referees = [
    ...(aligned ? ['tar'] : []),
    ...(forms.includes('old') ? ['bsdtar'] : ['bsdtar', 'umoci']),
  ];
  const whole = tar([
    entry({ name: './', type: '5' }),
    ...forms.map((form, index) =>
      sparseEntry(random, randomSparseFile(random, `file-${index}`, aligned), form),
    ),
    entry({ name: BEHIND, content: 'the reader has not lost its place' }),
    entry({ name: 'last', content: 'nor here' }),
  ]);
  mkdirSync(directory);
  counts.cases += 1;
  try {
    if (isRight) await compareRight(whole, directory, referees);
    else await compareDamaged(damage(random, whole), directory, counts);
  } finally {
    rmSync(directory, { recursive: true });
  }
  if (isRight) counts.right += 1;
}

async function compareRight(archive: Buffer, directory: string, referees: readonly string[]): Promise<void> {
  const ours = await unpackOurs(archive, directory);
  if (ours === undefined || ours === 'unknown') throw new Error('a right archive is refused');
  for (const program of referees) {
    const tree =
      program === 'umoci' ? await byUmoci(archive, directory) : await byTar(program, archive, directory);
    if (tree === undefined) throw new Error(`${program} refuses a right archive`);
    same(ours, tree);
  }
}

async function compareDamaged(archive: Buffer, directory: string, counts: SparseCounts): Promise<void> {
  const ours = await unpackOurs(archive, directory);
  if (ours === 'unknown') {
    counts.unknown += 1;
    return;
  }
  const theirs = await byUmoci(archive, directory);
  if ((ours === undefined) !== (theirs === undefined))
    throw new Error(`${ours === undefined ? 'graft' : 'umoci'} alone refuses it`);
  if (ours === undefined || theirs === undefined) counts.refused += 1;
  else {
    same(ours, theirs);
    counts.taken += 1;
  }
}

function same(ours: string, theirs: string): void {
  const lines = compareTrees(ours, theirs, {
    directoryTimes: false,
    ignoreXattrs: ['user.rootlesscontainers', 'security.selinux'],
  });
  if (lines.length > 0) throw new Error(lines.join('\n'));
}

/** @returns the tree; undefined where the archive is refused; `unknown` where a sparse file's format is not known */
async function unpackOurs(archive: Buffer, directory: string): Promise<string | undefined> {
  const request = requestIn(`${directory}/ours`);
  try {
    await unpack(request, archive, 700);
  } catch (error) {
    if (!isPluginError(error) || !error.code.startsWith('LAYER_')) throw error;
    return error.code === 'LAYER_UNSUPPORTED_ENTRY' ? 'unknown' : undefined;
  }
  const damaged = [...verifyTree(request.target, request.manifestPath)];
  if (damaged.length > 0) throw new Error(`the manifest: ${JSON.stringify(damaged)}`);
  return request.target;
}

async function byUmoci(archive: Buffer, directory: string): Promise<string | undefined> {
  const layout = new LayoutBuilder(`${directory}/layout`);
  layout.write([layout.image([layout.layer(archive)], {}, named('x'))]);
  const target = `${directory}/umoci`;
  const { code } = await run('umoci', ['raw', 'unpack', '--image', `${layout.directory}:x`, target]);
  return code === 0 ? target : undefined;
}

async function byTar(program: string, archive: Buffer, directory: string): Promise<string | undefined> {
  const target = `${directory}/${program}`;
  mkdirSync(target);
  writeFileSync(`${directory}/archive.tar`, archive);
  const { code } = await run(program, ['-xpf', `${directory}/archive.tar`, '--numeric-owner', '-C', target]);
  return code === 0 ? target : undefined;
}

/** A change to the map of a sparse file, or to the header of the plain entry behind. */
function damage(random: Random, archive: Buffer): Buffer {
  const bytes = Buffer.from(archive);
  if (random.chance(0.4))
    changeHeader(random, bytes.subarray(bytes.indexOf(`${BEHIND}\0`)).subarray(0, BLOCK));
  else changeRecord(random, bytes);
  return bytes;
}

/** Without type 7, which umoci alone refuses, and without `..`, which graft alone refuses. */
const CHANGES: readonly ((random: Random, block: Buffer) => void)[] = [
  (random, block) => block.write(random.pick([...'0123456\0AVMDNXgxLKS8 ']), 156, 'latin1'),
  (random, block) =>
    block.write(random.pick(['ustar  \0', 'ustar\x0000', '\0'.repeat(8), 'ustar\0  ']), 257, 'latin1'),
  (random, block) => {
    block.write(random.pick(['ustar  \0', 'ustar\x0000']), 257, 'latin1');
    block.write(random.pick(['a/b', 'b', '15000000000\x0015000000000', '1']), 345, 'latin1');
  },
  (random, block) => block.write(random.pick([...NUMBERS]), random.pick([100, 108, 116, 329]), 'latin1'),
  (random, block) => block.write(random.pick(['behind/', './behind', 'b//ehind', '/behind']), 0, 'latin1'),
];
const NUMBERS = ['', ' ', '7', '0000007', ' 7 ', '-7', '8', '+7', '\x80\0\0\0\0\0\x07', '0x7', '7junk'];

function changeHeader(random: Random, block: Buffer): void {
  for (let left = random.pick([1, 1, 2]); left > 0; left -= 1) random.pick(CHANGES)(random, block);
  checksum(block);
}

/** Times are left alone: umoci gives a year that the filesystem lacks as another one. */
const VALUES = /(?:GNU\.sparse\.\w+|[ug]id|size)=[^\n]+/g;

function changeRecord(random: Random, bytes: Buffer): void {
  const places: number[] = [];
  for (let at = 0; at + BLOCK <= bytes.length; at += BLOCK) {
    if (bytes.toString('latin1', at + 257, at + 262) !== 'ustar' || bytes[at + 156] !== 0x78) continue;
    const text = bytes.toString('latin1', at + BLOCK, at + 2 * BLOCK);
    for (const { 0: record, index } of text.matchAll(VALUES)) {
      for (let i = record.indexOf('=') + 1; i < record.length; i += 1) places.push(at + BLOCK + index + i);
    }
  }
  bytes.write(random.pick([...'0159 -+,.x_\n']), random.pick(places), 'latin1');
}
