import { silentLogger } from '../../base/log.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_FACT_BYTES } from '../layout/ceilings.ts';
import type { Layout } from '../layout/layout.ts';
import { parseOwn } from '../layout/own-json.ts';
import { readFact } from '../layout/read-file.ts';
import { replaceSmall } from '../layout/staging.ts';
import { addToTotals } from './totals.ts';

/**
 * Small remembered facts that can always be found out again: written whole by a rename, never synced,
 * and read as absent when they are not what they should be.
 */
export function remember(layout: Layout, path: string, value: unknown): void {
  const bytes = bytesOfText(`${JSON.stringify(value)}\n`);
  replaceSmall(layout, path, 'record', bytes);
  addToTotals({ layout }, { factBytes: bytes.length }, silentLogger);
}

/** The remembered value, or undefined where there is none or `accept` refuses it. */
export function recall<T>(path: string, accept: (value: unknown) => value is T): T | undefined {
  const text = readFact(path, MAX_FACT_BYTES);
  const value = text === undefined ? undefined : parseOwn(text);
  return accept(value) ? value : undefined;
}
