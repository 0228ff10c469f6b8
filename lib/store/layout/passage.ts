/**
 * Who may pass through the store's directories. All of them are root's, and nobody else can write or list one. The root of
 * a mapped container comes to its root filesystem by the host's names, as a user whom root's directories are closed to:
 * runc(8) opens it from inside the user namespace. So the group of the mapped root may search the store, `images/` and the
 * container's own directory. In a store without a mapping the containers' root is root, and everything is closed.
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

/** Lets the group of `root`, the mapped root, search a directory of root's. */
export function letPass(path: string, root: Ids): void {
  const mapped = isMapped(root);
  chownAt(AT_FDCWD, path, 0, mapped ? root.gid : 0);
  chmodAt(AT_FDCWD, path, mapped ? SEARCHED_BY_GROUP : CLOSED);
}

/** For root alone. */
export function shut(path: string): void {
  chownAt(AT_FDCWD, path, 0, 0);
  chmodAt(AT_FDCWD, path, CLOSED);
}

/** Whether `letPass` was here. */
export function isPassable(path: string, root: Ids): boolean {
  const { uid, gid, mode } = statAt(AT_FDCWD, path);
  return isMapped(root) && uid === 0 && gid === root.gid && (mode & 0o7777) === SEARCHED_BY_GROUP;
}

function isMapped({ uid, gid }: Ids): boolean {
  return uid !== 0 || gid !== 0;
}

/**
 * For an overlay that runc mounts inside the user namespace (`--without-mount`): its kernel looks the lower directories up
 * as the mapped root. The layers of this container are open to the mapped root from then on, of which the files are its
 * own: docs/security.md says what that means. Nothing happens in a store without a mapping.
 */
export function letMappedRootMount(layout: Layout, root: Ids, volumes: readonly VolumeName[]): void {
  if (!isMapped(root)) return;
  for (const path of [layout.links, layout.volumes, ...volumes.map((name) => layout.volume(name))]) {
    if (!isPassable(path, root)) letPass(path, root);
  }
}
