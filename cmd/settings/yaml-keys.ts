/**
 * Refuses YAML that `Bun.YAML` accepts and a configuration must not have: a key twice in a mapping (the later value would
 * win silently), several documents, and anchors, aliases, tags and merge keys, which hide the meaning of a text. The check
 * runs after the parser, so the text is valid YAML, and the scanner only has to find keys.
 */

/** A fault of a YAML text; `message` follows `yaml: ` in the sentence. */
export class YamlProblem extends Error {}

/** @throws YamlProblem, with the number of the line. */
export function checkYamlKeys(text: string): void {
  new KeyScanner(text).run();
}

/** A mapping in block style: the column of its keys, and the line of each. */
interface Mapping {
  readonly indent: number;
  readonly lines: Map<string, number>;
}

/** A key in block style: double quoted, single quoted or plain, then a colon that ends a word. */
const KEY =
  /(?:"((?:[^"\\\n]|\\.)*)"|'((?:[^'\n]|'')*)'|([^\s#"'[\]{}&*!|>%@`,?:-](?:[^#\n]|(?<! )#)*?|[?:-][^\s#](?:[^#\n]|(?<! )#)*?)) *:(?=[ \n]|$)/y;
const BLOCK_HEADER = /[|>][-+1-9]{0,2} *(?: #[^\n]*)?(?=\n|$)/y;
const DASH = /-(?: +|(?=\n)|$)/y;
const BLANK = / *(?:#[^\n]*)?(?=\n|$)/y;
const MARKER = /(?:---|\.\.\.)(?=[ \n]|$)/y;
const QUOTED = /"(?:[^"\\]|\\[\s\S])*"|'(?:[^']|'')*'/y;
const FLOW_COMMENT = /(?<=\s)#[^\n]*/y;
const UNREADABLE = 'anchors, aliases and tags are not read here';

class KeyScanner {
  readonly #text: string;
  #at = 0;
  #documents = 0;
  #mappings: Mapping[] = [];

  constructor(text: string) {
    this.#text = text
      .replace(/^\uFEFF/, '')
      .replace(/\r\n?/g, '\n')
      .replaceAll('\t', ' ');
  }

  run(): void {
    while (this.#at < this.#text.length) {
      if (this.#match(BLANK) === undefined) this.#line();
      const newline = this.#text.indexOf('\n', this.#at);
      this.#at = newline < 0 ? this.#text.length : newline + 1;
    }
  }

  /** Matches at the current offset and moves past the match. */
  #match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match) this.#at = pattern.lastIndex;
    return match ?? undefined;
  }

