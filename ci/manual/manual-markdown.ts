import type { Manual, ManualOption, ManualTerm, VerbPage } from './manual.ts';

/** Said at the top of every page that a program writes. */
export const GENERATED = '<!-- Written by ci/docs. Change what it is made of and run ci/docs again. -->';

/** `docs/verbs.md`. */
export function manualMarkdown(manual: Manual): string {
  return `${[
    '# Verbs',
    GENERATED,
    `\`graft [global options] VERB [options] ARGUMENTS\`. An option is written \`--name value\`, \`--name=value\` or with one dash;
\`--name=false\` switches it off. Options stand before the arguments; verbs that GrootFS lacks take them after the arguments too.
stdout has the answer, or one sentence when something failed; stderr has logs.`,
    'The same text is in the man pages `graft(1)` and `graft-VERB(1)`, and shorter in `graft help VERB`.',
    table(
      ['verb', 'what it does'],
      manual.verbs.map(({ verb, summary }) => [`[\`${verb}\`](#${verb})`, summary]),
    ),
    '## Global options',
    'They stand before the verb. The command line goes before the configuration file.',
    optionTable(manual.globals),
    '## Exit status',
    terms(manual.exitStatus),
    '## Environment',
    terms(manual.environment),
    'Programs that graft starts get `PATH`, `HOME`, `TMPDIR` and the locale, and nothing else of its environment.',
    '## Files',
    terms(manual.files),
    ...manual.verbs.flatMap(verbSection),
  ].join('\n\n')}\n`;
}

function verbSection({ verb, summary, synopsis, details, options, notes }: VerbPage): string[] {
  return [
    `## ${verb}`,
    `${capital(summary)}.${details === '' ? '' : ` ${details}`}`,
    `\`${synopsis}\``,
    ...(options.length > 0 ? [optionTable(options)] : []),
    `Prints: ${uncapital(notes.prints)}`,
    `\`\`\`sh\n${notes.examples.join('\n')}\n\`\`\``,
  ];
}

function optionTable(options: readonly ManualOption[]): string {
  const rows = options.map(({ term, text, configKey, default: value }) => [
    `\`${term}\``,
    `${capital(text)}${value === undefined ? '' : ` Default: ${value}.`}`,
    configKey === undefined ? '' : `\`${configKey}\``,
  ]);
  return table(['option', 'meaning', 'in the file'], rows);
}

function terms(list: readonly ManualTerm[]): string {
  return table(
    ['', ''],
    list.map(({ term, text }) => [
      term
        .split(', ')
        .map((word) => `\`${word}\``)
        .join(', '),
      capital(text),
    ]),
  );
}

/** A vertical bar ends a cell, in code as well (GitHub's tables). */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  return [line(head), `|${head.map(() => '---|').join('')}`, ...rows.map(line)].join('\n');
}

export function capital(text: string): string {
  return /^[a-z]+[^A-Za-z/]/.test(text) && !text.startsWith('graft')
    ? `${text[0]?.toUpperCase()}${text.slice(1)}`
    : text;
}

function uncapital(text: string): string {
  return /^[A-Z][a-z]*[ ,.]/.test(text) ? `${text[0]?.toLowerCase()}${text.slice(1)}` : text;
}
