/**
 * JSON as Go's encoding/json reads it: numbers keep their literal (a `uint64` takes `10` but neither `1e1` nor
 * `10.0`), a decoder stops behind the first value, Unmarshal wants nothing behind it. Written out because
 * JSON.parse knows neither.
 */
export type Json =
  | { readonly type: 'null' }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'number'; readonly literal: string }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'array'; readonly items: readonly Json[] }
  | { readonly type: 'object'; readonly members: ReadonlyMap<string, Json> };

/** Go would have returned an error. */
export class GoError extends Error {}

/** json.Unmarshal's view: one value, blanks around it. @throws GoError */
export function parseWhole(text: string): Json {
  const reader = new Reader(text);
  const value = reader.document();
  if (!reader.atEnd()) throw new GoError('invalid character after top-level value');
  return value;
}

/** json.Decoder's view: the first value, whatever follows. @throws GoError, 'EOF' for nothing at all */
export function parseFirst(text: string): Json {
  return new Reader(text).document();
}

const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const STRING = /"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const BLANKS = /[ \t\r\n]*/y;

class Reader {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): Json {
    this.#skipBlanks();
    if (this.#at === this.#text.length) throw new GoError('EOF');
    return this.#value();
  }

  atEnd(): boolean {
    this.#skipBlanks();
    return this.#at === this.#text.length;
  }

  #skipBlanks(): void {
    this.#match(BLANKS);
  }

  #match(pattern: RegExp): string | undefined {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.#text)?.[0];
    if (found !== undefined) this.#at += found.length;
    return found;
  }

  #take(token: string): boolean {
    if (!this.#text.startsWith(token, this.#at)) return false;
    this.#at += token.length;
    return true;
  }

  #fail(): never {
    const c = this.#text[this.#at];
    throw new GoError(c === undefined ? 'unexpected end of JSON input' : `invalid character '${c}'`);
  }

  #value(): Json {
    if (this.#take('null')) return { type: 'null' };
    if (this.#take('true')) return { type: 'bool', value: true };
    if (this.#take('false')) return { type: 'bool', value: false };
    if (this.#take('{')) return this.#object();
    if (this.#take('[')) return this.#array();
    if (this.#text[this.#at] === '"') return { type: 'string', value: this.#string() };
    const literal = this.#match(NUMBER);
    return literal ? { type: 'number', literal } : this.#fail();
  }

  #string(): string {
    const literal = this.#match(STRING);
    return literal === undefined ? this.#fail() : (JSON.parse(literal) as string);
  }

  #object(): Json {
    const members = new Map<string, Json>();
    this.#skipBlanks();
    if (this.#take('}')) return { type: 'object', members };
    do {
      this.#skipBlanks();
      const name = this.#string();
      this.#skipBlanks();
      if (!this.#take(':')) this.#fail();
      this.#skipBlanks();
      members.set(name, this.#value());
      this.#skipBlanks();
    } while (this.#take(','));
    if (!this.#take('}')) this.#fail();
    return { type: 'object', members };
  }

  #array(): Json {
    const items: Json[] = [];
    this.#skipBlanks();
    if (this.#take(']')) return { type: 'array', items };
    do {
      this.#skipBlanks();
      items.push(this.#value());
      this.#skipBlanks();
    } while (this.#take(','));
    if (!this.#take(']')) this.#fail();
    return { type: 'array', items };
  }
}
