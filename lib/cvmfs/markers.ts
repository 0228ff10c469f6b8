import type { ByteName } from '../base/bytes.ts';

/** The file that makes a directory a nested catalog. Publishing puts it into every layer. */
export const CATALOG = '.cvmfscatalog' as ByteName;

const PREFIX = '.wh.';
/** Prefix of the names that AUFS uses for itself (`.wh..wh.plnk` …). Of these only the opaque marker has a meaning. */
const META = '.wh..wh.';
const OPAQUE = '.wh..wh..opq';

export type Marker =
  | { readonly kind: 'whiteout'; readonly name: ByteName }
  | { readonly kind: 'opaque' }
  /** A name that a container must not see, without effect on the layers below. */
  | { readonly kind: 'hidden' }
  /** `.wh.`, `.wh..` and `.wh...`: these whiteouts would delete no name, `.` or `..`. */
  | { readonly kind: 'bad' };

/** The meaning of a name in a published layer; undefined for an ordinary name (image-spec, layer.md, whiteouts). */
export function markerOf(name: ByteName): Marker | undefined {
  if (name === CATALOG) return { kind: 'hidden' };
  if (!name.startsWith(PREFIX)) return undefined;
  if (name === OPAQUE) return { kind: 'opaque' };
  if (name.startsWith(META)) return { kind: 'hidden' };
  const hides = name.slice(PREFIX.length);
  if (hides === '' || hides === '.' || hides === '..') return { kind: 'bad' };
  return { kind: 'whiteout', name: hides as ByteName };
}
