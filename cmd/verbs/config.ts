import { PluginError } from '../../lib/base/errors/error.ts';
import { printable } from '../../lib/base/text.ts';
import { Reported } from '../program/reported.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { explain } from '../sentences/report.ts';
import { checkSettings, placeInWords } from '../settings/check/check.ts';

/** `config check`: every fault of the settings, a line each. */
export async function run(context: VerbContext<'config'>): Promise<void> {
  const { settings, args, env, out } = context;
  if (args.positionals[0] !== 'check')
    throw new PluginError('CLI_BAD_ARGUMENTS', { usage: 'config check', misplaced: undefined });
  const { configFile, extraConfigFile } = settings;
  const checked = checkSettings(
    { config: configFile, extra: extraConfigFile },
    env.path,
    (error) => explain(error, []).sentence,
  );
  const { files, findings } = checked;
  if (args.options.json === true) out.json(checked);
  else {
    for (const finding of findings)
      out.mark(
        finding.verdict === 'problem' ? 'bad' : 'warning',
        finding.verdict === 'problem' ? 'PROBLEM' : 'warning',
        ` ${placeInWords(finding)}`,
      );
    if (findings.length === 0) out.text(verdict(files));
  }
  if (findings.some((one) => one.verdict === 'problem')) throw new Reported(1);
}

function verdict(files: readonly string[]): string {
  if (files.length === 0) return 'No settings are read: name a file with --config or --extra-config.';
  return `Nothing is wrong with ${files.map(printable).join(', ')}.`;
}
