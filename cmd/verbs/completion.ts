import { listImages } from '../../lib/plugin/list.ts';
import { completionScript, completions } from '../cli/completion.ts';
import { readOptions, readStart } from '../cli/parse.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { loadSettings } from '../settings/settings.ts';

/** Prints the script that a shell reads once, or for that script the words that fit at the cursor. */
export async function run({ args, out }: VerbContext<'completion'>): Promise<void> {
  if (args.options.words) for (const word of await completions(args.positionals, idsFor)) out.text(word);
  else out.page(completionScript(args.positionals[0]).trimEnd());
}

/** The ids in the store of the command line; none without such a store. */
function idsFor(line: readonly string[]): string[] {
  try {
    const { globals } = readStart(line, readOptions);
    return listImages(loadSettings({ globals, options: {} }).store).map(({ id }) => id);
  } catch {
    return [];
  }
}
