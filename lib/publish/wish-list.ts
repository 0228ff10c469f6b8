/**
 * Lists of the images that a repository is to have: DUCC's wish lists, and plain lists with a reference in each line. A
 * wish that is wrong does not keep the others from being done.
 */
import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { fitsWildcard } from '../base/wildcard.ts';

/** Wish lists of large sites have some thousand lines. */
const MAX_WISHES = 100_000;
/** The most tags that one wildcard may stand for. */
const MAX_MATCHES = 5000;
const KEYS = ['version', 'user', 'cvmfs_repo', 'output_format', 'input'] as const;
const YAML_KEY = /^\s*(?:version|user|cvmfs_repo|output_format|input)\s*:/m;

export interface WishList {
  /** The repository that the list is for, by its name; undefined in a plain list. */
  readonly repository: string | undefined;
  /** The name of thin images, which `publish` does not make. */
  readonly outputFormat: string | undefined;
  /** In the order of the list, each once. */
  readonly wishes: readonly Wish[];
}

/** A reference, which may have wildcards in its tag; or the reason why there is none. */
export type Wish =
  | { readonly shown: string; readonly reference: string }
  | { readonly shown: string; readonly error: PluginError };

/** True for a list in YAML, which has one of DUCC's keys. */
export function isYamlList(text: string): boolean {
  return YAML_KEY.test(text);
}

/** A list with a reference in each line; empty lines and those that begin with `#` mean nothing. @throws PUBLISH_WISH_LIST */
export function plainWishes(text: string, path: string): WishList {
  const lines = text.split('\n').map((line) => line.trim());
  const wishes = lines.filter((line) => line !== '' && !line.startsWith('#'));
  return { repository: undefined, outputFormat: undefined, wishes: toWishes(wishes, path) };
}

/** @param document the parsed YAML. @throws PUBLISH_WISH_LIST */
export function duccWishes(document: unknown, path: string): WishList {
  if (typeof document !== 'object' || document === null || Array.isArray(document))
    throw bad(path, 'it has no keys');
  const keys = document as Readonly<Record<string, unknown>>;
  const unknown = Object.keys(keys).find((key) => !(KEYS as readonly string[]).includes(key));
  if (unknown !== undefined) throw bad(path, `it has a key that is not known: ${printable(unknown)}`);
  const { version = 1, input } = keys;
  if (version !== 1)
    throw bad(path, `its version is ${printable(String(version))}, and graft knows version 1`);
  if (!Array.isArray(input)) throw bad(path, 'its key input is no list');
  return {
    repository: textIn(keys, 'cvmfs_repo', path),
    outputFormat: textIn(keys, 'output_format', path),
    wishes: toWishes(input, path),
  };
}

function textIn(keys: Readonly<Record<string, unknown>>, key: string, path: string): string | undefined {
  const value = keys[key] ?? undefined;
  if (value !== undefined && typeof value !== 'string') throw bad(path, `its key ${key} is no text`);
  return value === '' ? undefined : value;
}

function toWishes(input: readonly unknown[], path: string): Wish[] {
  if (input.length > MAX_WISHES) throw bad(path, `it has more than ${MAX_WISHES} wishes`);
  const known = new Map<string, Wish>();
  for (const item of input) {
    const wish = toWish(item);
    if (!known.has(wish.shown)) known.set(wish.shown, wish);
  }
  return [...known.values()];
}

/** A user or password before the host. A digest comes after a slash. */
const USERINFO = /^(\s*(?:[a-z]+:\/\/)?)[^/]*@/;

/** DUCC writes `https://registry/repository:tag`; the first part is always the registry. */
function toWish(item: unknown): Wish {
  if (typeof item !== 'string') {
    const shown = printable(JSON.stringify(item) ?? 'null');
    return { shown, error: wrong(shown, 'it is no text') };
  }
  const shown = printable(item.trim()).replace(USERINFO, '$1***@');
  const web = /^https?:\/\/(.*)$/.exec(item.trim())?.[1];
  const reference = web ?? item.trim();
  const isWhole = web === undefined && /^[a-z]+:\/\//.test(reference);
  if (reference === '') return { shown, error: wrong(shown, 'it is empty') };
  if (/\s/.test(reference)) return { shown, error: wrong(shown, 'it has blanks in it') };
  if (USERINFO.test(item)) return { shown, error: wrong(shown, 'a list is no place for a password') };
  const [repository] = splitTag(reference);
  if (repository.includes('*')) return { shown, error: wrong(shown, 'a * can only be in the tag') };
  if (!isWhole && !reference.includes('/')) return { shown, error: wrong(shown, 'it names no registry') };
  return { shown, reference: isWhole ? reference : `docker://${reference}` };
}

/** The tag after the last colon of the last part; undefined without one. A digest is no tag. */
export function splitTag(reference: string): [repository: string, tag: string | undefined] {
  const slash = reference.lastIndexOf('/');
  const colon = reference.indexOf(':', slash + 1);
  if (colon < 0 || reference.slice(slash + 1, colon).includes('@')) return [reference, undefined];
  return [reference.slice(0, colon), reference.slice(colon + 1)];
}

export function isWildcard(reference: string): boolean {
  return splitTag(reference)[1]?.includes('*') === true;
}

/**
 * The references that a wildcard stands for, sorted. Only `*` has a meaning: any characters, or none.
 * @throws PUBLISH_WISH where no tag fits, or too many do
 */
export function expandWildcard(reference: string, tags: readonly string[]): string[] {
  const [repository, pattern = ''] = splitTag(reference);
  const fitting = tags.filter((tag) => fitsWildcard(tag, pattern)).sort();
  if (fitting.length === 0) throw wrong(reference, `none of the ${tags.length} tags of the repository fits`);
  if (fitting.length > MAX_MATCHES) throw wrong(reference, `more than ${MAX_MATCHES} tags fit`);
  return fitting.map((tag) => `${repository}:${tag}`);
}

function wrong(wish: string, reason: string): PluginError {
  return new PluginError('PUBLISH_WISH', { wish: printable(wish), reason });
}

function bad(path: string, reason: string): PluginError {
  return new PluginError('PUBLISH_WISH_LIST', { path: printable(path), reason });
}
