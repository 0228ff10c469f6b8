/**
 * Damaged archives through our reader, through tar-stream and through the whole unpacker. What we take, the other
 * reader must take too and see the same in it; what we refuse, we refuse by a code of ours, and nothing outside the
 * target changes either way.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { PluginError } from '../../lib/base/errors/error.ts';
import { FIELD, numberField } from '../../lib/layer/tar/fields.ts';
import { verifyTree } from '../../lib/layer/tree/verify-tree.ts';
import { Random } from '../property/random.ts';
import { checksum } from '../support/images/tar-writer.ts';
import { Canary, openBelow, requestIn, unpack } from '../support/images/unpack.ts';
import { damage, packed, randomArchive } from './archives.ts';
import { type Reading, readOurs, readTarStream } from './readers.ts';

/** A small archive is a millisecond's work. */
const MOST_CPU_MICROSECONDS = 5_000_000;

export interface FuzzCounts {
  cases: number;
  taken: number;
  refused: number;
  /** Refused by us and taken by tar-stream: what strictness costs. */
  stricter: number;
  compared: number;
  unpacked: number;
}

export function noFuzzCounts(): FuzzCounts {
  return { cases: 0, taken: 0, refused: 0, stricter: 0, compared: 0, unpacked: 0 };
}

/** Runs case `number` of `seed` in an empty directory of its own. @throws Error that says what is wrong */
export async function fuzzCase(
  seed: number,
  number: number,
  directory: string,
  counts: FuzzCounts,
): Promise<void> {
  const random = new Random(seed, number);
  const whole = randomArchive(random);
  const archive = random.chance(0.1) ? whole : damage(random, whole);
  const ours = readOurs(archive, archive.length || 1);
  sameInAnyChunks(random, archive, ours);
  counts.cases += 1;
  if ('entries' in ours) counts.taken += 1;
  else counts.refused += 1;
  await compare(archive, ours, counts);
  const blob = packed(random, archive);
  // Twice: the runtime's own work and a machine that stood still are counted too.
  const work = await unpackSafely(blob, directory, counts);
  if (work > MOST_CPU_MICROSECONDS && (await unpackSafely(blob, directory, counts)) > MOST_CPU_MICROSECONDS)
    throw new Error(`the unpacking took ${work} µs of work`);
}

function sameInAnyChunks(random: Random, archive: Buffer, whole: Reading): void {
  const pieces = readOurs(archive, 1 + random.below(1200));
  if (JSON.stringify(pieces) !== JSON.stringify(whole)) {
    throw new Error(`in pieces: ${JSON.stringify(pieces)}\nin one: ${JSON.stringify(whole)}`);
  }
}

async function compare(archive: Buffer, ours: Reading, counts: FuzzCounts): Promise<void> {
  if (knownDifference(archive)) return;
  const theirs = await readTarStream('entries' in ours ? upToItsEnd(archive, ours) : archive);
  if ('known' in theirs) return;
  if ('refused' in ours) {
    if ('entries' in theirs) counts.stricter += 1;
    return;
  }
  counts.compared += 1;
  if (JSON.stringify(theirs) === JSON.stringify(ours)) return;
  throw new Error(`ours: ${JSON.stringify(ours)}\ntar-stream: ${JSON.stringify(theirs)}`);
}

/** What follows the end of an archive is nothing to us, and an error to tar-stream; as is a last padding that is cut. */
function upToItsEnd(archive: Buffer, ours: Reading): Buffer {
  const entries = JSON.stringify(ours);
  for (let at = 0; at + 1024 <= archive.length; at += 512) {
    if (archive.subarray(at, at + 1024).some((byte) => byte !== 0)) continue;
    const ended = archive.subarray(0, at + 1024);
    if (JSON.stringify(readOurs(ended, ended.length)) === entries) return ended;
  }
  return Buffer.concat([archive, Buffer.alloc((512 - (archive.length % 512)) % 512)]);
}

/** Blocks that the two readers read differently on purpose, wherever they are. */
function knownDifference(archive: Buffer): boolean {
  for (let at = 0; at + 512 <= archive.length; at += 512) {
    const block = archive.subarray(at, at + 512);
    const type = String.fromCharCode(block[156] ?? 0);
    const size = numberField(block, FIELD.size);
    // The size of what has no content: tar-stream minds it, Go and we do not. PAX sizes: see readers.ts.
    if ('123456'.includes(type) && size !== 0) return true;
    // An empty extended header: tar-stream loses its place behind one.
    if ('xgLK'.includes(type) && size === 0) return true;
    // Nothing but a checksum: an entry without a name to us, which the unpacker refuses, and padding to tar-stream.
    const rest = block.filter((byte, i) => byte !== 0 && (i < 148 || i >= 156));
    if (rest.length === 0 && block.some((byte) => byte !== 0)) return true;
    // Sums over signed bytes are taken by Go and by us.
    if (block.some((byte) => byte > 127) && checksum(Buffer.from(block), 'signed').equals(block)) return true;
    // star's format, whose prefix is shorter.
    if (block.toString('latin1', 508, 512) === 'tar\0') return true;
  }
  return false;
}

/** @returns microseconds of CPU */
async function unpackSafely(blob: Buffer, directory: string, counts: FuzzCounts): Promise<number> {
  const before = process.cpuUsage();
  mkdirSync(directory);
  const canary = new Canary(directory);
  const request = requestIn(join(directory, 'in'));
  try {
    await unpack(request, blob, 4096);
    counts.unpacked += 1;
    const differences = [...verifyTree(request.target, request.manifestPath)];
    if (differences.length > 0) throw new Error(`the manifest: ${JSON.stringify(differences.slice(0, 3))}`);
  } catch (error) {
    if (!(error instanceof PluginError) || !error.code.startsWith('LAYER_')) throw error;
  }
  if (canary.changes() !== '') throw new Error(canary.changes());
  const open = openBelow(directory);
  if (open.length > 0) throw new Error(`left open: ${open.join(' ')}`);
  rmSync(directory, { recursive: true });
  const { user, system } = process.cpuUsage(before);
  return user + system;
}
