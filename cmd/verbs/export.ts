import { PluginError } from '../../lib/base/errors/error.ts';
import { type Exported, exportDirectory } from '../../lib/export/export-directory.ts';
import type { FileFormat } from '../../lib/export/export-file.ts';
import type { LayersOnCvmfs } from '../../lib/export/layers-on-cvmfs.ts';
import type { MergeDeps } from '../../lib/export/merge-image.ts';
import { DEFAULT_BUDGET } from '../../lib/image/pull/budget.ts';
import { archiveCommand, unpackWorkerUrl } from '../program/executable.ts';
import type { VerbContext } from '../program/verb-context.ts';
import { exportedSentences } from '../sentences/exported.ts';
import { cvmfsFor } from '../sources/cvmfs.ts';
import { openSource } from '../sources/source.ts';

export async function run(context: VerbContext<'export'>): Promise<void> {
  const { args, log, progress, signal, out } = context;
  const [image = '', directory] = args.positionals;
  const { tar, erofs } = args.options;
  if ([tar, erofs, directory].filter((given) => given !== undefined).length !== 1) {
    const usage =
      'export [options] <image> <directory>, or export --tar <file> [options] <image>, or with --erofs <file>';
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
      onCvmfs: () => layersOnCvmfs(context),
      attributes: process.geteuid?.() === 0 ? 'set' : 'own',
    };
    if (tar !== undefined) exported = await exportFile(deps, tar, 'tar');
    else if (erofs !== undefined) exported = await exportFile(deps, erofs, 'erofs');
    else exported = await exportDirectory(deps, directory ?? '');
  } finally {
    await source.close();
  }
  if (args.options.json === true) out.json(exported);
  else for (const line of exportedSentences(exported)) out.text(line);
}

/** Undefined where no repository is configured. */
async function layersOnCvmfs(context: VerbContext<'export'>): Promise<LayersOnCvmfs | undefined> {
  const cvmfs = await cvmfsFor(context, undefined)();
  if (cvmfs === undefined) return undefined;
  const { LayersOnCvmfs } = await import('../../lib/export/layers-on-cvmfs.ts');
  return new LayersOnCvmfs({ cvmfs, archiveCommand: archiveCommand(), log: context.log });
}

/** The packers are loaded for files alone. */
async function exportFile(deps: MergeDeps, file: string, format: FileFormat): Promise<Exported> {
  const { exportFile: write } = await import('../../lib/export/export-file.ts');
  return write(deps, file, format);
}
