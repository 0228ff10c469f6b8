/**
 * Ops files as `bosh -o` applies them: the path syntax and the two operations of go-patch, from its
 * documentation (`docs/examples.md` there). Only what it refuses is refused here.
 */

export type Yaml = null | boolean | number | string | Yaml[] | { [key: string]: Yaml };
type YamlMap = { [key: string]: Yaml };

export interface Operation {
  readonly type: string;
  readonly path: string;
  readonly value?: Yaml;
}

type Modifier = 'prev' | 'next' | 'before' | 'after';
type Token =
  | { readonly kind: 'key'; readonly key: string; readonly optional: boolean }
  | { readonly kind: 'index'; readonly index: number; readonly modifiers: readonly Modifier[] }
  | {
      readonly kind: 'match';
      readonly key: string;
      readonly value: string;
      readonly optional: boolean;
      readonly modifiers: readonly Modifier[];
    }
  | { readonly kind: 'append' };

const MODIFIERS: readonly string[] = ['prev', 'next', 'before', 'after'];
const ESCAPES: Readonly<Record<string, string>> = { '0': '~', '1': '/', '2': '?', '3': '=', '7': ':' };

function isModifier(word: string): word is Modifier {
  return MODIFIERS.includes(word);
}

function unescaped(text: string): string {
  return text.replace(/~([01237])/g, (_, digit: string) => ESCAPES[digit] ?? '');
}

/** A path such as `/instance_groups/name=diego-cell/jobs/-`. Once a `?` was met, all that follows is optional. */
function parsePath(path: string): Token[] {
  if (!path.startsWith('/')) throw new Error(`path '${path}' does not start with '/'`);
  let optional = false;
  return path
    .slice(1)
    .split('/')
    .map((part, at, parts): Token => {
      const [first = '', ...words] = part.split(':');
      const unknown = words.find((word) => !isModifier(word));
      if (unknown !== undefined) throw new Error(`path '${path}': unknown modifier '${unknown}'`);
      const modifiers = words.filter(isModifier);
      if (first === '-' && at === parts.length - 1 && modifiers.length === 0) return { kind: 'append' };
      if (/^-?\d+$/.test(first)) return { kind: 'index', index: Number(first), modifiers };
      if (first.endsWith('?')) optional = true;
      const bare = first.replace(/\?$/, '');
      const equals = bare.indexOf('=');
      if (equals >= 0) {
        const [key, value] = [unescaped(bare.slice(0, equals)), unescaped(bare.slice(equals + 1))];
        return { kind: 'match', key, value, optional, modifiers };
      }
      if (modifiers.length > 0) throw new Error(`path '${path}': a modifier on the key '${bare}'`);
      return { kind: 'key', key: unescaped(bare), optional };
    });
}

/** Applies operations in order to a copy of the document. @throws Error that names the path. */
export function applyOps(document: Yaml, operations: readonly Operation[]): Yaml {
  let result = structuredClone(document);
  for (const operation of operations) {
    try {
      result = apply(result, operation);
    } catch (error) {
      throw new Error(
        `${operation.type} ${operation.path}: ${error instanceof Error ? error.message : error}`,
      );
    }
  }
  return result;
}

function apply(document: Yaml, operation: Operation): Yaml {
  const tokens = parsePath(operation.path);
  if (operation.type === 'replace') {
    if (operation.value === undefined) throw new Error('missing value');
    return replace(document, tokens, structuredClone(operation.value));
  }
  if (operation.type === 'remove') {
    if (operation.value !== undefined) throw new Error('cannot specify a value');
    return remove(document, tokens);
  }
  throw new Error(`unknown type '${operation.type}'`);
}

function replace(at: Yaml, tokens: readonly Token[], value: Yaml): Yaml {
  const [token, ...rest] = tokens;
  if (token === undefined) return value;
  switch (token.kind) {
    case 'key': {
      const map = mapAt(at, token.key);
      const present = Object.hasOwn(map, token.key);
      if (!present && !token.optional) throw new Error(`expected to find key '${token.key}'${among(map)}`);
      map[token.key] = replace(present ? (map[token.key] ?? null) : emptyFor(rest), rest, value);
      return map;
    }
    case 'append': {
      listAt(at, '-').push(value);
      return at;
    }
    case 'index': {
      const list = listAt(at, String(token.index));
      return replaceAt(list, indexOf(list, token.index), token.modifiers, rest, value);
    }
    case 'match': {
      const list = listAt(at, `${token.key}=${token.value}`);
      const found = matches(list, token.key, token.value);
      if (found.length === 0 && token.optional) {
        list.push(rest.length === 0 ? value : replace({ [token.key]: token.value }, rest, value));
        return list;
      }
      return replaceAt(list, onlyOne(found, token), token.modifiers, rest, value);
    }
  }
}