  #lineNumber(): number {
    return this.#text.slice(0, this.#at).split('\n').length;
  }

  #fail(reason: string): never {
    throw new YamlProblem(`line ${this.#lineNumber()}: ${reason}`);
  }

  #line(): void {
    const start = this.#at;
    if (this.#text[start] === '%') return;
    const marker = this.#match(MARKER)?.[0];
    if (marker !== undefined) this.#marker(marker);
    else if (this.#documents === 0) this.#documents = 1;
    this.#spaces();
    let column = this.#at - start;
    this.#leave(column);
    for (let dash = this.#match(DASH); dash; dash = this.#match(DASH)) {
      this.#leave(column);
      column += dash[0].length;
      // A dash begins a new item, so the keys of the item before are complete.
      if (this.#mappings.at(-1)?.indent === column) this.#mappings.pop();
    }
    if (/^\?[ \n]/.test(this.#text.slice(this.#at, this.#at + 2))) this.#fail('"? key" is not read here');
    // `Bun.YAML` reads such a line as text, with all lists and keys in it. No text of a configuration begins so.
    if (this.#text[this.#at] === ',') this.#fail('a line cannot begin with a comma');
    const key = this.#match(KEY);
    if (key) this.#enter(column, key[1] ?? key[2]?.replaceAll("''", "'") ?? key[3] ?? '');
    this.#spaces();
    if (key && this.#text[this.#at] === ',') this.#fail('a value cannot begin with a comma');
    this.#value(key ? column : column - 1);
  }

  #endOfLine(): number {
    const newline = this.#text.indexOf('\n', this.#at);
    return newline < 0 ? this.#text.length : newline;
  }

  #spaces(): void {
    while (this.#text[this.#at] === ' ') this.#at += 1;
  }

  /** Refuses a second document. */
  #marker(marker: string): void {
    this.#documents += 1;
    const more =
      marker === '...' ? /^(?: *(?:#[^\n]*)?(?:\n|$))*[^ #\n]/.test(this.#text.slice(this.#at)) : false;
    if (more || (marker === '---' && this.#documents > 1)) this.#fail('more than one document');
  }

  /** Drops the mappings that end at a line with this column. */
  #leave(column: number): void {
    while ((this.#mappings.at(-1)?.indent ?? -1) > column) this.#mappings.pop();
  }

  #enter(indent: number, key: string): void {
    let mapping = this.#mappings.at(-1);
    if (mapping === undefined || mapping.indent !== indent) {
      mapping = { indent, lines: new Map() };
      this.#mappings.push(mapping);
    }
    this.#note(mapping.lines, key);
  }

  #note(lines: Map<string, number>, key: string): void {
    if (key === '<<') this.#fail('merge keys (<<) are not read here');
    const earlier = lines.get(key);
    if (earlier !== undefined)
      this.#fail(`mapping key ${JSON.stringify(key)} already defined at line ${earlier}`);
    lines.set(key, this.#lineNumber());
  }

  /** @param parent lines of a block scalar have a column greater than this */
  #value(parent: number): void {
    const first = this.#text[this.#at] ?? '';
    if (/[&*!]/.test(first)) this.#fail(UNREADABLE);
    if (first === '|' || first === '>') {
      // `Bun.YAML` drops text behind the mark.
      if (this.#match(BLOCK_HEADER) === undefined)
        this.#fail(`text behind ${first} belongs on the next line`);
      this.#skipBlockScalar(parent);
    } else if (first === '"' || first === "'") this.#quoted();
    else if (first === '[' || first === '{') this.#flow();
  }

  /** `Bun.YAML` drops an empty line behind an escaped line break, which YAML keeps. */
  #quoted(): string | undefined {
    const quote = this.#match(QUOTED)?.[0];
    if (quote?.startsWith('"') && /\\\n *\n/.test(quote))
      this.#fail('an empty line behind "\\" is not read here');
    return quote;
  }

  #skipBlockScalar(parent: number): void {
    const deeper = new RegExp(`\\n(?: *(?=\\n|$)| {${parent + 1},}[^\\n]*)`, 'y');
    this.#at = this.#endOfLine();
    while (this.#at < this.#text.length && this.#match(deeper));
  }

  /** A flow collection, JSON's style: `[a, {b: c}]`, over lines if need be. */
  #flow(): void {
    const open: (Map<string, number> | undefined)[] = [];
    let word = '';
    let quoted = false;
    do {
      const quote = word === '' ? this.#quoted() : undefined;
      if (quote !== undefined) {
        [word, quoted] = [quote.slice(1, -1), true];
        continue;
      }
      if (this.#match(FLOW_COMMENT)) continue;
      const c = this.#text[this.#at] ?? '';
      if (word === '' && /[&*!]/.test(c)) this.#fail(UNREADABLE);
      this.#at += 1;
      const endsKey = c === ':' && (quoted || /[\s,[\]{}]/.test(this.#text[this.#at] ?? ' '));
      if (endsKey || /[,[\]{}]/.test(c)) {
        const keys = open.at(-1);
        if (endsKey && keys) this.#note(keys, word.trim());
        if (c === '{' || c === '[') open.push(c === '{' ? new Map() : undefined);
        if (c === '}' || c === ']') open.pop();
        [word, quoted] = ['', false];
      } else if (word !== '' || !/\s/.test(c)) word += c;
    } while (open.length > 0 && this.#at < this.#text.length);
  }
}
