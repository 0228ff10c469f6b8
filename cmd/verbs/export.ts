import { PluginError } from '../../lib/base/errors/error.ts';
import { type Exported, exportDirectory } from '../../lib/export/export-directory.ts';
import type { MergeDeps } from '../../lib/export/merge-image.ts';
import type { PublishedLayers } from '../../lib/export/published-layers.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { archiveCommand, unpackWorkerUrl } from '../program/executable.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { exportedSentences } from '../sentences/exported.ts';
import { cvmfsFor } from '../sources/cvmfs.ts';
import { openSource } from '../sources/source.ts';

export async function run(context: VerbContext<'export'>): Promise<void> {
  const { args, log, progress, signal, out } = context;
  const [image = '', directory] = args.positionals;
  const { tar } = args.options;
  if ((tar === undefined) === (directory === undefined)) {
    const usage = 'export [options] <image> <directory>, or export --tar <file> [options] <image>';
    throw new PluginError('CLI_BAD_ARGUMENTS', { usage, misplaced: undefined });
  }
  const source = await openSource(context, image, undefined, args.options['require-digest'] === true);
  let exported: Exported;
  try {
    const deps: MergeDeps = {
      source,
      log,
      progress,
      signal,
      workerUrl: unpackWorkerUrl(),
      budget: DEFAULT_BUDGET,
      published: () => publishedLayers(context),
      attributes: process.geteuid?.() === 0 ? 'set' : 'own',
    };
    exported = await (tar === undefined ? exportDirectory(deps, directory ?? '') : exportTar(deps, tar));
  } finally {
    await source.close();
  }
  if (args.options.json === true) out.json(exported);
  else for (const line of exportedSentences(exported)) out.text(line);
}

/** Undefined where no repository is configured. */
async function publishedLayers(context: VerbContext<'export'>): Promise<PublishedLayers | undefined> {
  const cvmfs = await cvmfsFor(context, undefined)();
  if (cvmfs === undefined) return undefined;
  const { PublishedLayers } = await import('../../lib/export/published-layers.ts');
  return new PublishedLayers({ cvmfs, archiveCommand: archiveCommand(), log: context.log });
}

/** The packer is loaded for archives alone. */
async function exportTar(deps: MergeDeps, file: string): Promise<Exported> {
  const { exportTar: write } = await import('../../lib/export/export-tar.ts');
  return write(deps, file);
}
