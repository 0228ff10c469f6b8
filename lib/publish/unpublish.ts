/** Takes an image's name away. Its layers stay until a prune finds that no manifest names them. */
import { formatDuccManifest } from '../cvmfs/records.ts';
import { lookIfThere } from '../sys/kernel/look.ts';
import { isSymlink } from '../sys/kernel/stat.ts';
import { keptManifest } from './records.ts';
import { metadataPath } from './repository/paths.ts';
import type { PublishedFile, PublishTarget } from './targets/target.ts';

export interface Unpublication {
  readonly name: string;
  /** Until when its layers are kept, for containers that run on them. Undefined: they may go now. */
  readonly keepUntil: Date | undefined;
  readonly dryRun: boolean;
}

/** @returns the paths that were removed, or would be; none where no image has the name @throws CVMFS_BAD_RECORD, PUBLISH_* */
export async function unpublishImage(
  target: PublishTarget,
  { name, keepUntil, dryRun }: Unpublication,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { repository } = target;
  const paths = [name, metadataPath(name)].filter((path) => {
    const stat = lookIfThere(`${repository.root}/${path}`);
    // Under the public name nothing but graft's and DUCC's link is theirs.
    return stat !== undefined && (path !== name || isSymlink(stat));
  });
  if (dryRun || paths.length === 0) return paths;
  const manifest = repository.manifest(name);
  const kept: PublishedFile[] =
    manifest === undefined || keepUntil === undefined
      ? []
      : [keptManifest(keepUntil, name, formatDuccManifest(manifest))];
  if (kept.length > 0)
    await target.publish({ layers: [], namesBelow: () => [], files: kept, link: undefined }, signal);
  await target.remove(paths, signal);
  return paths;
}
