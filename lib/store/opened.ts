import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { absolute } from '../sys/files/path.ts';
import { letGoOf } from '../sys/kernel/anchor.ts';
import { isDirectoryAt } from '../sys/kernel/look.ts';
import { anchorStore } from './layout/anchored.ts';
import { readFormat, rootOwner, type StoreFormat } from './layout/format.ts';
import { Layout } from './layout/layout.ts';
import { type StoreVersions, VERSIONS } from './layout/versions.ts';
import { Images } from './records/images.ts';
import { ProjectIds } from './records/project-ids.ts';

/**
 * The part of an open store that has the containers' directories and no layers. `stats` and `delete` need no more, and
 * Garden calls `stats` for each container every few seconds: loading the records of layers would cost it 5 % (measured).
 */
export class OpenedStore implements Disposable {
  readonly layout: Layout;
  readonly format: StoreFormat;
  readonly images: Images;
  readonly projectIds: ProjectIds;

  protected constructor(layout: Layout, format: StoreFormat) {
    this.layout = layout;
    this.format = format;
    this.projectIds = new ProjectIds(layout, format.firstProjectId);
    this.images = new Images(layout, this.projectIds);
  }

  /** Reads one small file and takes no lock. @throws STORE_BAD_PATH, STORE_UNSAFE, and all errors of `readFormat` */
  static open(path: string, versions: StoreVersions = VERSIONS): OpenedStore {
    return openWith(path, versions, (layout, format) => new OpenedStore(layout, format));
  }

  /** Closes the store's open directories, which would keep its filesystem from being unmounted. */
  [Symbol.dispose](): void {
    letGoOf(this.layout.root);
  }

  /** The host's uid and gid of the containers' root. */
  get owner(): { uid: number; gid: number } {
    return rootOwner(this.format.mappings);
  }
}

/** Opens the store's directories by descriptor, reads its format, and makes the object for them. */
export function openWith<S>(
  path: string,
  versions: StoreVersions,
  make: (layout: Layout, format: StoreFormat) => S,
): S {
  const layout = new Layout(storeRoot(path));
  const unsafe = anchorStore(layout, true);
  try {
    const format = readFormat(layout, versions);
    // A store of version 1 belonged to the mapped root: its error is the old version, not unsafe permissions.
    if (unsafe) throw unsafe;
    return make(layout, format);
  } catch (error) {
    letGoOf(layout.root);
    throw error;
  }
}

/** The store's path in the form that the layout needs: absolute, without `.` and `..`, without a slash at the end. */
export function storeRoot(path: string): string {
  if (path.includes('\0') || path === '') {
    throw new PluginError('STORE_BAD_PATH', { store: printable(path), reason: 'it is not a path' });
  }
  const root = absolute(path);
  if (root === '/')
    throw new PluginError('STORE_BAD_PATH', { store: root, reason: 'it is the root of the machine' });
  return root;
}

/** True when a directory is at the store's path. */
export function storeExists(layout: Layout): boolean {
  return isDirectoryAt(layout.root);
}
