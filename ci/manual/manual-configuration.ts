import { capital, GENERATED, table } from './manual-markdown.ts';
import type { SettingGroup, SettingRow } from './manual-settings.ts';

/** The content of `docs/configuration.md`. The examples are files, so that tests and people can use them. */
export interface ConfigurationPage {
  readonly groot: readonly SettingRow[];
  readonly extra: readonly SettingGroup[];
  readonly grootExample: string;
  readonly extraExample: string;
}

/** `docs/configuration.md`. */
export function configurationMarkdown({
  groot,
  extra,
  grootExample,
  extraExample,
}: ConfigurationPage): string {
  return `${[
    '# Configuration',
    GENERATED,
    `graft reads two kinds of files, both YAML. \`--config FILE\` names GrootFS's file, with GrootFS's keys and no others:
programs that rewrite it drop what they do not know. graft's own settings are in \`FILE.d/*.yml\` beside it, read in the order
of their names, or in the one file that \`--extra-config\` names instead. Mappings of several files grow together, key by key;
of everything else the last one holds. The command line goes before both.`,
    `A key that graft does not know is an error line in the log of \`create\` and \`init-store\` for GrootFS's file, which GrootFS's
programs may have extended, and stops the call for graft's own. In both a value of a wrong type is an error, and so are a key
given twice, a second document, and a number that cannot be kept exactly. \`graft config check\` reads all settings as a call
would, and names every fault at once with its line; \`graft doctor\` does so too.`,
    `Numbers of bytes in graft's own settings may have a unit: \`10M\`, \`8GiB\` (1024 for each step). GrootFS's file has plain
numbers only, since other programs read it.`,
    `## GrootFS's file`,
    table(
      ['key', 'value', 'default', 'meaning'],
      groot.map((row) => [`\`${row.key}\``, row.type, row.default ?? '', capital(row.text)]),
    ),
    '[A complete example](examples/graft.yml):',
    `\`\`\`yaml\n${grootExample.trim()}\n\`\`\``,
    "## graft's own settings",
    ...extra.flatMap(groupSection),
    '## A complete example',
    `[Every key once](examples/settings.yml), most with a value that is not the default:`,
    `\`\`\`yaml\n${extraExample.trim()}\n\`\`\``,
  ].join('\n\n')}\n`;
}

function groupSection({ path, text, rows }: SettingGroup): string[] {
  return [
    `### ${path}`,
    ...(text === '' ? [] : [text]),
    ...(rows.length === 0
      ? []
      : [
          table(
            ['key', 'value', 'default', 'meaning'],
            rows.map((row) => [`\`${row.key}\``, row.type, row.default ?? '', row.text]),
          ),
        ]),
  ];
}
