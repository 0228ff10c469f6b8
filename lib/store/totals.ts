/**
 * A running total of committed quota and layer bytes: `meta/totals`, a line for every change. It only decides
 * whether a create starts a clean, so it may be a little wrong (appends by creates race with the rewrite by
 * `clean`, which puts it right); measuring for real would read every record in the store.
 */

import type { Logger } from '../base/log.ts';
import { close, openAt, writeAll } from '../sys/files.ts';
import { AT_FDCWD, O } from '../sys/libc.ts';
import { bytesOfText } from '../sys/utf8.ts';
import { MAX_TOTALS_BYTES } from './ceilings.ts';
import type { Measured } from './measure.ts';
import { readFact } from './read-file.ts';
import { replaceSmall } from './staging.ts';
import type { Store } from './store.ts';

/** Counted anew. A disk without room for that is what a clean is there for: it goes on. */
export function writeTotals(store: Store, measured: Measured, log: Logger): void {
  const { layout } = store;
  const bytes = measured.committedBytes + measured.layerBytes;
  try {
    replaceSmall(layout, layout.totals, 'totals', bytesOfText(`${bytes}\n`));
  } catch (error) {
    log.error('totals-not-written', error, { bytes });
  }
}

/**
 * Bytes come or gone; one small append, whole or not at all. What has been made or deleted by then is not undone
 * for want of it: the next clean counts anew.
 */
export function addToTotals(store: Store, bytes: number, log: Logger): void {
  if (bytes === 0) return;
  try {
    append(store, bytes);
  } catch (error) {
    log.error('totals-not-written', error, { bytes });
  }
}

function append(store: Store, bytes: number): void {
  const fd = openAt(AT_FDCWD, store.layout.totals, O.WRONLY | O.CREAT | O.APPEND, 0o600);
  try {
    writeAll(fd, bytesOfText(`${bytes}\n`), store.layout.totals);
  } finally {
    close(fd);
  }
}

/** Whether a clean would act, as far as known. @param threshold bytes of quota and layers; 0: always */
export function cleanIsDue(store: Store, threshold: number): boolean {
  return threshold === 0 || readTotals(store) >= threshold;
}

/** Committed quota plus layer bytes, as far as known. */
function readTotals(store: Store): number {
  const lines = (readFact(store.layout.totals, MAX_TOTALS_BYTES) ?? '').split('\n');
  return lines.reduce((sum, line) => sum + (Number.parseInt(line, 10) || 0), 0);
}
