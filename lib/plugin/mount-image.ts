import { PluginError } from '../base/errors/error.ts';
import type { ImageId } from '../store/layout/image-id.ts';
import {
  isOutside,
  type Lower,
  type OutsidePath,
  shortName,
  type VolumeName,
} from '../store/layout/layer-key.ts';
import { letMappedRootMount } from '../store/layout/passage.ts';
import { mountLayers } from '../store/records/layer-mounts.ts';
import type { Store } from '../store/store.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { unmount } from '../sys/mounts/mount.ts';
import { mountAt, readMountinfo } from '../sys/mounts/mountinfo.ts';
import { describeOverlayOptions, mountOverlay } from '../sys/mounts/overlay.ts';

interface Lowers {
  /** Lower directories, topmost first: names below volumes/, or absolute paths outside the store. */
  readonly lowers: readonly Lower[];
  /** The same as in a plan (lib/store/records/stacks.ts). */
  readonly idmapRoots?: readonly string[] | undefined;
}

/**
 * Mounts a container's overlay. Lower directories that need other owners are read through an idmapped clone of their
 * mount. The clone is mounted at the rootfs, and the overlay over it hides the clone; so a caller that unmounts the
 * rootfs removes both.
 * @throws SysError ENOENT when a lower directory is gone; EINVAL when a filesystem does not allow idmapped mounts
 */
export async function mountContainer(store: Store, id: ImageId, plan: Lowers): Promise<void> {
  const hasImages = await mountLayers(store, plan.lowers);
  const [root] = plan.idmapRoots ?? [];
  if (root === undefined) {
    mountImage(store, id, plan, hasImages);
    return;
  }
  const [{ attachIdmapped }, { openUserNamespace }] = await Promise.all([
    import('../sys/mounts/idmap.ts'),
    import('../sys/mounts/user-namespace.ts'),
  ]);
  const namespace = await openUserNamespace(store.format.mappings);
  const rootfs = store.layout.rootfs(id);
  try {
    attachIdmapped(root, rootfs, namespace);
  } finally {
    close(namespace);
  }
  const shown = (lower: Lower) =>
    lower.startsWith(`${root}/`) ? (`${rootfs}${lower.slice(root.length)}` as OutsidePath) : lower;
  mountImage(store, id, { lowers: plan.lowers.map(shown) }, hasImages);
}

/**
 * Mounts a container's overlay.
 * @param hasImages some of the layers are images, which are mounted (`mountLayers`)
 * @throws SysError ENOENT when a lower directory is gone
 */
export function mountImage(store: Store, id: ImageId, plan: Lowers, hasImages = false): void {
  try {
    mountOnce(store, id, plan, hasImages);
  } catch (error) {
    // A short link may be missing: the create that published the layer was stopped before it made the link.
    if (!hasCode(error, 'ENOENT')) throw error;
    ensureLinks(store, plan);
    mountOnce(store, id, plan, hasImages);
  }
}

/**
 * Unmounts an overlay that covers another container's. While this create was mounting, its image was deleted, and
 * another create made an image with the same id, so with the same path. umount2(2) removes the topmost mount, which
 * is this create's.
 */
export function uncover({ layout }: Store, id: ImageId): void {
  const rootfs = layout.rootfs(id);
  const mounts = readMountinfo().filter(({ mountPoint }) => mountPoint === rootfs);
  if (mounts.length > 1) unmount(rootfs, { detach: true });
}

function mountOnce(store: Store, id: ImageId, plan: Lowers, hasImages: boolean): void {
  const { layout } = store;
  const image = layout.image(id);
  mountOverlay({
    lowers: plan.lowers.map((lower) => pathOf(store, lower)),
    upper: `${image}/diff`,
    work: `${image}/workdir`,
    target: `${image}/rootfs`,
    flags: { nodev: plan.lowers.some(isOutside) },
    severalFilesystems: hasImages,
    ...(plan.lowers.some(isOutside)
      ? {}
      : {
          shortLinks: {
            cwd: layout.links,
            names: plan.lowers.map((lower) => shortName(lower as VolumeName)),
          },
        }),
  });
}

function ensureLinks(store: Store, plan: Lowers): void {
  for (const lower of plan.lowers) if (!isOutside(lower)) store.layers.ensureLink(lower);
}

/**
 * Opens the tree that a container's overlay will show, when the caller mounts the overlay. Layers that are images are
 * mounted (`mountLayers`). The tree is mounted
 * read-only, so that the container's work directory is not used, and detached before this function returns: the mount
 * lives as long as the descriptor. An overlay without an upper directory needs at least two lower directories; with a
 * single one the container's own empty directory is the second.
 * @param withUpper the tree shows what the container has written, too
 * @throws SysError
 */
export function openMerged(store: Store, id: ImageId, plan: Lowers, withUpper = false): number {
  const rootfs = store.layout.rootfs(id);
  const own = withUpper || plan.lowers.length < 2 ? [`${store.layout.image(id)}/diff`] : [];
  const linkOf = (lower: Lower) => (isOutside(lower) ? lower : store.layers.ensureLink(lower));
  mountOverlay({
    lowers: [...own, ...plan.lowers.map((lower) => pathOf(store, lower))],
    target: rootfs,
    flags: { nosuid: true, nodev: true },
    shortLinks: { cwd: store.layout.links, names: [...own, ...plan.lowers.map(linkOf)] },
  });
  try {
    return openAt(AT_FDCWD, rootfs, O.PATH | O.DIRECTORY);
  } finally {
    unmount(rootfs, { detach: true });
  }
}

/**
 * Opens the whole tree of a container: its mounted overlay, or for a container that is not mounted a read-only overlay
 * of the same directories, which lives as long as the descriptor.
 * @throws COMMIT_NOT_MOUNTED where the tree needs an idmapped mount, which only the container's own mount has; SysError
 */
export function openWholeTree(store: Store, id: ImageId, plan: Lowers): number {
  const rootfs = store.layout.rootfs(id);
  if (mountAt(rootfs)?.fsType === 'overlay') return openAt(AT_FDCWD, rootfs, O.PATH | O.DIRECTORY);
  if ((plan.idmapRoots ?? []).length > 0)
    throw new PluginError('COMMIT_NOT_MOUNTED', { id, store: store.layout.root });
  return openMerged(store, id, plan, true);
}

function pathOf({ layout }: Store, lower: Lower): string {
  return isOutside(lower) ? lower : layout.tree(lower);
}

/**
 * The mount options for `--without-mount`, in one string: short links, topmost first.
 * @param hasImages some of the layers are images
 */
export function mountOptions(store: Store, id: ImageId, plan: Lowers, hasImages: boolean): string {
  const { layout } = store;
  const own = plan.lowers.filter((lower): lower is VolumeName => !isOutside(lower));
  letMappedRootMount(layout, store.owner, own);
  const lowers = plan.lowers.map((lower) =>
    isOutside(lower) ? lower : `${layout.links}/${store.layers.ensureLink(lower)}`,
  );
  return describeOverlayOptions({
    lowers,
    upper: `${layout.image(id)}/diff`,
    work: `${layout.image(id)}/workdir`,
    severalFilesystems: hasImages,
  });
}
