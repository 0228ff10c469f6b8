import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { type MergeDeps, mergeImage } from './merge-image.ts';
import { DirectoryStage } from './stage.ts';
import type { TreeTotals } from './totals.ts';

export interface Exported extends TreeTotals {
  readonly image: string;
  readonly digest: string | undefined;
  /** Absolute path of the result. */
  readonly path: string;
}

/**
 * Writes the root filesystem of an image as one directory. The directory appears complete; after a failure nothing is
 * left.
 * @param directory must not exist or be empty
 * @throws EXPORT_*, what the source throws, LAYER_*
 */
export async function exportDirectory(deps: MergeDeps, directory: string): Promise<Exported> {
  using stage = new DirectoryStage(directory, deps.log);
  try {
    const image = await deps.source.resolve(deps.signal);
    const totals = await mergeImage(deps, image, stage);
    deps.signal.throwIfAborted();
    stage.publish();
    return { image: image.name, digest: image.manifestDigest, path: stage.final, ...totals };
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
    throw new PluginError('EXPORT_NO_SPACE', { path: printable(stage.final) }, { cause: error });
  }
}
