/**
 * How long and how much the store remembers of what it can find out again. Strangers' images decide how large such
 * facts are and how many, so that without an end they would fill the disk beside all layers.
 */
import { diskUsage } from '../../sys/files/disk-usage.ts';
import { lastName } from '../../sys/files/path.ts';
import { close, openDir } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { statIfThere } from '../../sys/kernel/stat.ts';
import {
  MAX_BLOBS_BYTES,
  MAX_PUBLISHED_BYTES,
  MAX_SOURCES_BYTES,
  MAX_STACKS_BYTES,
} from '../layout/ceilings.ts';
import type { Layout } from '../layout/layout.ts';
import { removeName } from '../layout/staging.ts';
import { readLeases, whileNobodyNames } from '../records/leases.ts';

const DAY = 24 * 3600 * 1000;

interface Bound {
  readonly directory: (layout: Layout) => string;
  readonly ageMs: number;
  readonly totalBytes: number;
}

/** An application that is pushed once and started for months asks its registry once a month: nobody notices. */
const FACT_AGE = 30 * DAY;

const FACTS: readonly Bound[] = [
  // A manifest and a configuration have 10 KB as a rule, so that is 10,000 images; and 8 MiB at the most.
  { directory: ({ blobs }) => blobs, ageMs: FACT_AGE, totalBytes: MAX_BLOBS_BYTES },
  // A plan has a kilobyte or two; one with all the extended attributes that a root directory may have, a megabyte.
  { directory: ({ stacks }) => stacks, ageMs: FACT_AGE, totalBytes: MAX_STACKS_BYTES },
  // What a reference resolved to: as much as its manifest and configuration together.
  { directory: ({ sources }) => sources, ageMs: FACT_AGE, totalBytes: MAX_SOURCES_BYTES },
];

/** A walk through a layer on CVMFS costs seconds, so that its result is kept longer; a large one has a megabyte. */
const PUBLISHED: Bound = {
  directory: ({ published }) => published,
  ageMs: 90 * DAY,
  totalBytes: MAX_PUBLISHED_BYTES,
};

/** Bytes on the disk of what is remembered now. */
export function factBytes(layout: Layout): number {
  const parent = openDir(layout.meta);
  try {
    const directories = [...FACTS, PUBLISHED].map(({ directory }) => directory(layout));
    return directories.reduce((sum, path) => sum + diskUsage(parent, lastName(path)), 0);
  } finally {
    close(parent);
  }
}

/** Facts that are too old, then the oldest ones of what is too much. @returns how many were removed */
export function boundFacts(layout: Layout): number {
  const gone = FACTS.reduce((sum, one) => sum + bound(layout, one, new Set()), 0);
  // A create looks at these twice, and must find the second time what it found the first time.
  return gone + whileNobodyNames(layout, () => bound(layout, PUBLISHED, leased(layout)));
}

function leased(layout: Layout): ReadonlySet<string> {
  return new Set(readLeases(layout).flatMap((lease) => (lease.alive ? lease.uses : [])));
}

function bound(layout: Layout, { directory, ageMs, totalBytes }: Bound, spared: ReadonlySet<string>): number {
  const path = directory(layout);
  const found = listNames(path).flatMap((name) => {
    const stat = statIfThere(AT_FDCWD, `${path}/${name}`);
    return stat === undefined ? [] : [{ name, bytes: stat.blocks * 512, madeMs: stat.mtime.sec * 1000 }];
  });
  let left = found.reduce((sum, { bytes }) => sum + bytes, 0);
  let removed = 0;
  for (const { name, bytes, madeMs } of found.toSorted((a, b) => a.madeMs - b.madeMs)) {
    // A clock that was wrong made files of the future: they would never become old.
    if (left <= totalBytes && Math.abs(Date.now() - madeMs) <= ageMs) continue;
    if (spared.has(name)) continue;
    if (removeName(layout, `${path}/${name}`)) removed += 1;
    left -= bytes;
  }
  return removed;
}
