/** Parts of sentences: numbers of bytes, commands. */
import { printable } from '../../lib/base/text.ts';

const UNITS = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

/** `8388608 bytes (8 MiB)`: exact for programs and limits, rounded for people. */
export function bytesInWords(bytes: number): string {
  const short = shortBytes(bytes);
  return short.endsWith(' bytes') ? short : `${bytes} bytes (${short})`;
}

/** `8 MiB`, `1.5 GiB`, `12 bytes`. */
export function shortBytes(bytes: number): string {
  let unit = 0;
  let value = bytes;
  while (Math.abs(value) >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** A command to copy, which always names the store, since the command would otherwise make or delete the default store. */
export function graft(store: string, command: string): string {
  return `graft --store ${shellWord(store)} ${command}`;
}

function shellWord(word: string): string {
  return /^[A-Za-z0-9_@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** The reason why a clean deletes no layer: a damaged record may name any of them. */
export function keptSentence({ path, reason }: { readonly path: string; readonly reason: string }): string {
  return (
    `no layer is deleted: ${printable(path)} is damaged (${reason}) and may name any of them; ` +
    'graft check says what it belongs to, and deleting that container puts it right'
  );
}
