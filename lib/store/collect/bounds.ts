/**
 * Bounds on the age and the size of the facts that the store can find out again. Images of tenants decide how many
 * facts there are and how large each is: without bounds they could fill the disk.
 */
import { diskUsage } from '../../sys/files/disk-usage.ts';
import { lastName } from '../../sys/files/path.ts';
import { close, openDir } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { exists, listNames } from '../../sys/kernel/look.ts';
import { statIfThere } from '../../sys/kernel/stat.ts';
import {
  MAX_BLOBS_BYTES,
  MAX_CACHED_BYTES,
  MAX_CVMFS_RECORDS_BYTES,
  MAX_SOURCES_BYTES,
  MAX_STACKS_BYTES,
} from '../layout/ceilings.ts';
import type { Layout } from '../layout/layout.ts';
import { removeName } from '../layout/staging.ts';
import { isKeptFile } from '../records/cached-images.ts';
import { readLeases, whileNobodyNames } from '../records/leases.ts';

const DAY = 24 * 3600 * 1000;

interface Bound {
  readonly directory: (layout: Layout) => string;
  readonly ageMs: number;
  readonly totalBytes: number;
}

/** After this time a fact is found out again: an application that is started for months costs one request a month. */
const FACT_AGE = 30 * DAY;

const FACTS: readonly Bound[] = [
  // A manifest and a configuration usually have 10 KB together, so this is 10,000 images; they have at most 8 MiB.
  { directory: ({ blobs }) => blobs, ageMs: FACT_AGE, totalBytes: MAX_BLOBS_BYTES },
  // A plan usually has one or two kilobytes; with the largest extended attributes of a root directory it has a
  // megabyte.
  { directory: ({ stacks }) => stacks, ageMs: FACT_AGE, totalBytes: MAX_STACKS_BYTES },
  // The image behind a reference: as large as its manifest and configuration together.
  { directory: ({ sources }) => sources, ageMs: FACT_AGE, totalBytes: MAX_SOURCES_BYTES },
];

/**
 * The walk of a layer on CVMFS takes seconds, so its result is kept longer. The result of a large layer has a
 * megabyte.
 */
const CVMFS_RECORDS: Bound = {
  directory: ({ cvmfsRecords }) => cvmfsRecords,
  ageMs: 90 * DAY,
  totalBytes: MAX_CVMFS_RECORDS_BYTES,
};

/**
 * The names of images, of 4 KiB each: 8,000. A tenant who names one image by more tags pushes out the names that were used
 * least recently; their layers stay.
 */
const CACHED: Bound = { directory: ({ cached }) => cached, ageMs: 365 * DAY, totalBytes: MAX_CACHED_BYTES };

/** Bytes on the disk of all remembered facts. */
export function factBytes(layout: Layout): number {
  const parent = openDir(layout.meta);
  try {
    const directories = [...FACTS, CVMFS_RECORDS, CACHED].map(({ directory }) => directory(layout));
    return directories.reduce((sum, path) => sum + diskUsage(parent, lastName(path)), 0);
  } finally {
    close(parent);
  }
}

/**
 * Deletes facts that are too old, and then the oldest facts of a directory that is too large.
 * @returns how many were removed
 */
export function boundFacts(layout: Layout): number {
  const gone = FACTS.reduce((sum, one) => sum + bound(layout, one, () => false), 0);
  // The directory comes with its first record.
  const names = exists(layout.cached) ? bound(layout, CACHED, isKeptFile) : 0;
  // A create reads these records twice, and must find at the second time what it found at the first.
  return gone + names + whileNobodyNames(layout, () => boundCvmfsRecords(layout));
}

function boundCvmfsRecords(layout: Layout): number {
  const used = leased(layout);
  return bound(layout, CVMFS_RECORDS, (name) => used.has(name));
}

function leased(layout: Layout): ReadonlySet<string> {
  return new Set(readLeases(layout).flatMap((lease) => (lease.alive ? lease.uses : [])));
}

function bound(
  layout: Layout,
  { directory, ageMs, totalBytes }: Bound,
  isSpared: (name: string) => boolean,
): number {
  const path = directory(layout);
  const found = listNames(path).flatMap((name) => {
    const stat = statIfThere(AT_FDCWD, `${path}/${name}`);
    return stat === undefined ? [] : [{ name, bytes: stat.blocks * 512, madeMs: stat.mtime.sec * 1000 }];
  });
  let left = found.reduce((sum, { bytes }) => sum + bytes, 0);
  let removed = 0;
  for (const { name, bytes, madeMs } of found.toSorted((a, b) => a.madeMs - b.madeMs)) {
    // A file with a time in the future, from a wrong clock, would never become old: the distance in time counts.
    if (left <= totalBytes && Math.abs(Date.now() - madeMs) <= ageMs) continue;
    if (isSpared(name)) continue;
    if (removeName(layout, `${path}/${name}`)) removed += 1;
    left -= bytes;
  }
  return removed;
}
