import { escapeActing, visible } from '../../lib/base/text.ts';
import { hasCode } from '../../lib/sys/kernel/errno.ts';
import { check, libc, libcWorks } from '../../lib/sys/kernel/libc.ts';

export type Mark = 'good' | 'warning' | 'bad';

/** Colours of a terminal (ECMA-48, SGR): green, yellow, red. */
const COLOURS: Readonly<Record<Mark, string>> = { good: '32', warning: '33', bad: '31' };

/** `mark` for a terminal with colours. */
export function colouredMark(kind: Mark, word: string, rest: string): void {
  writeFully(1, `\x1b[${COLOURS[kind]}m${visible(word)}\x1b[0m${visible(rest)}\n`);
}

/**
 * The only way to stdout. All methods throw when stdout has no reader (EPIPE), since the answer is then lost. They escape
 * characters that a terminal obeys, so that callers need not.
 */
export interface Output {
  /** Writes a JSON value and a newline. */
  json(value: unknown): void;
  /** Writes the same as `json` of an array, value by value: only one of them is in memory. */
  jsonList(values: Iterable<unknown>): void;
  /** Writes a single line; newlines in it are escaped. */
  text(line: string): void;
  /** Writes values in one line, with tabulators between them; those within a value are escaped. */
  row(values: readonly (string | number)[]): void;
  /** Writes a line whose first word is coloured on a terminal that has colours. */
  mark(kind: Mark, word: string, rest: string): void;
  /** Writes several lines, of a help text or a script. */
  page(lines: string): void;
}

/**
 * JSON with `<`, `>`, `&` and the two line separators escaped, as Go's encoding/json writes it: GrootFS's output has this
 * form, and scripts may compare text. Characters that a terminal obeys are escaped too.
 */
export function goJson(value: unknown): string {
  return escapeJson(JSON.stringify(value));
}

const HTML = ['<', '>', '&'] as const;

/** Escapes JSON text. These characters occur only within its strings, so the value stays the same. */
export function escapeJson(json: string): string {
  let escaped = json;
  for (const c of HTML) if (escaped.includes(c)) escaped = escaped.replaceAll(c, unicodeEscape(c));
  return escapeActing(escaped, unicodeEscape);
}

function unicodeEscape(char: string): string {
  let escaped = '';
  // JSON escapes each half of a surrogate pair.
  for (let i = 0; i < char.length; i += 1)
    escaped += `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`;
  return escaped;
}

/** Milliseconds between attempts to write to a full pipe that its reader made non-blocking. */
const FULL_PIPE_MS = 1;

/** Writes the whole text. `process.stdout` would cost 13 ms at start, and `node:fs` 0.9 ms (measured). */
export function writeFully(fd: number, text: string): void {
  const bytes = new TextEncoder().encode(text);
  for (let at = 0; at < bytes.length; ) {
    try {
      at += writeOnce(fd, at === 0 ? bytes : bytes.subarray(at));
    } catch (error) {
      if (!hasCode(error, 'EAGAIN', 'EINTR')) throw error;
      Bun.sleepSync(FULL_PIPE_MS);
    }
  }
}

/** Calls write(2) once. @returns bytes written. @throws SysError, or the error of node:fs */
export function writeOnce(fd: number, bytes: Uint8Array): number {
  // Where libc cannot be called, the sentence about that still has to be written.
  if (!libcWorks) return (require('node:fs') as typeof import('node:fs')).writeSync(fd, bytes);
  return check(Number(libc.write(fd, bytes, bytes.length)), 'write', `file descriptor ${fd}`);
}

export const stdout: Output = {
  json: (value) => writeFully(1, `${goJson(value)}\n`),
  jsonList: (values) => {
    let before = '[';
    for (const value of values) {
      writeFully(1, `${before}${goJson(value)}`);
      before = ',';
    }
    writeFully(1, before === '[' ? '[]\n' : ']\n');
  },
  text: (line) => writeFully(1, `${visible(line)}\n`),
  mark: (_, word, rest) => writeFully(1, `${visible(word + rest)}\n`),
  row: (values) => writeFully(1, `${values.map((value) => visible(String(value))).join('\t')}\n`),
  page: (lines) => writeFully(1, `${lines.split('\n').map(visible).join('\n')}\n`),
};
