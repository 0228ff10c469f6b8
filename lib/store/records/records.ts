import { silentLogger } from '../../base/log.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_FACT_BYTES } from '../layout/ceilings.ts';
import type { Layout } from '../layout/layout.ts';
import { parseOwn } from '../layout/own-json.ts';
import { readFact } from '../layout/read-file.ts';
import { replaceSmall } from '../layout/staging.ts';
import { addToTotals } from './totals.ts';

/**
 * Remembers a small fact that graft can find out again. The file is written whole by a rename and never synced; a
 * reader treats a damaged file as missing.
 */
export function remember(layout: Layout, path: string, value: unknown): void {
  const bytes = bytesOfText(`${JSON.stringify(value)}\n`);
  replaceSmall(layout, path, 'record', bytes);
  addToTotals({ layout }, { factBytes: bytes.length }, silentLogger);
}

/** The remembered value; undefined where there is none or where `accept` refuses it. */
export function recall<T>(path: string, accept: (value: unknown) => value is T): T | undefined {
  const text = readFact(path, MAX_FACT_BYTES);
  const value = text === undefined ? undefined : parseOwn(text);
  return accept(value) ? value : undefined;
}
