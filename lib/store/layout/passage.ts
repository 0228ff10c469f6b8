/**
 * Rules for who may search the store's directories. All directories belong to root, and nobody else can write or list
 * them. With a mapping, runc(8) opens the rootfs by its host path from inside the user namespace, so as the mapped
 * root, who has no access to root's directories. So the group of the mapped root may search the store, `images/` and
 * the container's own directory. In a store without a mapping the containers' root is root, and every directory has
 * mode 0700.
 */
import { chmodAt, chownAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { statAt } from '../../sys/kernel/stat.ts';
import type { VolumeName } from './layer-key.ts';
import type { Layout } from './layout.ts';

export interface Ids {
  readonly uid: number;
  readonly gid: number;
}

const SEARCHED_BY_GROUP = 0o710;
const CLOSED = 0o700;

/** Lets the group of `root` (the mapped root) search one of root's directories. */
export function letPass(path: string, root: Ids): void {
  const mapped = isMapped(root);
  chownAt(AT_FDCWD, path, 0, mapped ? root.gid : 0);
  chmodAt(AT_FDCWD, path, mapped ? SEARCHED_BY_GROUP : CLOSED);
}

/** Closes a directory to everybody except root. */
export function shut(path: string): void {
  chownAt(AT_FDCWD, path, 0, 0);
  chmodAt(AT_FDCWD, path, CLOSED);
}

/** True for a directory that `letPass` has opened to the mapped root. */
export function isPassable(path: string, root: Ids): boolean {
  const { uid, gid, mode } = statAt(AT_FDCWD, path);
  return isMapped(root) && uid === 0 && gid === root.gid && (mode & 0o7777) === SEARCHED_BY_GROUP;
}

function isMapped({ uid, gid }: Ids): boolean {
  return uid !== 0 || gid !== 0;
}

/**
 * Prepares an overlay that runc mounts inside the user namespace (`--without-mount`): there the kernel looks up the
 * lower directories as the mapped root. So the mapped root, who owns the files in these layers, can search the layers
 * of this container from now on; docs/security.md describes the consequences. Does nothing in a store without a
 * mapping.
 */
export function letMappedRootMount(layout: Layout, root: Ids, volumes: readonly VolumeName[]): void {
  if (!isMapped(root)) return;
  for (const path of [layout.links, layout.volumes, ...volumes.map((name) => layout.volume(name))]) {
    if (!isPassable(path, root)) letPass(path, root);
  }
}
