/** Parts of sentences: numbers of bytes, commands. */
import { printable } from '../../lib/base/text.ts';
import { counted, shortBytes } from '../../lib/base/units.ts';

export { counted, shortBytes };

/** `8388608 bytes (8 MiB)`: exact for programs and limits, rounded for people. */
export function bytesInWords(bytes: number): string {
  const short = shortBytes(bytes);
  return / bytes?$/.test(short) ? short : `${bytes} bytes (${short})`;
}

const SPANS = [
  [86_400, 'day'],
  [3600, 'hour'],
  [60, 'minute'],
  [1, 'second'],
] as const;

/** `3 days`: the time since a moment, in the largest unit. @param time in RFC 3339. @param now milliseconds since 1970 */
export function ageOf(time: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(time)) / 1000));
  const [span, name] = SPANS.find(([length]) => seconds >= length) ?? [1, 'second'];
  return counted(Math.floor(seconds / span), name);
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
