/** Reads the imports of TypeScript sources: enough of the language to never mistake a comment or a string. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';

export interface Import {
  /** As written: `node:fs`, `../base/text.ts`. */
  readonly specifier: string;
  /** `type` is gone at run time, `static` is loaded at start, `dynamic` when it is reached. */
  readonly kind: 'type' | 'static' | 'dynamic';
}

export interface Source {
  /** Relative to the project, with `/`. */
  readonly path: string;
  readonly text: string;
  /** `text` without comments. */
  readonly code: string;
  readonly imports: readonly Import[];
}

/** All TypeScript files below these folders of the project, generated ones left out. */
export function readSources(project: string, folders: readonly string[]): Source[] {
  return folders.flatMap((folder) =>
    readdirSync(join(project, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts') && !name.split('/').includes('generated'))
      .sort()
      .map((name) => parseSource(`${folder}/${name}`, readFileSync(join(project, folder, name), 'utf8'))),
  );
}

export function parseSource(path: string, text: string): Source {
  const code = withoutComments(text);
  return { path, text, code, imports: readImports(code) };
}

/** Where a relative import leads, as a path in the project; undefined for packages. */
export function resolveImport(from: string, specifier: string): string | undefined {
  if (!specifier.startsWith('.')) return undefined;
  return posix.normalize(posix.join(posix.dirname(from), specifier));
}

const FROM = /^[ \t]*(?:import|export)\s+(type\s+)?[^;'"]*?\bfrom\s*['"]([^'"]+)['"]/gm;
const BARE = /^[ \t]*import\s*['"]([^'"]+)['"]/gm;
const CALL = /\b(?:import|require)\s*\(\s*['"`]([^'"`]+)['"`]/g;

function readImports(code: string): Import[] {
  const found: Import[] = [];
  for (const [, type, specifier = ''] of code.matchAll(FROM)) {
    found.push({ specifier, kind: type === undefined ? 'static' : 'type' });
  }
  for (const [, specifier = ''] of code.matchAll(BARE)) found.push({ specifier, kind: 'static' });
  for (const [, specifier = ''] of code.matchAll(CALL)) found.push({ specifier, kind: 'dynamic' });
  return found;
}

/** One of these at a place: comment, string, template (its `${}` unread) or regular expression after an operator. */
const TOKEN =
  /\/\/[^\n]*|\/\*[\s\S]*?\*\/|'(?:\\.|[^'\\\n])*'|"(?:\\.|[^"\\\n])*"|`(?:\\[\s\S]|[^`\\])*`|(?<=[=(,:[!&|?{};\n]\s*|return\s+)\/(?![/*])(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/g;

function withoutComments(text: string): string {
  return text.replace(TOKEN, (token) => (token.startsWith('//') || token.startsWith('/*') ? ' ' : token));
}
