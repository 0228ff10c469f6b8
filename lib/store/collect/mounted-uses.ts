import { overlayLowers } from '../../sys/mounts/mounted-overlay.ts';
import type { ImageId } from '../layout/image-id.ts';
import { usedThrough, type VolumeName } from '../layout/layer-key.ts';
import { linkedVolume } from '../records/layers.ts';
import type { Store } from '../store.ts';

export interface MountedUses {
  /** As in the record of the image. */
  readonly lowers: readonly string[];
  readonly uses: readonly string[];
}

/** What a container runs on by the options of its mount; undefined where they do not tell all of it. */
export function mountedUses(store: Store, id: ImageId): MountedUses | undefined {
  const lowers = overlayLowers(store.layout.rootfs(id))?.map((lower) => inStore(store, lower));
  if (lowers === undefined || !lowers.every((lower) => lower !== undefined)) return undefined;
  const volumes = lowers.filter((lower) => !lower.startsWith('/'));
  return { lowers, uses: [...new Set(volumes.map(usedThrough))] };
}

/** A lower directory as records name it; undefined for one that only this mount knows. */
function inStore({ layout, layers }: Store, lower: string): string | undefined {
  const volume = lower.startsWith(`${layout.volumes}/`)
    ? (lower.slice(layout.volumes.length + 1).split('/', 1)[0] as VolumeName)
    : lower.startsWith('/')
      ? undefined
      : linkedVolume(`${layout.links}/${lower}`);
  if (volume !== undefined) return layers.has(volume) ? volume : undefined;
  return lower.startsWith('/') && !lower.startsWith(`${layout.root}/`) ? lower : undefined;
}
