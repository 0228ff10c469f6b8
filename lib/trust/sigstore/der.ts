/**
 * Reads the distinguished encoding rules of ASN.1 (X.690, section 10), as certificates use them. Another encoding of the
 * same value is refused: readers differ in what they make of it.
 */
import { Refused } from './refused.ts';

/** A value with its tag, and its bytes with and without tag and length. */
export interface Element {
  readonly tag: number;
  readonly whole: Uint8Array;
  readonly content: Uint8Array;
}

export const BOOLEAN = 0x01;
export const INTEGER = 0x02;
export const BIT_STRING = 0x03;
export const OCTET_STRING = 0x04;
export const NULL = 0x05;
export const OID = 0x06;
export const UTF8_STRING = 0x0c;
const UTC_TIME = 0x17;
const GENERALIZED_TIME = 0x18;
export const SEQUENCE = 0x30;

export function notDer(reason: string): Refused {
  return new Refused('malformed', reason);
}

/** The element that the bytes are. @throws Refused (malformed), also where bytes follow */
export function readDer(bytes: Uint8Array): Element {
  const element = elementAt(bytes, 0);
  if (element.whole.length !== bytes.length) throw notDer('bytes follow its end');
  return element;
}

/** The elements inside a constructed one, in order. @throws Refused (malformed) */
export function fieldsOf(element: Element, tag: number = SEQUENCE): Fields {
  if (element.tag !== tag) throw notDer(`a field has tag ${element.tag} where ${tag} is due`);
  return new Fields(element.content);
}

/** Takes one element after the other. */
export class Fields {
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
  }

  get more(): boolean {
    return this.#at < this.#bytes.length;
  }

  /** The next element. @throws Refused when there is none, or when it has another tag */
  take(tag?: number): Element {
    if (!this.more) throw notDer('a field is missing');
    const element = elementAt(this.#bytes, this.#at);
    if (tag !== undefined && element.tag !== tag)
      throw notDer(`a field has tag ${element.tag} where ${tag} is due`);
    this.#at += element.whole.length;
    return element;
  }

  /** The next element where it has the tag; undefined where another element or none comes. */
  maybe(tag: number): Element | undefined {
    return this.more && this.#bytes[this.#at] === tag ? this.take(tag) : undefined;
  }

  end(): void {
    if (this.more) throw notDer('it has a field too many');
  }
}

function elementAt(bytes: Uint8Array, at: number): Element {
  const tag = bytes[at];
  const first = bytes[at + 1];
  if (tag === undefined || first === undefined) throw notDer('it ends inside a field');
  // Certificates have no tag of several bytes.
  if ((tag & 0x1f) === 0x1f) throw notDer('a field has a tag of several bytes');
  const { start, length } =
    first < 0x80 ? { start: at + 2, length: first } : longLength(bytes, at + 1, first & 0x7f);
  const end = start + length;
  if (end > bytes.length) throw notDer('it ends inside a field');
  return { tag, whole: bytes.subarray(at, end), content: bytes.subarray(start, end) };
}

/** A length of 128 and more: the number of its bytes, then the length without leading zeros. */
function longLength(bytes: Uint8Array, at: number, count: number): { start: number; length: number } {
  if (count === 0 || count > 3) throw notDer('a field has a length without end, or of 16 MiB and more');
  let length = 0;
  for (let i = 1; i <= count; i += 1) length = length * 256 + (bytes[at + i] ?? 0);
  if (length < 0x80 || length < 256 ** (count - 1)) throw notDer('a length is not in its shortest form');
  return { start: at + 1 + count, length };
}

/** The dotted form of an object identifier. @throws Refused (malformed) */
export function oidOf({ content }: Element): string {
  const arcs: number[] = [];
  let arc = 0;
  let fresh = true;
  for (const byte of content) {
    if (fresh && byte === 0x80) throw notDer('an object identifier is not in its shortest form');
    arc = arc * 128 + (byte & 0x7f);
    if (arc > Number.MAX_SAFE_INTEGER) throw notDer('an object identifier is too large');
    fresh = byte < 0x80;
    if (fresh) {
      arcs.push(arc);
      arc = 0;
    }
  }
  const [first, ...rest] = arcs;
  if (first === undefined || !fresh) throw notDer('an object identifier is not complete');
  const root = Math.min(Math.floor(first / 40), 2);
  return [root, first - root * 40, ...rest].join('.');
}

/** A small number. @throws Refused for a negative one, a large one, or another form than the shortest */
export function smallNumberOf({ content }: Element): number {
  requireInteger(content);
  if (content.length > 4 || (content[0] ?? 0) >= 0x80) throw notDer('a number is negative or too large');
  return content.reduce((number, byte) => number * 256 + byte, 0);
}

/** Checks that an integer is in its shortest form. @throws Refused (malformed) */
export function requireInteger(content: Uint8Array): void {
  const [first, second] = content;
  if (first === undefined) throw notDer('a number is empty');
  if (second === undefined) return;
  if ((first === 0 && second < 0x80) || (first === 0xff && second >= 0x80))
    throw notDer('a number is not in its shortest form');
}

export function booleanOf({ content }: Element): boolean {
  if (content.length !== 1 || (content[0] !== 0 && content[0] !== 0xff))
    throw notDer('a truth value is neither');
  return content[0] === 0xff;
}

/** The bytes of a bit string that has whole bytes. */
export function wholeBitsOf({ content }: Element): Uint8Array {
  if (content[0] !== 0) throw notDer('a bit string does not have whole bytes');
  return content.subarray(1);
}

/** The set bits of a short bit string, the first one as 1, the second as 2, the third as 4 and so on. */
export function flagsOf({ content }: Element): number {
  const [unused, ...bytes] = content;
  if (unused === undefined || unused > 7 || bytes.length > 2)
    throw notDer('a bit string is too long or not whole');
  let flags = 0;
  for (let bit = 0; bit < bytes.length * 8; bit += 1)
    if (((bytes[bit >> 3] ?? 0) & (0x80 >> (bit & 7))) !== 0) flags |= 1 << bit;
  return flags;
}

/** Printable ASCII. Addresses, host names and URIs in certificates have nothing else (RFC 5280, 4.2.1.6). */
export function asciiOf({ content }: Element): string {
  const text = Buffer.from(content).toString('latin1');
  if (!/^[\x20-\x7e]*$/.test(text)) throw notDer('a name has other characters than printable ASCII');
  return text;
}

const TIME = /^(\d{2}|\d{4})(\d{2})(\d{2})(\d{2})(\d{2})(\d{2})Z$/;

/** Milliseconds since 1970. @throws Refused for other forms than those of RFC 5280, 4.1.2.5 */
export function timeOf({ tag, content }: Element): number {
  if (tag !== UTC_TIME && tag !== GENERALIZED_TIME) throw notDer('a date has another type than dates have');
  const text = Buffer.from(content).toString('latin1');
  if (text.length !== (tag === UTC_TIME ? 13 : 15)) throw notDer('a date has another form than dates have');
  const [, year = '', ...rest] = TIME.exec(text) ?? [];
  const full = year.length === 2 ? `${Number(year) < 50 ? '20' : '19'}${year}` : year;
  const [month = '', day = '', hour = '', minute = '', second = ''] = rest;
  const iso = `${full}-${month}-${day}T${hour}:${minute}:${second}.000Z`;
  const time = Date.parse(iso);
  // The 31st of February is parsed as a day of March.
  if (Number.isNaN(time) || new Date(time).toISOString() !== iso) throw notDer('a date does not exist');
  return time;
}
