/**
 * The names that placing a layer in a stack needs: `volumes/<layer>/names`, apart from its record, which every sum of
 * the store reads. Text of one character a byte, in which each item ends in NUL, the one byte that no name has:
 *
 *   graft-names 1
 *   i<path> | w<path> | o<path>     an implied directory; one that holds whiteouts; an opaque one. The root is ''
 *   end <number of the names>
 */
import type { ByteName } from '../../base/bytes.ts';

export interface LayerNames {
  /** As in `UnpackResult`, each of them sorted. */
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

/** Undefined where the bytes are not what `encodeNames` gives. */
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
