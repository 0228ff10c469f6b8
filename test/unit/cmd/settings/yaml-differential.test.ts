/** Random configuration files, whole and with an error, read by graft's reader and by js-yaml: both see the same in them. */
import { expect, test } from 'bun:test';
import { load } from 'js-yaml';
import { parseYaml, YamlProblem } from '../../../../cmd/settings/yaml.ts';
import { Random } from '../../../property/random.ts';

const DOCUMENTS = 4000;
const SEED = 20_261_201;

const PLAIN = [
  'a',
  'store',
  'x y',
  'b#c',
  '/var/lib/x',
  'h:5000',
  'yes',
  '012',
  '1_000',
  "it's",
  'a-b',
  '2026-01-02',
];
const SCALARS = ['1', '-7', '0x1f', '1.5', '1e3', 'true', 'False', '~', 'null', '9007199254740991', '.5'];
const KEYS = [
  'store',
  'create',
  'with spaces',
  'k1',
  'h:5000',
  'a-b',
  'log_level',
  "o'k",
  '1',
  'true',
  'x#y',
];

/** Writes a random value in a random style of YAML. */
class Writer {
  readonly #random: Random;

  constructor(random: Random) {
    this.#random = random;
  }

  document(): string {
    const head = this.#one(['', '', '', '---\n', '# head\n', '\n', '%YAML 1.2\n---\n']);
    return head + this.#mapping(0, 0) + this.#one(['', '', '# end\n', '...\n', '\n\n']);
  }

