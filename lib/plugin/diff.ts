/** The changes of a container: its upper directory, held against the layers below. */
import { PluginError } from '../base/errors/error.ts';
import { lookBelow } from '../commit/layer/lower-names.ts';
import { shownPath, type TreeName, walkTree } from '../commit/layer/tree-walk.ts';
import { type ImageId, parseIdOrPath } from '../store/layout/image-id.ts';
import { isOutside } from '../store/layout/layer-key.ts';
import { mountLayers } from '../store/records/layer-mounts.ts';
import type { Store } from '../store/store.ts';
import { close, openAt } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { isDirectory, isWhiteout, S, type Stat } from '../sys/kernel/stat.ts';
import { containerRecord } from './container-fragment.ts';
import { isOpaque } from './opaque.ts';

export interface Change {
  /** Added, modified, deleted. */
  readonly change: 'A' | 'M' | 'D';
  /** Inside the container, escaped. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'link' | 'device' | 'fifo' | 'socket';
  /** Bytes of a regular file as it is now; 0 for anything else. */
  readonly size: number;
  /** A directory that was removed and made anew, so that nothing of the image shows in it. */
  readonly replaced?: true;
}

interface Compared {
  readonly lowers: readonly string[];
  /** False where the layers have other owners than the container shows. */
  readonly sameOwners: boolean;
}

/**
 * Every change in the order of paths, parents first. A directory that only holds changes is none itself.
 * @throws IMAGE_NOT_FOUND, COMMIT_CHANGED where the container moves a directory meanwhile, COMMIT_TOO_LARGE
 */
export async function containerChanges(store: Store, argument: string): Promise<Iterable<Change>> {
  const id = parseIdOrPath(argument, store.layout.root);
  const record = containerRecord(store, id);
  const lowers = record.lowers.map((lower) => (isOutside(lower) ? lower : store.layout.tree(lower)));
  await mountLayers(store, record.lowers);
  return changesIn(store, id, { lowers, sameOwners: (record.idmapRoots ?? []).length === 0 });
}

function* changesIn(store: Store, id: ImageId, compared: Compared): Generator<Change> {
  const root = openUpper(store, id);
  try {
    for (const found of walkTree(root)) {
      const change = found.path === '' ? undefined : changeOf(found, compared);
      if (change !== undefined) yield change;
    }
  } finally {
    close(root);
  }
}

function openUpper(store: Store, id: ImageId): number {
  try {
    return openAt(AT_FDCWD, `${store.layout.image(id)}/diff`, O.PATH | O.DIRECTORY | O.NOFOLLOW);
  } catch (error) {
    throw new PluginError('IMAGE_NOT_FOUND', { id }, { cause: error });
  }
}

function changeOf(found: TreeName, { lowers, sameOwners }: Compared): Change | undefined {
  const { stat } = found;
  const path = shownPath(found.path);
  const below = lookBelow(lowers, found.path);
  if (isWhiteout(stat)) return below && { change: 'D', path, type: typeOf(below), size: 0 };
  const type = typeOf(stat);
  const size = type === 'file' ? stat.size : 0;
  if (below === undefined) return { change: 'A', path, type, size };
  if (!isDirectory(stat)) return { change: 'M', path, type, size };
  if (isOpaque(found.fd, found.path)) return { change: 'M', path, type, size, replaced: true };
  return isDirectory(below) && sameAttributes(stat, below, sameOwners)
    ? undefined
    : { change: 'M', path, type, size };
}

function sameAttributes(a: Stat, b: Stat, owners: boolean): boolean {
  return a.mode === b.mode && (!owners || (a.uid === b.uid && a.gid === b.gid));
}

function typeOf({ mode }: Stat): Change['type'] {
  switch (mode & S.IFMT) {
    case S.IFREG:
      return 'file';
    case S.IFDIR:
      return 'directory';
    case S.IFLNK:
      return 'link';
    case S.IFIFO:
      return 'fifo';
    case S.IFSOCK:
      return 'socket';
    default:
      return 'device';
  }
}
