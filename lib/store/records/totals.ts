/**
 * Running totals for the threshold of a clean and for metrics: `meta/totals` (totals-file.ts). They only decide
 * whether a create starts a clean, so they may be a little wrong; an exact measurement would read every record in the
 * store.
 *
 * Each line is appended with one write(2). An append during a rewrite of the file is lost until the next clean counts
 * again. When the totals are missing or make no sense, a clean is due, which corrects them.
 */

import { KiB, MiB } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { close, openAt, writeAll } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { statFd } from '../../sys/kernel/stat.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_FACTS_BYTES, MAX_TOTALS_BYTES } from '../layout/ceilings.ts';
import type { Layout } from '../layout/layout.ts';
import { readFact } from '../layout/read-file.ts';
import { replaceSmall } from '../layout/staging.ts';
import {
  type Counted,
  decodeCounted,
  encodeChange,
  encodeCounted,
  type ImageChange,
  type Totals,
} from './totals-file.ts';

const NONE: Totals = { committedBytes: 0, layerBytes: 0, factBytes: 0, fileBytes: 0 };

/**
 * A reader rewrites a larger file to be short: this is some 500 lines, and reading them takes a tenth of a
 * millisecond.
 */
const COMPACT_FROM = 16 * KiB;

/** A writer rewrites a larger file to be short: with neither metrics nor cleans, nobody reads the file. */
const COMPACT_UNREAD_FROM = MAX_TOTALS_BYTES / 4;

/**
 * Facts above their bounds that are tolerated between two cleans. Above that, a clean is due whatever the threshold
 * is.
 */
const FACTS_SLACK = 64 * MiB;

/** Writes the totals of a store without layers. */
export function startTotals(layout: Layout, log: Logger): void {
  writeTotals({ layout }, { totals: NONE, stacks: new Map() }, log);
}

/**
 * Writes totals that were counted exactly. On a full disk the write may fail; then the clean that counted goes on,
 * since it makes room.
 */
export function writeTotals({ layout }: { readonly layout: Layout }, counted: Counted, log: Logger): void {
  try {
    replaceSmall(layout, layout.totals, 'totals', bytesOfText(encodeCounted(counted)));
  } catch (error) {
    log.error('totals-not-written', error, { ...counted.totals });
  }
}

/**
 * Appends a change: bytes that were added or removed, and the image that was made or deleted with them. A failure is
 * only logged, since the image is already made or deleted: the next clean counts again.
 */
export function addToTotals(
  store: { readonly layout: Layout },
  change: Partial<Totals>,
  log: Logger,
  image?: ImageChange,
): void {
  const all = { ...NONE, ...change };
  if (image === undefined && Object.values(all).every((bytes) => bytes === 0)) return;
  const text = encodeChange(all, image);
  try {
    const size = append(store.layout, text);
    if (size > COMPACT_UNREAD_FROM) readCounted(store, log);
  } catch (error) {
    log.error('totals-not-written', error, { totals: text.trim() });
  }
}

/** @returns the size of the file in bytes, after the append */
function append(layout: Layout, text: string): number {
  const fd = openAt(AT_FDCWD, layout.totals, O.WRONLY | O.CREAT | O.APPEND | O.NOFOLLOW | O.NONBLOCK, 0o600);
  try {
    writeAll(fd, bytesOfText(text), layout.totals);
    return statFd(fd).size;
  } finally {
    close(fd);
  }
}

/**
 * Whether a clean has something to do, according to the totals.
 * @param threshold bytes of quota and layers; 0: always true
 */
export function cleanIsDue(store: { readonly layout: Layout }, threshold: number, log: Logger): boolean {
  if (threshold === 0) return true;
  const totals = readTotals(store, log);
  if (totals === undefined || totals.factBytes > MAX_FACTS_BYTES + FACTS_SLACK) return true;
  return totals.committedBytes + totals.layerBytes >= threshold;
}

/** Undefined when no clean has counted yet, or when the file is not what these functions write. */
export function readTotals(store: { readonly layout: Layout }, log: Logger): Totals | undefined {
  return readCounted(store, log)?.totals;
}

/** The same as `readTotals`, with the stacks. Rewrites a long file to be short. */
export function readCounted(store: { readonly layout: Layout }, log: Logger): Counted | undefined {
  const text = readFact(store.layout.totals, MAX_TOTALS_BYTES);
  const counted = text === undefined ? undefined : decodeCounted(text);
  if (text !== undefined && counted !== undefined && text.length > COMPACT_FROM) {
    const short = withoutForgotten(counted);
    if (text.length > COMPACT_FROM + short.stacks.size * STACK_LINE_BYTES) writeTotals(store, short, log);
  }
  return counted;
}

/** At most this many stacks without images stay in the file. The layers of further ones count as no stack's own. */
const UNUSED_STACKS = 200;
/** The largest size of a stack's line in a store below a petabyte. */
const STACK_LINE_BYTES = 56;

function withoutForgotten({ totals, stacks }: Counted): Counted {
  const unused = [...stacks].filter(([, { images }]) => images === 0).map(([key]) => key);
  const forgotten = new Set(unused.slice(0, Math.max(unused.length - UNUSED_STACKS, 0)));
  return { totals, stacks: new Map([...stacks].filter(([key]) => !forgotten.has(key))) };
}
