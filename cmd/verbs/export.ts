import { type Exported, exportDirectory } from '../../lib/export/export-directory.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { unpackWorkerUrl } from '../program/executable.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { exportedSentences } from '../sentences/exported.ts';
import { openSource } from '../sources/source.ts';

export async function run(context: VerbContext<'export'>): Promise<void> {
  const { args, log, progress, signal, out } = context;
  const [image = '', directory = ''] = args.positionals;
  const source = await openSource(context, image, undefined, args.options['require-digest'] === true);
  let exported: Exported;
  try {
    exported = await exportDirectory(
      {
        source,
        log,
        progress,
        signal,
        workerUrl: unpackWorkerUrl(),
        budget: DEFAULT_BUDGET,
        attributes: process.geteuid?.() === 0 ? 'set' : 'own',
      },
      directory,
    );
  } finally {
    await source.close();
  }
  if (args.options.json === true) out.json(exported);
  else for (const line of exportedSentences(exported)) out.text(line);
}
