/** Damages texts with JSON, base64, PEM and DER inside, at any depth. */
import type { Random } from '../property/random.ts';

/** The same bytes with one to three changes. */
export function damaged(random: Random, bytes: Buffer): Buffer {
  let changed = bytes;
  for (let times = 1 + random.below(3); times > 0; times -= 1)
    changed = random.pick(CHANGES)(random, changed);
  return changed;
}

type Change = (random: Random, bytes: Buffer) => Buffer;

const flip: Change = (random, bytes) => {
  const changed = Buffer.from(bytes);
  if (changed.length > 0) changed[random.below(changed.length)] = random.below(256);
  return changed;
};

const cut: Change = (random, bytes) => bytes.subarray(0, random.below(bytes.length + 1));

const splice = (random: Random, bytes: Buffer, insert: Buffer): Buffer => {
  const at = random.below(bytes.length + 1);
  return Buffer.concat([
    bytes.subarray(0, at),
    insert,
    bytes.subarray(at + (random.chance(0.5) ? random.below(8) : 0)),
  ]);
};

const PIECES = [
  '"',
  ',',
  '{',
  '}',
  '[]',
  'null',
  '\\u0000',
  '1e99',
  '-0',
  '=',
  '\n',
  '\r\n',
  '\0',
  '\xff',
  '-----BEGIN CERTIFICATE-----\n',
  '"optional":null,',
  '"__proto__":{},',
];
const insert: Change = (random, bytes) => splice(random, bytes, Buffer.from(random.pick(PIECES), 'latin1'));

/** A part of the bytes once more, elsewhere. */
const repeat: Change = (random, bytes) => {
  const from = random.below(bytes.length + 1);
  return splice(random, bytes, bytes.subarray(from, from + random.below(64)));
};

/** The bytes inside a base64 text are damaged, and the text is right again. */
const inBase64: Change = (random, bytes) => {
  const text = bytes.toString('latin1');
  const found = [...text.matchAll(/[A-Za-z0-9+/\n]{16,}={0,2}/g)];
  if (found.length === 0) return flip(random, bytes);
  const { index, 0: piece } = random.pick(found);
  const inside = damaged(random, Buffer.from(piece, 'base64')).toString('base64');
  return Buffer.from(text.slice(0, index) + inside + text.slice(index + piece.length), 'latin1');
};

/** A tag or a length of DER, by chance: the byte is often one of those that mean something. */
const asDer: Change = (random, bytes) => {
  const changed = Buffer.from(bytes);
  if (changed.length > 0)
    changed[random.below(changed.length)] = random.pick([
      0, 1, 2, 3, 4, 6, 0x0c, 0x17, 0x18, 0x30, 0x31, 0x7f, 0x80, 0x81, 0x82, 0x84, 0xa0, 0xa3, 0xff,
    ]);
  return changed;
};

/** A member of a JSON object gets another value. */
const asJson: Change = (random, bytes) => {
  const text = bytes.toString('latin1');
  const found = [...text.matchAll(/:("[^"]*"|\d+|null)/g)];
  if (found.length === 0) return flip(random, bytes);
  const { index, 0: piece } = random.pick(found);
  const value = random.pick([
    'null',
    '0',
    '-1',
    '"',
    '""',
    '{}',
    '[]',
    'true',
    '99999999999999999999',
    `"${'9'.repeat(15)}"`,
  ]);
  return Buffer.from(`${text.slice(0, index)}:${value}${text.slice(index + piece.length)}`, 'latin1');
};

const CHANGES: readonly Change[] = [flip, cut, insert, repeat, inBase64, inBase64, asDer, asJson];
