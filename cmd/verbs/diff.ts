import { type Change, containerChanges } from '../../lib/plugin/diff.ts';
import { Store } from '../../lib/store/store.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { counted, shortBytes } from '../sentences/words.ts';

export async function run({ settings, args, out }: VerbContext<'diff'>): Promise<void> {
  const changes = await containerChanges(Store.open(settings.store), args.positionals[0] ?? '');
  if (args.options.json === true) {
    out.jsonList(changes);
    return;
  }
  const counts = { A: 0, M: 0, D: 0 };
  let bytes = 0;
  for (const change of changes) {
    counts[change.change] += 1;
    bytes += change.size;
    out.mark(MARKS[change.change], change.change, inWords(change));
  }
  out.text(
    `${counts.A} added, ${counts.M} modified, ${counts.D} deleted; ${counted(counts.A + counts.M, 'name')} with ` +
      `${shortBytes(bytes)} of content`,
  );
}

/** The width of `1023 bytes`. */
const SIZE_CELLS = 10;
const MARKS = { A: 'good', M: 'warning', D: 'bad' } as const;

function inWords({ change, path, type, size, replaced }: Change): string {
  const shown = type === 'file' && change !== 'D' ? shortBytes(size) : '';
  const slash = type === 'directory' ? '/' : '';
  return `  ${shown.padStart(SIZE_CELLS)}  ${path}${slash}${replaced ? ' (made anew)' : ''}`;
}
