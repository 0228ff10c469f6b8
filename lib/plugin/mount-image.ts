import type { ImageId } from '../store/layout/image-id.ts';
import type { VolumeName } from '../store/layout/layer-key.ts';
import { shortName } from '../store/layout/layer-key.ts';
import { letMappedRootMount } from '../store/layout/passage.ts';
import type { Store } from '../store/store.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { unmount } from '../sys/mounts/mount.ts';
import { readMountinfo } from '../sys/mounts/mountinfo.ts';
import { describeOverlayOptions, mountOverlay } from '../sys/mounts/overlay.ts';

interface Lowers {
  /** Topmost first: names below volumes/, or absolute paths that are not the store's. */
  readonly lowers: readonly string[];
  /** As in a plan (lib/store/records/stacks.ts). */
  readonly idmapRoots?: readonly string[] | undefined;
}

/**
 * Mounts a container's overlay, also one with lower directories that must be shown with other owners: a clone of their
 * mount stands at the rootfs, hidden below the overlay as soon as that is mounted, so that whatever unmounts the
 * rootfs takes both away.
 * @throws SysError ENOENT when a lower directory is gone; EINVAL where a filesystem allows no idmapped mounts
 */
export async function mountContainer(store: Store, id: ImageId, plan: Lowers): Promise<void> {
  const [root] = plan.idmapRoots ?? [];
  if (root === undefined) {
    mountImage(store, id, plan);
    return;
  }
  const { attachIdmapped, openUserNamespace } = await import('../sys/mounts/idmap.ts');
  const namespace = await openUserNamespace(store.format.mappings);
  const rootfs = store.layout.rootfs(id);
  try {
    attachIdmapped(root, rootfs, namespace);
  } finally {
    close(namespace);
  }
  const shown = (lower: string) =>
    lower.startsWith(`${root}/`) ? `${rootfs}${lower.slice(root.length)}` : lower;
  mountImage(store, id, { lowers: plan.lowers.map(shown) });
}

/** Mounts a container's overlay. @throws SysError ENOENT when a lower directory is gone */
export function mountImage(store: Store, id: ImageId, plan: Lowers): void {
  try {
    mountOnce(store, id, plan);
  } catch (error) {
    // A short link may be missing where a layer's publisher was stopped before it made one.
    if (!hasCode(error, 'ENOENT')) throw error;
    ensureLinks(store, plan);
    mountOnce(store, id, plan);
  }
}

/**
 * Takes away a mount that came to lie over another container's, whose image was made while ours, of the same name, was
 * at its mount: the path was the same by then. The topmost mount is what umount2(2) takes.
 */
export function uncover({ layout }: Store, id: ImageId): void {
  const rootfs = layout.rootfs(id);
  const mounts = readMountinfo().filter(({ mountPoint }) => mountPoint === rootfs);
  if (mounts.length > 1) unmount(rootfs, { detach: true });
}

function mountOnce(store: Store, id: ImageId, plan: Lowers): void {
  const { layout } = store;
  const image = layout.image(id);
  mountOverlay({
    lowers: plan.lowers.map((lower) => pathOf(store, lower)),
    upper: `${image}/diff`,
    work: `${image}/workdir`,
    target: `${image}/rootfs`,
    flags: { nodev: plan.lowers.some((lower) => lower.startsWith('/')) },
    ...(plan.lowers.some((lower) => lower.startsWith('/'))
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
  for (const lower of plan.lowers) if (!lower.startsWith('/')) store.layers.ensureLink(lower as VolumeName);
}

/**
 * A descriptor of the tree that a container's overlay will show, where somebody else mounts it. Mounted without anything
 * to write to, so that the container's work directory stays as new, and out of the machine's mounts again before this
 * returns: the mount lives as long as the descriptor. Beside a single lower stands the container's own empty directory,
 * since the kernel wants two where there is no upper one.
 * @throws SysError
 */
export function openMerged(store: Store, id: ImageId, plan: Lowers): number {
  const rootfs = store.layout.rootfs(id);
  const own = plan.lowers.length > 1 ? [] : [`${store.layout.image(id)}/diff`];
  const linkOf = (lower: string) =>
    lower.startsWith('/') ? lower : store.layers.ensureLink(lower as VolumeName);
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

function pathOf({ layout }: Store, lower: string): string {
  return lower.startsWith('/') ? lower : layout.tree(lower as VolumeName);
}

/** The mount's options for `--without-mount`: short links, topmost first, in one string. */
export function mountOptions(store: Store, id: ImageId, plan: Lowers): string {
  const { layout } = store;
  const own = plan.lowers.filter((lower): lower is VolumeName => !lower.startsWith('/'));
  letMappedRootMount(layout, store.owner, own);
  const lowers = plan.lowers.map((lower) =>
    lower.startsWith('/') ? lower : `${layout.links}/${store.layers.ensureLink(lower as VolumeName)}`,
  );
  return describeOverlayOptions({
    lowers,
    upper: `${layout.image(id)}/diff`,
    work: `${layout.image(id)}/workdir`,
  });
}
