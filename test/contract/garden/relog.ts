/**
 * What Garden makes of a plugin's stderr (guardian, imageplugin/relogger.go over lager's chug): every chunk that
 * one read of the pipe delivers, 32 KiB at most, is split at newlines, and each piece is a lager line or an
 * error of Garden's own. A lager line without `data` kills Garden.
 */
import { GoError, type Json, parseFirst } from './json.ts';

export const READ_BYTES = 32 * 1024;

/** The whole server would have died: "assignment to entry in nil map". */
export class GardenDies extends Error {}

export type Relogged =
  | {
      readonly lager: true;
      readonly level: 'debug' | 'info' | 'error' | 'fatal';
      readonly timestamp: string;
      readonly source: string;
      readonly message: string;
      readonly data: ReadonlyMap<string, Json>;
    }
  | { readonly lager: false; readonly output: string };

/** All entries of a stderr. @param chunks as read(2) delivered them. @throws GardenDies */
export function relog(chunks: readonly Uint8Array[]): Relogged[] {
  return chunks.flatMap((chunk) => {
    if (chunk.length > READ_BYTES) throw new Error('Garden reads 32 KiB at a time: split the chunk');
    const lines = new TextDecoder().decode(chunk).split('\n');
    return lines.filter((line) => line !== '').map(entry);
  });
}

const LEVELS = ['debug', 'info', 'error', 'fatal'] as const;

function entry(line: string): Relogged {
  const other: Relogged = { lager: false, output: line };
  const brace = line.indexOf('{');
  if (brace < 0) return other;
  const members = decodeObject(line.slice(brace));
  if (members === undefined) return other;
  const [timestamp, source, message] = [
    textOf(members, 'timestamp'),
    textOf(members, 'source'),
    textOf(members, 'message'),
  ];
  const level = levelOf(members);
  if (!isTimestamp(timestamp) || source === undefined || message === undefined || level === undefined)
    return other;
  const data = members.get('data');
  if (data !== undefined && data.type !== 'null' && data.type !== 'object') return other;
  const facts = data?.type === 'object' ? data.members : undefined;
  for (const name of ['session', 'trace', ...(level === 'error' || level === 'fatal' ? ['error'] : [])])
    if (facts?.has(name) && facts.get(name)?.type !== 'string') return other;
  if (facts === undefined) throw new GardenDies(line);
  return { lager: true, level, timestamp: timestamp ?? '', source, message, data: facts };
}

function decodeObject(text: string): ReadonlyMap<string, Json> | undefined {
  try {
    const value = parseFirst(text);
    return value.type === 'object' ? value.members : undefined;
  } catch (error) {
    if (error instanceof GoError) return undefined;
    throw error;
  }
}

/** A Go string field: '' where it is absent or null, undefined where it has another type. */
function textOf(members: ReadonlyMap<string, Json>, name: string): string | undefined {
  const value = members.get(name);
  if (value === undefined || value.type === 'null') return '';
  return value.type === 'string' ? value.value : undefined;
}

/** Epoch seconds, or RFC 3339 with any fraction. */
function isTimestamp(text: string | undefined): boolean {
  if (text === undefined || text === '') return false;
  if (/^[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?$/.test(text)) return true;
  return (
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/.test(text) &&
    !Number.isNaN(Date.parse(text))
  );
}

function levelOf(members: ReadonlyMap<string, Json>): (typeof LEVELS)[number] | undefined {
  const name = members.get('level');
  if (name !== undefined && name.type !== 'null')
    return name.type === 'string' ? LEVELS.find((level) => level === name.value) : undefined;
  const number = members.get('log_level');
  if (number === undefined || number.type === 'null') return 'debug';
  return number.type === 'number' && /^[0-3]$/.test(number.literal)
    ? LEVELS[Number(number.literal)]
    : undefined;
}