function replaceAt(
  list: Yaml[],
  index: number,
  modifiers: readonly Modifier[],
  rest: readonly Token[],
  value: Yaml,
): Yaml[] {
  const { at, insert } = place(list, index, modifiers);
  if (insert) {
    if (rest.length > 0) throw new Error('before and after only stand at the end of a path');
    list.splice(at, 0, value);
  } else {
    list[at] = replace(list[at] ?? null, rest, value);
  }
  return list;
}

function remove(at: Yaml, tokens: readonly Token[]): Yaml {
  const [token, ...rest] = tokens;
  if (token === undefined) throw new Error('cannot remove the whole document');
  if (token.kind === 'append') throw new Error("'-' has nothing to remove");
  if (token.kind === 'key') {
    const map = mapAt(at, token.key);
    if (!Object.hasOwn(map, token.key)) {
      if (token.optional) return at;
      throw new Error(`expected to find key '${token.key}'${among(map)}`);
    }
    if (rest.length === 0) delete map[token.key];
    else map[token.key] = remove(map[token.key] ?? null, rest);
    return map;
  }
  const list = listAt(at, token.kind === 'index' ? String(token.index) : `${token.key}=${token.value}`);
  const found = token.kind === 'index' ? [indexOf(list, token.index)] : matches(list, token.key, token.value);
  if (found.length === 0 && token.kind === 'match' && token.optional) return at;
  const index = token.kind === 'index' ? (found[0] ?? 0) : onlyOne(found, token);
  const { at: chosen, insert } = place(list, index, token.modifiers);
  if (insert) throw new Error('before and after have nothing to remove');
  if (rest.length === 0) list.splice(chosen, 1);
  else list[chosen] = remove(list[chosen] ?? null, rest);
  return list;
}

/** What a missing key becomes, which the token after it decides. */
function emptyFor(rest: readonly Token[]): Yaml {
  const next = rest[0];
  if (next === undefined) return null;
  if (next.kind === 'index') throw new Error('an index into a list that is not there');
  return next.kind === 'key' ? {} : [];
}

function place(list: readonly Yaml[], index: number, modifiers: readonly Modifier[]) {
  let at = index;
  let insert = false;
  for (const modifier of modifiers) {
    if (insert) throw new Error(`'${modifier}' behind before or after`);
    if (modifier === 'prev') at -= 1;
    if (modifier === 'next') at += 1;
    if (modifier === 'before' || modifier === 'after') insert = true;
    if (modifier === 'after') at += 1;
  }
  if (!insert && (at < 0 || at >= list.length)) throw new Error(`no item ${at} in a list of ${list.length}`);
  return { at, insert };
}

function indexOf(list: readonly Yaml[], index: number): number {
  const at = index < 0 ? list.length + index : index;
  if (at < 0 || at >= list.length) throw new Error(`no item ${index} in a list of ${list.length}`);
  return at;
}

function matches(list: readonly Yaml[], key: string, value: string): number[] {
  return list.flatMap((item, index) => (isMap(item) && item[key] === value ? [index] : []));
}

function onlyOne(found: readonly number[], token: { readonly key: string; readonly value: string }): number {
  const [first, ...more] = found;
  if (first === undefined || more.length > 0) {
    throw new Error(`expected one item with ${token.key}=${token.value}, found ${found.length}`);
  }
  return first;
}

function isMap(value: Yaml): value is YamlMap {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function mapAt(value: Yaml, key: string): YamlMap {
  if (!isMap(value)) throw new Error(`expected a map at '${key}'`);
  return value;
}

function listAt(value: Yaml, what: string): Yaml[] {
  if (!Array.isArray(value)) throw new Error(`expected a list at '${what}'`);
  return value;
}

function among(map: YamlMap): string {
  return ` among ${Object.keys(map).sort().join(', ') || 'none'}`;
}
