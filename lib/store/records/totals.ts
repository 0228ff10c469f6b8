/**
 * Running totals of what a clean goes by and what metrics tell: `meta/totals` (totals-file.ts). They decide only whether a
 * create starts a clean, so they may be a little wrong; measuring for real would read every record in the store.
 *
 * Each line is appended whole by one write(2). An append that races with a rewrite is lost until the next clean counts
 * anew. Totals that nobody has counted yet, or that make no sense, mean that a clean is due: it puts them right.
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

/** Whoever reads more than this makes it short again: some 500 lines, which cost a tenth of a millisecond. */
const COMPACT_FROM = 16 * KiB;

/** Where nobody reads them, since there are neither metrics nor cleans, whoever writes makes them short. */
const COMPACT_UNREAD_FROM = MAX_TOTALS_BYTES / 4;

/** What may come between two cleans, of facts that a clean cuts down to their bounds whatever the threshold is. */
const FACTS_SLACK = 64 * MiB;

/** Of a store without any layer. */
export function startTotals(layout: Layout, log: Logger): void {
  writeTotals({ layout }, { totals: NONE, stacks: new Map() }, log);
}

/** Counted anew. A disk without room for that is what a clean is there for: it goes on. */
export function writeTotals({ layout }: { readonly layout: Layout }, counted: Counted, log: Logger): void {
  try {
    replaceSmall(layout, layout.totals, 'totals', bytesOfText(encodeCounted(counted)));
  } catch (error) {
    log.error('totals-not-written', error, { ...counted.totals });
  }
}

/**
 * Bytes come or gone, and the image that was made or deleted with them; one small append, whole or not at all. What has
 * been made or deleted by then is not undone for want of it: the next clean counts anew.
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

/** @returns bytes of the file now */
function append(layout: Layout, text: string): number {
  const fd = openAt(AT_FDCWD, layout.totals, O.WRONLY | O.CREAT | O.APPEND | O.NOFOLLOW | O.NONBLOCK, 0o600);
  try {
    writeAll(fd, bytesOfText(text), layout.totals);
    return statFd(fd).size;
  } finally {
    close(fd);
  }
}

/** Whether a clean has something to do, as far as known. @param threshold bytes of quota and layers; 0: always */
export function cleanIsDue(store: { readonly layout: Layout }, threshold: number, log: Logger): boolean {
  if (threshold === 0) return true;
  const totals = readTotals(store, log);
  if (totals === undefined || totals.factBytes > MAX_FACTS_BYTES + FACTS_SLACK) return true;
  return totals.committedBytes + totals.layerBytes >= threshold;
}

/** Undefined where nobody has counted, or the file is not what these functions write. */
export function readTotals(store: { readonly layout: Layout }, log: Logger): Totals | undefined {
  return readCounted(store, log)?.totals;
}

/** As `readTotals`, with the stacks. Makes a long file short. */
export function readCounted(store: { readonly layout: Layout }, log: Logger): Counted | undefined {
  const text = readFact(store.layout.totals, MAX_TOTALS_BYTES);
  const counted = text === undefined ? undefined : decodeCounted(text);
  if (text !== undefined && counted !== undefined && text.length > COMPACT_FROM) {
    const short = withoutForgotten(counted);
    if (text.length > COMPACT_FROM + short.stacks.size * STACK_LINE_BYTES) writeTotals(store, short, log);
  }
  return counted;
}

/** Stacks without an image that are remembered at the most. Beyond that their layers count as nobody's. */
const UNUSED_STACKS = 200;
/** No line of a stack is longer in a store below a petabyte. */
const STACK_LINE_BYTES = 56;

function withoutForgotten({ totals, stacks }: Counted): Counted {
  const unused = [...stacks].filter(([, { images }]) => images === 0).map(([key]) => key);
  const forgotten = new Set(unused.slice(0, Math.max(unused.length - UNUSED_STACKS, 0)));
  return { totals, stacks: new Map([...stacks].filter(([key]) => !forgotten.has(key))) };
}
