import { listImages } from '../../lib/plugin/list.ts';
import { Store } from '../../lib/store/store.ts';
import { completionScript, completions } from '../cli/completion.ts';
import { readOptions, readStart } from '../cli/parse.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { loadSettings } from '../settings/settings.ts';

/** Prints the script that a shell reads once, or for that script the words that fit at the cursor. */
export async function run({ args, out }: VerbContext<'completion'>): Promise<void> {
  if (args.options.words)
    for (const word of await completions(args.positionals, { ids: idsFor, images: imagesFor }))
      out.text(word);
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

/** The images that the store remembers and those of its root filesystems; none without such a store. */
function imagesFor(line: readonly string[]): string[] {
  try {
    const { globals } = readStart(line, readOptions);
    const store = Store.open(loadSettings({ globals, options: {} }).store);
    const remembered = store.sources.resolvedImages().map(({ image }) => image);
    const used = store.images.list().flatMap((id) => store.images.recordIfReadable(id)?.image ?? []);
    return [...new Set([...remembered, ...used])].sort();
  } catch {
    return [];
  }
}
