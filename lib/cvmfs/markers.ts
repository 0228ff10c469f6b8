import type { ByteName } from '../base/bytes.ts';

/** The file that makes a directory a nested catalog; publishing puts one into every layer. */
export const CATALOG = '.cvmfscatalog' as ByteName;

const PREFIX = '.wh.';
/** Names of AUFS's own bookkeeping (`.wh..wh.plnk` …); of these only the opaque marker means anything. */
const META = '.wh..wh.';
const OPAQUE = '.wh..wh..opq';

export type Marker =
  | { readonly kind: 'whiteout'; readonly name: ByteName }
  | { readonly kind: 'opaque' }
  /** Not to be seen in a container, and without effect on the layers below. */
  | { readonly kind: 'hidden' }
  /** `.wh.`, `.wh..` and `.wh...`, which would delete nothing, `.` or `..`. */
  | { readonly kind: 'bad' };

/** What a name in a published layer means; undefined for an ordinary one (image-spec, layer.md, whiteouts). */
export function markerOf(name: ByteName): Marker | undefined {
  if (name === CATALOG) return { kind: 'hidden' };
  if (!name.startsWith(PREFIX)) return undefined;
  if (name === OPAQUE) return { kind: 'opaque' };
  if (name.startsWith(META)) return { kind: 'hidden' };
  const hides = name.slice(PREFIX.length);
  if (hides === '' || hides === '.' || hides === '..') return { kind: 'bad' };
  return { kind: 'whiteout', name: hides as ByteName };
}
