import type { LogData } from '../../lib/base/log.ts';
import { goJson } from './output.ts';

/**
 * The most bytes of a line's `data` as JSON. The whole line must stay under 4096 bytes (PIPE_BUF, up to which a write to a
 * pipe is atomic); time, level, source and the longest event name need less than the difference.
 */
export const MAX_DATA_BYTES = 3700;

/** The longest text and the longest list at each attempt to shorten the data. */
const ATTEMPTS = [
  [1024, 64],
  [256, 16],
  [64, 4],
] as const;

/** The keys that must be strings: otherwise Garden's reader does not accept the line as lager's. */
const TEXTS = ['error', 'trace', 'session'] as const;

/** The facts of a line as plain JSON values with sorted keys, shortened where they are too long for a line. */
export function fitData(data: LogData): Record<string, unknown> {
  const plain = plainObject(data);
  if (fits(plain)) return plain;
  for (const [text, list] of ATTEMPTS) {
    const cut = { ...(shorten(plain, text, list) as Record<string, unknown>), cut: true };
    if (fits(cut)) return cut;
  }
  return {
    cut: true,
    error: shorten(plain['error'] ?? 'too much data for a line', 256, 1),
    session: plain['session'],
  };
}

function fits(value: unknown): boolean {
  return Buffer.byteLength(goJson(value)) <= MAX_DATA_BYTES;
}

/** The data as JSON values. A value that JSON cannot hold becomes text, so that the line is not lost. */
function plainObject(data: LogData): Record<string, unknown> {
  const sorted = Object.fromEntries(Object.entries(data).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
  try {
    const plain = JSON.parse(JSON.stringify(sorted, replaceUnwritable)) as Record<string, unknown>;
    for (const name of TEXTS)
      if (name in plain && typeof plain[name] !== 'string') plain[name] = JSON.stringify(plain[name]);
    return plain;
  } catch (error) {
    return { error: String(error), session: String(data['session']) };
  }
}

function replaceUnwritable(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return String(value);
  if (value instanceof Error) return value.message;
  return value;
}

function shorten(value: unknown, text: number, list: number): unknown {
  if (typeof value === 'string') return value.length > text ? `${value.slice(0, text)}…` : value;
  if (Array.isArray(value)) return value.slice(0, list).map((member) => shorten(member, text, list));
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, list)
      .map(([name, member]) => [name.slice(0, text), shorten(member, text, list)]),
  );
}
