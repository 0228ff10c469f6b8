/**
 * Finds comments and sentences that a reader has to read twice: `plain-words.ts [FOLDER…]` prints them and exits 1.
 * A comment or sentence does not open with a pronoun whose noun is missing, and a name of a file or an exported thing
 * does not use a word that this project invented, unless docs/glossary.md explains it.
 */
import { readdirSync, readFileSync, statSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';

const PROJECT = join(import.meta.dir, '..');
const FOLDERS = ['cmd', 'lib', 'ci'];

/** Openers that leave the reader to guess the subject. */
const OPENERS = /^(?:(?:What|Who|Whoever|Whatever|Whose|It|One|None|Nobody)\b(?! of\b)|Those\b)/;

/** Words of this project that no specification has. The glossary explains those that stay. */
const INVENTED = [
  ...[
    'agree',
    'aside',
    'beneath',
    'claim',
    'companion',
    'conceal',
    'forget',
    'ghosts',
    'hangs',
    'holder',
    'hollow',
  ],
  ...['lead', 'phantoms', 'place', 'present', 'sample', 'standing', 'walked', 'wanted'],
];

/** A comment without its marks, or a string that begins a sentence, with the line where it starts. */
interface Passage {
  readonly line: number;
  readonly text: string;
}

/** Comments of a TypeScript source. Consecutive `//` lines are one comment. */
export function commentsOf(source: string): Passage[] {
  const found: Passage[] = [];
  let line: Passage | undefined;
  let block: { line: number; text: string } | undefined;
  for (const [i, raw] of source.split('\n').entries()) {
    const text = raw.trim();
    if (block !== undefined) {
      block.text += ` ${text
        .replace(/\*\/.*$/, '')
        .replace(/^\*/, '')
        .trim()}`;
      if (text.includes('*/')) {
        found.push({ line: block.line, text: block.text.trim() });
        block = undefined;
      }
      continue;
    }
    const opened = /^\/\*\*?(.*?)(\*\/|$)/.exec(text);
    if (opened?.[2] === '*/') found.push({ line: i + 1, text: (opened[1] ?? '').trim() });
    else if (opened !== null) block = { line: i + 1, text: (opened[1] ?? '').trim() };
    const own = /^\/\/ ?(.*)/.exec(text)?.[1];
    if (own === undefined) line = undefined;
    else if (line === undefined) {
      line = { line: i + 1, text: own };
      found.push(line);
    }
  }
  return found;
}

/** The sentences of a comment that open badly. Tags (`@param`) and list items are sentences of their own. */
export function badOpenings(text: string): string[] {
  return text
    .split(/(?<=[.!?:]) +(?=[A-Z])|(?=@(?:param|returns|throws) )/)
    .map((sentence) => sentence.trim())
    .filter((sentence) => OPENERS.test(sentence));
}

/** Invented words in a file's name or in the names that it exports. */
export function inventedNames(path: string, source: string, glossary: ReadonlySet<string>): string[] {
  const exported = [
    ...source.matchAll(/^export (?:async )?(?:function|class|interface|type|const) (\w+)/gm),
  ].map((match) => match[1] ?? '');
  return [basename(path).replace(/\..*$/, ''), ...exported].flatMap((name) => {
    const words = name.split(/[-_]|(?<=[a-z0-9])(?=[A-Z])/).map((word) => word.toLowerCase());
    return words
      .filter((word) => INVENTED.includes(word) && !glossary.has(word))
      .map((word) => `${name}: ${word}`);
  });
}

/** Words that the glossary explains: the first column of its table. */
export function glossaryWords(text: string): Set<string> {
  const rows = [...text.matchAll(/^\| ([^|]+) \|/gm)].map((match) => match[1] ?? '');
  return new Set(rows.flatMap((row) => row.toLowerCase().split(/[^a-z]+/)));
}

/** Strings that begin with a capital letter and end like a sentence. */
function sentencesOf(source: string): Passage[] {
  return source.split('\n').flatMap((text, i) =>
    [...text.matchAll(/['"`]([A-Z][^'"`]{12,})['"`]/g)].map((match) => ({
      line: i + 1,
      text: match[1] ?? '',
    })),
  );
}

export function complaints(path: string, source: string, glossary: ReadonlySet<string>): string[] {
  const passages = [...commentsOf(source), ...(path.includes('sentences/') ? sentencesOf(source) : [])];
  return [
    ...passages.flatMap(({ line, text }) =>
      badOpenings(text).map(
        (sentence) => `${path}:${line}: opens without its noun: ${sentence.slice(0, 80)}`,
      ),
    ),
    ...inventedNames(path, source, glossary).map((name) => `${path}: an invented word: ${name}`),
  ];
}

function sources(folder: string): string[] {
  const at = join(PROJECT, folder);
  if (statSync(at).isFile()) return [folder];
  return readdirSync(at, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.includes('generated/'))
    .map((name) => join(folder, name))
    .sort();
}

if (import.meta.main) {
  const folders = process.argv.length > 2 ? process.argv.slice(2) : FOLDERS;
  const glossary = glossaryWords(readFileSync(join(PROJECT, 'docs/glossary.md'), 'utf8'));
  const found = folders
    .flatMap(sources)
    .flatMap((path) => complaints(path, readFileSync(join(PROJECT, path), 'utf8'), glossary));
  for (const line of found) writeSync(1, `${line}\n`);
  process.exit(found.length === 0 ? 0 : 1);
}
