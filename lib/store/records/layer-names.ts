/**
 * The names of a layer's directories that the planning of a stack needs: `volumes/<layer>/names`. They are not in the
 * layer's record, since every sum over the store reads all records. The text has one character for each byte, and each
 * item ends in NUL, the only byte that no name contains:
 *
 *   graft-names 1
 *   i<path> | w<path> | o<path>     an implied directory; one that holds whiteouts; an opaque one. The root is ''
 *   end <number of the names>
 */
import type { ByteName } from '../../base/bytes.ts';

export interface LayerNames {
  /** The same lists as in `UnpackResult`, each sorted. */
  readonly impliedDirs: readonly ByteName[];
  readonly whiteoutDirs: readonly ByteName[];
  readonly opaqueDirs: readonly ByteName[];
}

const HEAD = 'graft-names 1';
const END = 'end ';

export function encodeNames({ impliedDirs, whiteoutDirs, opaqueDirs }: LayerNames): Uint8Array {
  const marked = (mark: string, names: readonly ByteName[]) => names.map((name) => `${mark}${name}`);
  const items = [...marked('i', impliedDirs), ...marked('w', whiteoutDirs), ...marked('o', opaqueDirs)];
  return Buffer.from([HEAD, ...items, `${END}${items.length}`, ''].join('\0'), 'latin1');
}

/** Undefined for bytes that `encodeNames` cannot have written. */
export function decodeNames(bytes: Uint8Array): LayerNames | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
  const [head, ...items] = text.split('\0');
  const nothing = items.pop();
  const end = items.pop();
  if (head !== HEAD || nothing !== '' || end !== `${END}${items.length}`) return undefined;
  const lists: Record<string, ByteName[]> = { i: [], w: [], o: [] };
  for (const item of items) {
    const list = lists[item.charAt(0)];
    if (list === undefined) return undefined;
    list.push(item.slice(1) as ByteName);
  }
  const { i = [], w = [], o = [] } = lists;
  return { impliedDirs: i, whiteoutDirs: w, opaqueDirs: o };
}
