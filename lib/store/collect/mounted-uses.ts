import { overlayLowers } from '../../sys/mounts/mounted-overlay.ts';
import type { ImageId } from '../layout/image-id.ts';
import { isLower, isOutside, type Lower, usedThrough, type VolumeName } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { type Layers, linkedVolume } from '../records/layers.ts';

interface Located {
  readonly layout: Layout;
  readonly layers: Layers;
}

export interface MountedUses {
  /** Lower directories, written as in the record of the image. */
  readonly lowers: readonly Lower[];
  readonly uses: readonly string[];
}

/**
 * The layers that a container runs on, from the options of its mount; undefined when the options do not tell all of
 * them.
 */
export function mountedUses(store: Located, id: ImageId): MountedUses | undefined {
  const lowers = overlayLowers(store.layout.rootfs(id))?.map((lower) => inStore(store, lower));
  if (lowers === undefined || !lowers.every((lower) => lower !== undefined)) return undefined;
  const volumes = lowers.filter((lower) => !isOutside(lower));
  return { lowers, uses: [...new Set(volumes.map(usedThrough))] };
}

/** A lower directory, written as in records; undefined for a path that no record can contain. */
function inStore({ layout, layers }: Located, lower: string): Lower | undefined {
  const volume = lower.startsWith(`${layout.volumes}/`)
    ? (lower.slice(layout.volumes.length + 1).split('/', 1)[0] as VolumeName)
    : lower.startsWith('/')
      ? undefined
      : linkedVolume(`${layout.links}/${lower}`);
  if (volume !== undefined) return layers.has(volume) ? volume : undefined;
  return isLower(lower) && isOutside(lower) && !lower.startsWith(`${layout.root}/`) ? lower : undefined;
}
