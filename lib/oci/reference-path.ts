import type { PluginError } from '../base/errors/error.ts';

/** Makes the error for a part of a reference that is refused; `reason` names the part. */
export type Refuse = (reason: string) => PluginError;

/**
 * A reference inside an OCI layout, as containers/image takes it: components of letters and digits, joined
 * by one of `-._:@+` or `--`, separated by `/`. `@N` is the Nth manifest.
 */
const LAYOUT_REF =
  /^[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*(?:\/[A-Za-z0-9]+(?:(?:[-._:@+]|--)[A-Za-z0-9]+)*)*$/;
const LAYOUT_INDEX = /^@\d{1,4}$/;

/** A path with the name of an image in it. */
interface PathWithRef {
  readonly path: string;
  readonly ref: string | undefined;
}

/**
 * Parses `//[host]/dir[:ref]`, percent-encoded as Garden's `url.String()` writes it. The host part is the first directory:
 * GrootFS reads `oci://abs/dir` as `/abs/dir`, and Garden relies on it.
 */
export function parseLayoutParts(
  rest: string,
  refuse: Refuse,
): { readonly directory: string; readonly ref: string | undefined } {
  const { path: directory, ref } = parsePathWithRef(rest, 'oci', refuse);
  if (directory === '/') throw refuse('it names no directory; write oci:///path/to/layout[:ref]');
  if (ref !== undefined && !isLayoutRef(ref))
    throw refuse('what follows the colon is neither a reference name of the layout nor @N');
  return { directory, ref };
}

/**
 * Parses `/file[:ref]` or `///file[:ref]` of an image archive, percent-encoded as a layout's.
 * @param isRef whether the archive's format can have an image of this name
 */
export function parseArchiveParts(
  rest: string,
  scheme: string,
  refuse: Refuse,
  isRef: (text: string) => boolean,
): PathWithRef {
  const found = parsePathWithRef(rest, scheme, refuse);
  if (found.path === '/') throw refuse(`it names no file; write ${scheme}:/path/to/file`);
  if (found.ref !== undefined && !isRef(found.ref))
    throw refuse(
      scheme === 'aci'
        ? 'what follows the colon is no image id, which is sha512- and 64 to 128 hex digits'
        : 'what follows the colon is neither the name of an image in the archive nor @N',
    );
  return found;
}

/** Whether a layout can have an image of this name. */
export function isLayoutRef(text: string): boolean {
  return text.length <= 255 && (LAYOUT_REF.test(text) || LAYOUT_INDEX.test(text));
}

function parsePathWithRef(rest: string, scheme: string, refuse: Refuse): PathWithRef {
  const whole = absolutePart(rest, scheme, refuse);
  // The colon separates before decoding: a path with a colon in a name is written with %3A.
  const colon = whole.indexOf(':');
  const path = tidy(decode(colon < 0 ? whole : whole.slice(0, colon), refuse));
  const text = colon < 0 ? '' : decode(whole.slice(colon + 1), refuse);
  return { path, ref: text === '' ? undefined : text };
}

/** Parses `///path`: an absolute path, percent-decoded, without a host. `.` and `..` are refused. */
export function parseLocalPath(rest: string, refuse: Refuse): string {
  if (!rest.startsWith('///') && !/^\/[^/]/.test(rest)) throw refuse('three slashes start the absolute path');
  const path = tidy(decode(absolutePart(rest, 'cvmfs', refuse), refuse));
  if (path.split('/').some((name) => name === '.' || name === '..'))
    throw refuse('a path with . or .. is not looked up');
  return path;
}

/** The absolute path after the scheme's colon, still percent-encoded. */
function absolutePart(rest: string, scheme: string, refuse: Refuse): string {
  if (!rest.startsWith('/')) throw refuse(`write ${scheme}:/// and an absolute path`);
  if (rest.includes('?'))
    throw refuse('a query (?) has no meaning here; write %3F for a question mark in a name');
  const path = rest.startsWith('//') ? rest.slice(1) : rest;
  const first = path.split('/', 2)[1] ?? '';
  if (rest.startsWith('//') && first.includes('@') && path.indexOf('/', 1) > 0)
    throw refuse('credentials have no meaning here; write %40 for an @ in a name');
  return path;
}

function decode(text: string, refuse: Refuse): string {
  let decoded: string;
  try {
    decoded = decodeURIComponent(text);
  } catch {
    throw refuse('its percent-encoding is broken; write %25 for a percent sign');
  }
  if (decoded.includes('\0')) throw refuse('it holds a NUL character');
  return decoded;
}

/** The path with a single slash between names and none at the end. */
function tidy(path: string): string {
  const tidied = path.replace(/\/+/g, '/');
  return tidied.length > 1 && tidied.endsWith('/') ? tidied.slice(0, -1) : tidied;
}
