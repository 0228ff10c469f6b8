/** The lines of a YAML text on which its keys and list items stand, for sentences about settings. */

/** Names of keys and numbers of list items, from the root. */
export type KeyPath = readonly (string | number)[];

interface Open {
  readonly column: number;
  readonly step: string | number;
}

const DASH = /^- *(?=\S|$)/;
const KEY =
  /^(?:"((?:[^"\\]|\\.)*)"|'((?:[^']|'')*)'|([^\s#"'[\]{},&*!|>%@`-][^#]*?|-[^\s#][^#]*?)) *:(?=\s|$)/;
const BLOCK = /[|>][-+1-9]{0,2}\s*(?:#.*)?$/;

/** The lines of one text in block style, which all settings of this project's pages have. */
export class KeyLines {
  readonly #lines = new Map<string, number>();

  constructor(text: string) {
    const open: Open[] = [];
    const items = new Map<string, number>();
    let scalar: number | undefined;
    for (const [at, line] of text.split(/\r?\n/).entries()) {
      const indent = line.length - line.trimStart().length;
      if (line.trim() === '' || line.trimStart().startsWith('#')) continue;
      if (scalar !== undefined && indent > scalar) continue;
      scalar = undefined;
      this.#line(line.trimEnd(), indent, at + 1, open, items);
      if (BLOCK.test(line)) scalar = indent;
    }
  }

  /** The line of a key, or of the closest one above it; undefined where the text has none. */
  of(path: KeyPath): number | undefined {
    for (let length = path.length; length > 0; length -= 1) {
      const line = this.#lines.get(nameOf(path.slice(0, length)));
      if (line !== undefined) return line;
    }
    return undefined;
  }

  /** The paths of all keys that stand on a line of their own. */
  get names(): ReadonlyMap<string, number> {
    return this.#lines;
  }

  #line(line: string, indent: number, number: number, open: Open[], items: Map<string, number>): void {
    let column = indent;
    let rest = line.slice(indent);
    for (let dash = DASH.exec(rest); dash; dash = DASH.exec(rest)) {
      leave(open, (top) => top.column > column || (top.column === column && typeof top.step === 'number'));
      const list = nameOf(open.map(({ step }) => step));
      const item = items.get(list) ?? 0;
      items.set(list, item + 1);
      open.push({ column, step: item });
      this.#note(open, number);
      column += dash[0].length;
      rest = rest.slice(dash[0].length);
    }
    const key = KEY.exec(rest);
    if (key === null) return;
    leave(open, (top) => top.column >= column);
    open.push({ column, step: key[1] ?? key[2]?.replaceAll("''", "'") ?? key[3] ?? '' });
    this.#note(open, number);
  }

  #note(open: readonly Open[], line: number): void {
    const name = nameOf(open.map(({ step }) => step));
    if (!this.#lines.has(name)) this.#lines.set(name, line);
  }
}

function leave(open: Open[], isOver: (top: Open) => boolean): void {
  for (let top = open.at(-1); top !== undefined && isOver(top); top = open.at(-1)) open.pop();
}

/** `registries.hosts.example.com.mirrors[0]`. */
export function nameOf(path: KeyPath): string {
  return path.reduce<string>(
    (name, step) => (typeof step === 'number' ? `${name}[${step}]` : name === '' ? step : `${name}.${step}`),
    '',
  );
}
