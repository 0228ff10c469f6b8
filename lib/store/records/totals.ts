/**
 * Running totals of what a clean goes by: `meta/totals`. They only decide whether a create starts a clean, so they may be
 * a little wrong; measuring for real would read every record in the store.
 *
 *   = COMMITTED LAYERS FACTS     what a clean has counted, in bytes
 *   + COMMITTED LAYERS FACTS     what came since, or went with a sign: one line a change
 *
 * Each line is appended whole by one write(2). An append that races with a rewrite is lost until the next clean counts
 * anew. Totals that nobody has counted yet, or that make no sense, mean that a clean is due: it puts them right.
 */

import { KiB, MiB } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { close, openAt, writeAll } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_FACTS_BYTES, MAX_TOTALS_BYTES } from '../layout/ceilings.ts';
import type { Layout } from '../layout/layout.ts';
import { readFact } from '../layout/read-file.ts';
import { replaceSmall } from '../layout/staging.ts';

/** Bytes; with a sign where they are a change. */
export interface Totals {
  /** Limits of all images. */
  readonly committedBytes: number;
  /** What layers take on the disk. */
  readonly layerBytes: number;
  /** What the store remembers: manifests, plans, records. */
  readonly factBytes: number;
}

const NONE: Totals = { committedBytes: 0, layerBytes: 0, factBytes: 0 };

/** A create that reads more than this makes one line of it: 1,000 lines, which cost it a tenth of a millisecond. */
const COMPACT_FROM = 32 * KiB;

/** What may come between two cleans, of facts that a clean cuts down to their bounds whatever the threshold is. */
const FACTS_SLACK = 64 * MiB;

/** Of a store without any layer. */
export function startTotals(layout: Layout, log: Logger): void {
  writeTotals({ layout }, NONE, log);
}

/** Counted anew. A disk without room for that is what a clean is there for: it goes on. */
export function writeTotals({ layout }: { readonly layout: Layout }, measured: Totals, log: Logger): void {
  const text = line('=', measured);
  try {
    replaceSmall(layout, layout.totals, 'totals', bytesOfText(text));
  } catch (error) {
    log.error('totals-not-written', error, { totals: text.trim() });
  }
}

/**
 * Bytes come or gone; one small append, whole or not at all. What has been made or deleted by then is not undone
 * for want of it: the next clean counts anew.
 */
export function addToTotals(
  { layout }: { readonly layout: Layout },
  change: Partial<Totals>,
  log: Logger,
): void {
  const all = { ...NONE, ...change };
  if (all.committedBytes === 0 && all.layerBytes === 0 && all.factBytes === 0) return;
  const text = line('+', all);
  try {
    append(layout, text);
  } catch (error) {
    log.error('totals-not-written', error, { totals: text.trim() });
  }
}

function line(sign: '=' | '+', { committedBytes, layerBytes, factBytes }: Totals): string {
  return `${sign} ${committedBytes} ${layerBytes} ${factBytes}\n`;
}

function append(layout: Layout, text: string): void {
  const fd = openAt(AT_FDCWD, layout.totals, O.WRONLY | O.CREAT | O.APPEND | O.NOFOLLOW | O.NONBLOCK, 0o600);
  try {
    writeAll(fd, bytesOfText(text), layout.totals);
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
  const text = readFact(store.layout.totals, MAX_TOTALS_BYTES);
  const totals = text === undefined ? undefined : sumOf(text);
  if (text !== undefined && text.length > COMPACT_FROM && totals !== undefined)
    writeTotals(store, totals, log);
  return totals;
}

const LINE = /^([=+]) (-?\d{1,16}) (-?\d{1,16}) (-?\d{1,16})$/;

function sumOf(text: string): Totals | undefined {
  let [committedBytes, layerBytes, factBytes] = [0, 0, 0];
  const lines = text.split('\n');
  if (lines.pop() !== '') return undefined;
  for (const [at, one] of lines.entries()) {
    const [, sign, committed, layers, facts] = LINE.exec(one) ?? [];
    if (sign !== (at === 0 ? '=' : '+')) return undefined;
    committedBytes += Number(committed);
    layerBytes += Number(layers);
    factBytes += Number(facts);
  }
  const sums = [committedBytes, layerBytes, factBytes];
  if (lines.length === 0 || !sums.every((sum) => Number.isSafeInteger(sum) && sum >= 0)) return undefined;
  return { committedBytes, layerBytes, factBytes };
}
