/** The same manual for man(1), in the macros of man(7), which groff and mandoc both read. */

import type { Manual, ManualOption, ManualTerm, VerbPage } from './manual.ts';
import { capital } from './manual-markdown.ts';
import type { SettingGroup, SettingRow } from './manual-settings.ts';

export interface ManPage {
  /** `graft-create.1` */
  readonly file: string;
  readonly text: string;
}

export interface Release {
  readonly version: string;
  /** `2026-07-31` */
  readonly date: string;
}

const MAX_LINE = 80;

/** Version and date stand at the foot of every page. */
export function manPages(manual: Manual, release: Release): ManPage[] {
  return [mainPage(manual, release), ...manual.verbs.map((page) => verbManPage(page, release))];
}

function mainPage(manual: Manual, release: Release): ManPage {
  const lines = [
    ...head('graft', release, 'image plugin for Garden'),
    ...synopsis('graft [global options] VERB [options] ARGUMENTS'),
    '.SH DESCRIPTION',
    ...prose(
      'graft turns image references into root filesystems with disk limits. Garden, the container engine of Cloud ' +
        'Foundry, calls it with one verb at a time; people can do the same.',
    ),
    '.PP',
    ...prose(
      'Options go before the arguments; verbs that GrootFS lacks take them after the arguments too. They are written ' +
        '`--name value`, `--name=value` or with one dash. stdout has ' +
        'the answer, or one sentence when something failed; stderr has logs.',
    ),
    '.SH VERBS',
    ...manual.verbs.flatMap(({ verb, summary }) =>
      definition(`\\fB${escaped(`graft-${verb}`)}\\fR(1)`, `${summary}.`),
    ),
    '.SH GLOBAL OPTIONS',
    ...manual.globals.flatMap(option),
    '.SH EXIT STATUS',
    ...manual.exitStatus.flatMap(term),
    '.SH ENVIRONMENT',
    ...manual.environment.flatMap(term),
    '.SH FILES',
    ...manual.files.flatMap(term),
    ...seeAlso(manual.verbs.map(({ verb }) => `graft-${verb}`)),
  ];
  return { file: 'graft.1', text: page(lines) };
}

function verbManPage(
  { verb, summary, synopsis: usage, details, options, notes }: VerbPage,
  release: Release,
): ManPage {
  const name = `graft-${verb}`;
  const lines = [
    ...head(name, release, summary),
    ...synopsis(usage),
    '.SH DESCRIPTION',
    ...prose(`${summary[0]?.toUpperCase()}${summary.slice(1)}.${details === '' ? '' : ` ${details}`}`),
    '.PP',
    ...prose(`On standard output: ${notes.prints[0]?.toLowerCase()}${notes.prints.slice(1)}`),
    ...(options.length > 0 ? ['.SH OPTIONS', ...options.flatMap(option)] : []),
    '.SH EXAMPLES',
    '.EX',
    ...notes.examples.map((line) => escaped(line)),
    '.EE',
    ...seeAlso(['graft']),
  ];
  return { file: `${name}.1`, text: page(lines) };
}

/** `graft-settings.5`: every key of both files. */
export function settingsPage(
  groot: readonly SettingRow[],
  extra: readonly SettingGroup[],
  release: Release,
): ManPage {
  const lines = [
    ...head('graft-settings', release, 'the settings of graft', 5),
    '.SH DESCRIPTION',
    ...prose(
      "graft reads two kinds of YAML files. `--config FILE` names GrootFS's file, with GrootFS's keys and no others. Its own " +
        'settings are in `FILE.d/*.yml` beside it, in the order of their names, or in the file of `--extra-config`. ' +
        '`graft config check` names every fault in both.',
    ),
    ".SH GROOTFS'S FILE".replace("'", '\\(aq'),
    ...groot.flatMap(setting),
    ...extra.flatMap(({ path, text, rows }) => [
      `.SH ${escaped(path).toUpperCase()}`,
      ...prose(text),
      ...rows.flatMap(setting),
    ]),
    ...seeAlso(['graft', 'graft-config']),
  ];
  return { file: 'graft-settings.5', text: page(lines) };
}

function setting({ key, type, default: value, text }: SettingRow): string[] {
  // The rows are made for Markdown: links and escapes of tables mean nothing here.
  const plain = (words: string) => words.replace(/\[([^\]]*)\]\(#[^)]*\)/g, '$1').replaceAll('\\|', '|');
  const more = value === undefined || value === '' ? '' : ` Default: ${plain(value)}.`;
  return definition(
    `\\fB${escaped(key)}\\fR \\fI${escaped(plain(type))}\\fR`,
    `${capital(plain(text))}${more}`,
  );
}

function head(name: string, { version, date }: Release, summary: string, section = 1): string[] {
  return [
    '.\\" Written by ci/man from the definitions of the command line.',
    `.TH ${name.toUpperCase().replaceAll('-', '\\-')} ${section} "${date}" "graft ${version}" "graft"`,
    // Names of options and settings are not to be broken, and short lines not to be stretched.
    '.nh',
    '.ad l',
    '.SH NAME',
    `${escaped(name)} \\- ${escaped(summary)}`,
  ];
}

function synopsis(usage: string): string[] {
  return ['.SH SYNOPSIS', escaped(usage).replace(/^graft/, '\\fBgraft\\fR')];
}

function option({ term, text, configKey, default: value }: ManualOption): string[] {
  const [name = '', ...valueName] = term.split(' ');
  const shown = valueName.length === 0 ? '' : ` \\fI${escaped(valueName.join(' '))}\\fR`;
  const more = [
    ...(value === undefined ? [] : [`Default: ${value}.`]),
    ...(configKey === undefined ? [] : [`In the configuration file: \`${configKey}\`.`]),
  ];
  return definition(`\\fB${escaped(name)}\\fR${shown}`, [capital(text), ...more].join(' '));
}

function term({ term: name, text }: ManualTerm): string[] {
  return definition(`\\fB${escaped(name)}\\fR`, capital(text));
}

function definition(name: string, text: string): string[] {
  return ['.TP', name, ...prose(text)];
}

function seeAlso(names: readonly string[]): string[] {
  const last = names.length - 1;
  return ['.SH SEE ALSO', ...names.map((name, at) => `\\fB${escaped(name)}\\fR(1)${at === last ? '' : ','}`)];
}

/** Lines of a man page end with a sentence or after 80 characters; `code` becomes bold. */
function prose(text: string): string[] {
  const sentences = text.split(/(?<=[.:;]) (?=[A-Z`])/);
  return sentences.flatMap((sentence) => {
    const lines: string[] = [];
    for (const word of escaped(sentence)
      .replace(/`([^`]*)`/g, '\\fB$1\\fR')
      .split(' ')) {
      const longer = `${lines.at(-1)} ${word}`;
      if (lines.length > 0 && longer.length <= MAX_LINE) lines[lines.length - 1] = longer;
      else lines.push(word);
    }
    return lines.map((line) => (/^[.']/.test(line) ? `\\&${line}` : line));
  });
}

/** A plain hyphen could be set as a dash that nobody can copy; everything beyond ASCII goes in by its number. */
function escaped(text: string): string {
  const plain = text.replaceAll('\\', '\\e').replaceAll('-', '\\-').replaceAll("'", '\\(aq');
  return plain.replace(/[^\x20-\x7e]/gu, (letter) => {
    const number = (letter.codePointAt(0) ?? 0).toString(16).toUpperCase();
    return `\\[u${number.padStart(4, '0')}]`;
  });
}

function page(lines: readonly string[]): string {
  return `${lines.join('\n')}\n`;
}
