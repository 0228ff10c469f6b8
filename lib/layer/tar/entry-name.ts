/** The meaning of an entry's name: a path in the tree, or a whiteout marker of the image specification. */
import type { ByteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { shown } from './header.ts';

/** NAME_MAX (linux/limits.h). */
const MAX_COMPONENT = 255;
/**
 * Longest name in bytes. The tree is opened by descriptor, so PATH_MAX does not limit a path, but the work for it needs
 * a limit.
 */
const MAX_NAME = 32 * 1024;

/** image-spec, layer.md, "Whiteouts". */
const WHITEOUT = '.wh.';
const OPAQUE = '.wh..wh..opq';
/**
 * Prefix of AUFS's own names in the root of very old layers. `.wh..wh.plnk` holds the files that their hard links point
 * to.
 */
const AUFS = '.wh..wh.';

export type EntryMeaning =
  | { readonly kind: 'root' }
  | { readonly kind: 'name'; readonly parent: string; readonly name: string }
  | { readonly kind: 'whiteout'; readonly parent: string; readonly name: string }
  | { readonly kind: 'opaque'; readonly parent: string };

/**
 * The name without `.`, empty and `..` components and without a leading slash; `''` is the root.
 * @throws PluginError LAYER_PATH_ESCAPE where `..` leaves the layer, LAYER_NAME_TOO_LONG
 */
export function cleanName(name: ByteName): string {
  if (name.length > MAX_NAME) throw tooLong(name, MAX_NAME);
  const clean: string[] = [];
  for (const component of name.split('/')) {
    if (component === '' || component === '.') continue;
    if (component === '..') {
      if (clean.pop() === undefined) throw new PluginError('LAYER_PATH_ESCAPE', { entry: shown(name) });
      continue;
    }
    if (component.length > MAX_COMPONENT) throw tooLong(name, MAX_COMPONENT);
    clean.push(component);
  }
  return clean.join('/');
}

/**
 * @throws PluginError LAYER_BAD_WHITEOUT for markers without a name, for markers of `.` and `..`, and for names below a
 * marker
 */
export function meaningOf(clean: string): EntryMeaning {
  if (clean === '') return { kind: 'root' };
  const [parent, name] = splitName(clean);
  if (!clean.includes(WHITEOUT)) return { kind: 'name', parent, name };
  if (isAufsName(clean)) return { kind: 'name', parent, name };
  if (parent.startsWith(WHITEOUT) || parent.includes(`/${WHITEOUT}`)) throw badWhiteout(clean);
  if (name === OPAQUE) return { kind: 'opaque', parent };
  if (!name.startsWith(WHITEOUT)) return { kind: 'name', parent, name };
  const hidden = name.slice(WHITEOUT.length);
  if (hidden === '' || hidden === '.' || hidden === '..') throw badWhiteout(clean);
  return { kind: 'whiteout', parent, name: hidden };
}

/** Returns true for names that AUFS left in the root. They are unpacked, and removed at the end. */
export function isAufsName(clean: string): boolean {
  return clean.startsWith(AUFS) && clean !== OPAQUE && !clean.startsWith(`${OPAQUE}/`);
}

export function splitName(clean: string): [parent: string, name: string] {
  const cut = clean.lastIndexOf('/');
  return cut < 0 ? ['', clean] : [clean.slice(0, cut), clean.slice(cut + 1)];
}

function badWhiteout(name: string): PluginError {
  return new PluginError('LAYER_BAD_WHITEOUT', { entry: shown(name) });
}

function tooLong(name: string, limit: number): PluginError {
  return new PluginError('LAYER_NAME_TOO_LONG', { entry: shown(name), limit });
}
