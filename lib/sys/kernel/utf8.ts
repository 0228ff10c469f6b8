import { type ByteName, bytesOf } from '../../base/bytes.ts';

const decoder = new TextDecoder();
const encoder = new TextEncoder();

/** A name of bytes as text. Plain ASCII, as nearly all names are, needs no conversion. */
export function utf8(name: ByteName): string {
  return isAscii(name) ? name : decoder.decode(bytesOf(name));
}

/** A loop, since compiling a regular expression costs a short verb more than the loop over all of its names. */
function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i += 1) if (text.charCodeAt(i) > 0x7f) return false;
  return true;
}

/** Text as bytes in UTF-8, without `Buffer`, whose first use costs 0.2 ms (measured). */
export function bytesOfText(text: string): Uint8Array {
  return encoder.encode(text);
}