  #one<T>(items: readonly T[]): T {
    return this.#random.pick(items);
  }

  #many<T>(least: number, most: number, make: () => T): T[] {
    return Array.from({ length: least + this.#random.below(most - least + 1) }, make);
  }

  #mapping(indent: number, depth: number): string {
    const pad = ' '.repeat(indent);
    const keys = [...new Set(this.#many(1, 4, () => this.#one(KEYS)))];
    return keys
      .map((key) => `${this.#noise(pad)}${pad}${this.#key(key)}:${this.#value(indent, depth)}`)
      .join('');
  }

  #noise(pad: string): string {
    return this.#one(['', '', '', '', '\n', `${pad}# note: not a key\n`]);
  }

  #key(key: string): string {
    const styles = [JSON.stringify(key), `'${key.replaceAll("'", "''")}'`, key, key];
    return this.#one(styles);
  }

  /** All that comes behind a key's colon, with the end of the line. */
  #value(indent: number, depth: number): string {
    const deeper = indent + this.#one([1, 2, 4]);
    const pad = ' '.repeat(deeper);
    const nested = depth > 2 ? [] : ['mapping', 'list', 'compact'];
    switch (this.#one(['scalar', 'scalar', 'flow', 'block', 'lines', 'empty', ...nested])) {
      case 'mapping':
        return `\n${this.#mapping(deeper, depth + 1)}`;
      case 'list':
        return `\n${this.#many(1, 3, () => `${pad}- ${this.#scalar()}\n`).join('')}`;
      case 'compact':
        return `\n${this.#many(1, 3, () => `${pad}-${this.#item(deeper, depth)}`).join('')}`;
      case 'flow':
        return ` ${this.#flow(0)}${this.#comment()}\n`;
      case 'block': {
        const mark = this.#one(['|', '>', '|-', '>-', '|+', '>+']);
        return ` ${mark}\n${this.#many(1, 3, () => `${pad}${this.#one(['k1: v', '# no comment', 'text', '- x'])}\n`).join('')}`;
      }
      case 'lines':
        return ` ${this.#one(['"x\\\n', '"x\n', "'x\n"])}`.replace(
          /^ (["'])([\s\S]*)$/,
          (_, quote, text) => ` ${quote}${text}${pad}y: z${quote}\n`,
        );
      case 'empty':
        return `${this.#comment()}\n`;
      default:
        return `${this.#one([' ', '  '])}${this.#scalar()}${this.#comment()}\n`;
    }
  }

  /** An item of a list that is a mapping, its first key on the line of the dash. */
  #item(indent: number, depth: number): string {
    return ` ${this.#mapping(indent + 2, depth + 1)
      .replace(/^(?: *#[^\n]*\n|\n)*/, '')
      .trimStart()}`;
  }

  #comment(): string {
    return this.#one(['', '', '', ' # k1: v', '  #']);
  }

  #scalar(): string {
    const text = this.#one(PLAIN);
    return this.#one([
      text,
      text,
      this.#one(SCALARS),
      JSON.stringify(`${text}\té\n`),
      `'${text.replaceAll("'", "''")}'`,
    ]);
  }

  #flow(depth: number): string {
    const inner = () =>
      depth < 2 && this.#random.below(3) === 0 ? this.#flow(depth + 1) : this.#flowScalar();
    if (this.#random.below(2) === 0)
      return `[${this.#many(0, 3, inner).join(this.#one([', ', ',', ' , ']))}]`;
    const keys = [...new Set(this.#many(0, 3, () => this.#one(['k', 'with spaces', 'x#y'])))];
    return `{${keys.map((key) => `${this.#one([key, JSON.stringify(key)])}: ${inner()}`).join(', ')}}`;
  }

  #flowScalar(): string {
    return this.#one(['a', '1', 'true', '"x, y"', "'{'", 'a b', '~', '/var/x']);
  }
}

/**
 * The same text with one change that a person makes by mistake. No tabs: js-yaml refuses them between the tokens of a flow
 * collection, where YAML allows them.
 */
function changed(text: string, random: Random): string {
  const at = random.below(text.length + 1);
  const lines = text.split('\n');
  const line = random.below(lines.length);
  switch (random.below(5)) {
    case 0:
      return text.slice(0, at) + text.slice(at + 1);
    case 1:
      return (
        text.slice(0, at) +
        random.pick([':', ' ', '\n', '"', "'", '-', '#', '[', '}', ',', '&', '*', '|', '?', '!']) +
        text.slice(at)
      );
    case 2:
      return [...lines.slice(0, line), lines[line], ...lines.slice(line)].join('\n');
    case 3:
      return [...lines.slice(0, line), ` ${lines[line]}`, ...lines.slice(line + 1)].join('\n');
    default:
      return [...lines.slice(0, line), ...lines.slice(line + 1)].join('\n');
  }
}

type Outcome = { readonly value: unknown } | { readonly refused: string };

function ours(text: string): Outcome {
  try {
    return { value: parseYaml(text) };
  } catch (error) {
    if (!(error instanceof YamlProblem)) throw error;
    return { refused: error.message };
  }
}

function theirs(text: string): Outcome {
  try {
    return { value: load(text) };
  } catch (error) {
    // A file without content has no settings for graft.
    if ((error as Error).message.includes('the input is empty')) return { value: null };
    return { refused: (error as Error).message };
  }
}

const shown = (outcome: Outcome) => JSON.stringify(outcome);

test('graft and js-yaml read the same values in every valid file', () => {
  const random = new Random(SEED);
  const writer = new Writer(random);
  for (let i = 0; i < DOCUMENTS; i += 1) {
    const text = writer.document();
    const expected = theirs(text);
    if ('refused' in expected)
      throw new Error(`the writer made a file that is no YAML: ${text}\n${expected.refused}`);
    expect(`${text}\n=> ${shown(ours(text))}`).toBe(`${text}\n=> ${shown(expected)}`);
  }
});

test('a file with a mistake never has another meaning for graft than for js-yaml', () => {
  const random = new Random(SEED + 1);
  const writer = new Writer(random);
  let accepted = 0;
  for (let i = 0; i < DOCUMENTS; i += 1) {
    const text = changed(writer.document(), random);
    const mine = ours(text);
    // graft may refuse more: anchors, tags, `? key`.
    if ('refused' in mine) continue;
    // js-yaml reads a sign before 0x and 0o, which YAML 1.2 does not have.
    if (/-0[xo]/.test(text)) continue;
    accepted += 1;
    const other = theirs(text);
    // js-yaml refuses more in flow collections, where nothing else can be meant: a line without indentation, `{?}`.
    if ('refused' in other && /[[{]/.test(text)) continue;
    expect(`${text}\n=> ${shown(mine)}`).toBe(`${text}\n=> ${shown(other)}`);
  }
  expect(accepted).toBeGreaterThan(DOCUMENTS / 4);
});
