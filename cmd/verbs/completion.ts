import { listImages } from '../../lib/plugin/list.ts';
import { completionScript, completions } from '../cli/completion.ts';
import { readOptions, readStart } from '../cli/parse.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { loadSettings } from '../settings/settings.ts';

/** The script that a shell reads once, or for that script the words that fit where the cursor is. */
export async function run({ args, out }: VerbContext<'completion'>): Promise<void> {
  if (args.options.words) for (const word of await completions(args.positionals, idsFor)) out.text(word);
  else out.page(completionScript(args.positionals[0]).trimEnd());
}

/** Ids in the store of the line that is being typed. Without such a store there is nothing to offer. */
function idsFor(line: readonly string[]): string[] {
  try {
    const { globals } = readStart(line, readOptions);
    return listImages(loadSettings({ globals, options: {} }).store).map(({ id }) => id);
  } catch {
    return [];
  }
}
