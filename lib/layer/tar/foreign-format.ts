/**
 * Recognises the format of a file that is no tar by its first bytes, so that the error's sentence can name the format.
 */
import type { ForeignFormat } from '../../base/errors/layer.ts';

const HEX: readonly (readonly [ForeignFormat, string])[] = [
  ['gzip', '1f8b'],
  ['zstd', '28b52ffd'],
  ['xz', 'fd377a585a00'],
  ['bzip2', '425a68'],
  ['lz4', '04224d18'],
  ['lz4', '02214c18'],
  ['lzip', '4c5a4950'],
  ['lzop', '894c5a4f'],
  ['compress', '1f9d'],
  ['zip', '504b0304'],
  ['zip', '504b0506'],
  ['7z', '377abcaf271c'],
  ['rar', '526172211a07'],
  ['cpio', '3037303730'],
  ['cpio', 'c771'],
  ['ar', '213c617263683e0a'],
  ['rpm', 'edabeedb'],
  ['squashfs', '68737173'],
  ['qcow2', '514649fb'],
  ['lzma', '5d0000'],
];
const MAGIC = HEX.map(([format, hex]) => [format, Buffer.from(hex, 'hex')] as const);

/** How many of the first bytes are examined for text. */
const TEXT_BYTES = 256;

/**
 * @param first the first bytes of a file that is no tar; 512 are enough
 * @returns undefined for an unknown format
 */
export function foreignFormat(first: Uint8Array): ForeignFormat | undefined {
  const known = MAGIC.find(([, magic]) => magic.every((byte, i) => first[i] === byte));
  if (known !== undefined) return known[0];
  const text = Buffer.from(first.subarray(0, TEXT_BYTES))
    .toString('latin1')
    .replace(/^\xef\xbb\xbf/, '')
    .trimStart();
  if (/^<(!doctype|html|head|body|\?xml|!--)/i.test(text)) return 'HTML';
  if (text === '' || !/^[\t\n\r\x20-\x7e\x80-\xff]*$/.test(text)) return undefined;
  return /^[[{]\s*["{[\]}]/.test(text) ? 'JSON' : 'text';
}
