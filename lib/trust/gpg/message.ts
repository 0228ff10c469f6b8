/** The first bytes of OpenPGP messages: a compressed packet, a one-pass signature, a signature (RFC 4880, 4.2). */
const FIRST_BYTES: ReadonlySet<number> = new Set([
  0xa0, 0xa1, 0xa2, 0xa3, 0xc8, 0x90, 0x91, 0x92, 0xc4, 0x88, 0x89, 0x8a, 0x8b, 0xc2,
]);

/** The formats that containers/image marks by a zero byte, the format's name and a newline. */
const MARKED: Readonly<Record<string, 'simple' | 'other'>> = {
  'simple-signing': 'simple',
  'sigstore-json': 'other',
};
const LONGEST_MARK = 32;

/**
 * The OpenPGP message in a file of signatures. Armour is not taken, so that clear-signed text is not either, of which
 * another part may be shown than was signed. @returns `other` for a signature of another format
 */
export function openPgpMessage(blob: Uint8Array): Uint8Array | 'other' | 'unreadable' {
  const first = blob[0];
  if (first === undefined) return 'unreadable';
  if (first !== 0) return FIRST_BYTES.has(first) ? blob : 'unreadable';
  const end = blob.indexOf(0x0a);
  if (end < 0 || end > LONGEST_MARK) return 'unreadable';
  const format = MARKED[Buffer.from(blob.subarray(1, end)).toString('latin1')];
  if (format === undefined) return 'unreadable';
  return format === 'simple' ? blob.subarray(end + 1) : 'other';
}
