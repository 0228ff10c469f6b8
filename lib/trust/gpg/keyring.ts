/** A keyring of a policy as gpgv takes it: OpenPGP packets without armour (RFC 4880). */

/** A fault of a keyring; the message follows its path and has no full stop. */
export class KeyringProblem extends Error {}

export interface Keyring {
  readonly bytes: Uint8Array;
  /**
   * Milliseconds since 1970 at which some key of the ring may end, which are in the ring's own signatures. gpgv tells of a
   * key that has expired, and not when one will.
   */
  readonly ends: readonly number[];
}

const PUBLIC_KEY = 6;
const PUBLIC_SUBKEY = 14;
const SIGNATURE = 2;
const KEY_EXPIRATION = 9;
const BLOCK = /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n([\s\S]*?)\r?\n-----END PGP PUBLIC KEY BLOCK-----/g;

/** Removes the armour, where there is one, and looks through the packets. @throws KeyringProblem */
export function readKeyring(given: Uint8Array): Keyring {
  // The first byte of a packet has its highest bit set, and that of a text has not.
  const bytes = ((given[0] ?? 0) & 0x80) === 0 ? dearmour(Buffer.from(given).toString('latin1')) : given;
  return { bytes, ends: endsOf(bytes) };
}

function dearmour(text: string): Uint8Array {
  const blocks = [...text.matchAll(BLOCK)].map(([, content = '']) => decode(content));
  if (blocks.length === 0) throw new KeyringProblem('it is neither a keyring nor an armoured one');
  return Buffer.concat(blocks);
}

/** Headers up to an empty line, base64, and a checksum, which protects against accidents only and is not compared. */
function decode(content: string): Uint8Array {
  const lines = content.split('\n').map((line) => line.trim());
  const body = lines.slice(lines[0]?.includes(': ') === true || lines[0] === '' ? lines.indexOf('') + 1 : 0);
  const data = body.filter((line) => line !== '' && !/^=[A-Za-z0-9+/]{4}$/.test(line)).join('');
  if (data === '' || data.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(data))
    throw new KeyringProblem('its armour is broken');
  return Buffer.from(data, 'base64');
}

/** @throws KeyringProblem for what is not a list of packets, and for a ring without a public key */
function endsOf(bytes: Uint8Array): number[] {
  const ends: number[] = [];
  let created: number | undefined;
  for (const { tag, body } of packets(bytes)) {
    if (tag === PUBLIC_KEY || tag === PUBLIC_SUBKEY) created = number(body, 1, 4) * 1000;
    if (tag !== SIGNATURE || created === undefined) continue;
    for (const seconds of expirations(body)) ends.push(created + seconds * 1000);
  }
  if (created === undefined) throw new KeyringProblem('it has no public key');
  return ends;
}

interface Packet {
  readonly tag: number;
  readonly body: Uint8Array;
}

function* packets(bytes: Uint8Array): Generator<Packet> {
  for (let at = 0; at < bytes.length; ) {
    const first = bytes[at] ?? 0;
    if ((first & 0x80) === 0) throw new KeyringProblem('it has bytes that are no packet');
    const isNew = (first & 0x40) !== 0;
    const tag = isNew ? first & 0x3f : (first >> 2) & 0x0f;
    const { start, length } = isNew ? newLength(bytes, at + 1) : oldLength(bytes, at + 1, first & 3);
    if (start + length > bytes.length) throw new KeyringProblem('it is cut off');
    yield { tag, body: bytes.subarray(start, start + length) };
    at = start + length;
  }
}

function oldLength(bytes: Uint8Array, at: number, type: number): { start: number; length: number } {
  if (type === 3) throw new KeyringProblem('it has a packet without a length');
  const size = 1 << type;
  return { start: at + size, length: number(bytes, at, size) };
}

function newLength(bytes: Uint8Array, at: number): { start: number; length: number } {
  const first = bytes[at] ?? 0;
  if (first < 192) return { start: at + 1, length: first };
  if (first < 224) return { start: at + 2, length: ((first - 192) << 8) + (bytes[at + 1] ?? 0) + 192 };
  if (first < 255) throw new KeyringProblem('it has a packet without a length');
  return { start: at + 5, length: number(bytes, at + 1, 4) };
}

/** Big-endian. Missing bytes count as 0; a length that is wrong by that is found later. */
function number(bytes: Uint8Array, at: number, size: number): number {
  let value = 0;
  for (let i = at; i < at + size; i += 1) value = value * 256 + (bytes[i] ?? 0);
  return value;
}

/** The lifetimes of keys, in seconds, that a signature of version 4 sets in its hashed part. */
function* expirations(signature: Uint8Array): Generator<number> {
  if (signature[0] !== 4) return;
  const end = 6 + number(signature, 4, 2);
  for (let at = 6; at < end && at < signature.length; ) {
    const { start, length } = subpacketLength(signature, at);
    if (((signature[start] ?? 0) & 0x7f) === KEY_EXPIRATION) yield number(signature, start + 1, 4);
    at = start + Math.max(length, 1);
  }
}

function subpacketLength(bytes: Uint8Array, at: number): { start: number; length: number } {
  const first = bytes[at] ?? 0;
  if (first < 192) return { start: at + 1, length: first };
  if (first < 255) return { start: at + 2, length: ((first - 192) << 8) + (bytes[at + 1] ?? 0) + 192 };
  return { start: at + 5, length: number(bytes, at + 1, 4) };
}
