/** The most characters of a name that errors and logs show (hostile names reach 4096 bytes and more). */
const MAX_SHOWN = 256;

/**
 * A name from outside, fit for a terminal and a log line: cut to 256 characters; control characters,
 * bidirectional overrides and bytes that are not UTF-8 as `\xNN` or `\u{N}` escapes.
 */
export function printable(name: string | Uint8Array): string {
  const text = typeof name === 'string' ? name : decodeLossless(name);
  // Every SysError shows a path, also those that are expected and caught: no regular expression for plain names.
  if (text.length <= MAX_SHOWN && isPlain(text)) return text;
  const escaped = visible(text);
  return escaped.length > MAX_SHOWN ? `${escaped.slice(0, MAX_SHOWN)}…` : escaped;
}

/** Text in which characters that a terminal obeys or hides are written as `\u{N}`. The result is a single line. */
export function visible(text: string): string {
  return escapeActing(text, (c) => `\\u{${(c.codePointAt(0) ?? 0).toString(16)}}`);
}

/**
 * Replaces characters that a terminal obeys or hides: control characters, bidirectional and invisible ones, halves of
 * surrogate pairs. The regular expression is made inside, since most texts are plain ASCII and need none.
 */
export function escapeActing(text: string, shown: (char: string) => string): string {
  if (isPlain(text)) return text;
  return text.replace(
    /[\x00-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff\u{e0000}-\u{e007f}]/gu,
    shown,
  );
}

/** Printable ASCII. */
function isPlain(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) {
    const code = text.charCodeAt(i);
    if (code < 0x20 || code > 0x7e) return false;
  }
  return true;
}

function decodeLossless(bytes: Uint8Array): string {
  const cut = bytes.length > 4 * MAX_SHOWN ? bytes.subarray(0, 4 * MAX_SHOWN) : bytes;
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(cut);
  } catch {
    return Buffer.from(cut)
      .toString('latin1')
      .replace(/[\x80-\xff]/g, (c) => `\\x${c.charCodeAt(0).toString(16)}`);
  }
}

/**
 * A single line from a foreign text (a registry's error, a program's complaint), at most `max` characters long. Characters
 * that control a terminal or break a line become a space; characters that turn or hide letters are removed.
 */
export function oneLine(text: string, max = 400): string {
  const flat = text
    .replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029]+/g, ' ')
    .replace(/[\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g, '')
    .trim();
  return flat.length > max ? `${flat.slice(0, max)}…` : flat;
}
