/** A JSON document from outside is refused. `message` gives the reason for the error that the caller throws. */
export class JsonRefused extends Error {}

/** Manifests nest 4 levels deep, image configurations 5. A much deeper document attacks recursive readers. */
const MAX_DEPTH = 64;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const COLON = 0x3a;
const POINT = 0x2e;
const SMALL_E = 0x65;
const CAPITAL_E = 0x45;

/**
 * Parses a JSON document, and refuses invalid UTF-8, more than `maxBytes`, a depth over 64, a key `__proto__`, and an
 * object that has a key twice: readers differ in which of the two counts, so that a digest would have two meanings.
 * A number that is not written as a whole number (`1e3`, `1.0`) is NaN, which no schema takes: the numbers of these
 * documents are integers, and Go's encoding/json refuses such text for an integer.
 * @throws JsonRefused
 */
export function parseJson(bytes: Uint8Array, maxBytes: number): unknown {
  if (bytes.length > maxBytes)
    throw new JsonRefused(`it has ${bytes.length} bytes, more than the ${maxBytes} allowed`);
  const allWhole = scan(bytes);
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return allWhole ? JSON.parse(text) : JSON.parse(text, wholeNumbers);
  } catch {
    // The parser's message quotes the document, which may be a login page or hold secrets.
    throw new JsonRefused('it is not JSON');
  }
}

/** A reviver for JSON.parse, which hands it the text of each number. */
function wholeNumbers(_key: string, value: unknown, { source }: { source?: string } = {}): unknown {
  return typeof value === 'number' && /[.eE]/.test(source ?? '') ? Number.NaN : value;
}

/**
 * Checks depth and keys before the real parser runs, which then finds broken syntax.
 * @returns false where a number has a fraction or an exponent
 */
function scan(bytes: Uint8Array): boolean {
  let allWhole = true;
  /** Keys seen in each open object; undefined for an open array. */
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < bytes.length; at += 1) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      const end = endOfString(bytes, at);
      const keys = open.at(-1);
      if (keys !== undefined && nextIsColon(bytes, end + 1)) addKey(keys, bytes.subarray(at, end + 1), at);
      at = end;
    } else if (byte === OPEN_OBJECT || byte === OPEN_ARRAY) {
      open.push(byte === OPEN_OBJECT ? new Set() : undefined);
      if (open.length > MAX_DEPTH) throw new JsonRefused(`it nests deeper than ${MAX_DEPTH} levels`);
    } else if (byte === CLOSE_OBJECT || byte === CLOSE_ARRAY) {
      open.pop();
    } else if (byte === POINT || ((byte === SMALL_E || byte === CAPITAL_E) && isDigit(bytes[at - 1]))) {
      allWhole = false;
    }
  }
  return allWhole;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Index of the closing quote of the string that starts at `start`. */
function endOfString(bytes: Uint8Array, start: number): number {
  for (let at = start + 1; at < bytes.length; at += 1) {
    if (bytes[at] === BACKSLASH) at += 1;
    else if (bytes[at] === QUOTE) return at;
  }
  return bytes.length;
}

function nextIsColon(bytes: Uint8Array, from: number): boolean {
  let at = from;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) at += 1;
  return bytes[at] === COLON;
}

function addKey(keys: Set<string>, quoted: Uint8Array, at: number): void {
  const key = unquote(quoted);
  if (key === '__proto__') throw new JsonRefused('it has a key "__proto__"');
  // The message names the offset and not the key, since the document may be any file of the machine.
  if (keys.has(key)) throw new JsonRefused(`it has a key twice, at byte ${at} again`);
  keys.add(key);
}

/** The key a reader sees: `"di\u0067est"` and `"digest"` are the same. */
function unquote(quoted: Uint8Array): string {
  const text = Buffer.from(quoted.buffer, quoted.byteOffset, quoted.byteLength).toString('utf8');
  if (!text.includes('\\')) return text.slice(1, -1);
  try {
    return String(JSON.parse(text));
  } catch {
    throw new JsonRefused('it is not JSON');
  }
}
