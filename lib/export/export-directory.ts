import { withoutRoom } from './full.ts';
import { type MergeDeps, mergeImage } from './merge-image.ts';
import { Stage } from './stage.ts';
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
  using stage = new Stage(directory, 'directory', deps.log);
  return await withoutRoom(stage.final, async () => {
    const image = await deps.source.resolve(deps.signal);
    const { totals, tree } = await mergeImage(deps, image, stage);
    tree.close();
    tree.finish();
    stage.publish();
    return { image: image.name, digest: image.manifestDigest, path: stage.final, ...totals };
  });
}
