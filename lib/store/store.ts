import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { absolute } from '../sys/files/path.ts';
import { letGoOf } from '../sys/kernel/anchor.ts';
import { isDirectoryAt } from '../sys/kernel/look.ts';
import { anchorStore } from './layout/anchored.ts';
import { readAnyFormat, readFormat, rootOwner, type StoreFormat } from './layout/format.ts';
import { Layout } from './layout/layout.ts';
import { type StoreVersions, VERSIONS } from './layout/versions.ts';
import { Blobs } from './records/blobs.ts';
import { Images } from './records/images.ts';
import { Layers } from './records/layers.ts';
import { ProjectIds } from './records/project-ids.ts';
import { PublishedLayers } from './records/published.ts';
import { Sources } from './records/sources.ts';
import { Stacks } from './records/stacks.ts';

/** An open store; each of its parts has one task. Opening reads one small file and takes no lock. */
export class Store implements Disposable {
  readonly layout: Layout;
  readonly format: StoreFormat;
  readonly layers: Layers;
  readonly images: Images;
  readonly projectIds: ProjectIds;
  readonly stacks: Stacks;
  readonly published: PublishedLayers;
  readonly sources: Sources;
  readonly blobs: Blobs;

  private constructor(layout: Layout, format: StoreFormat) {
    this.layout = layout;
    this.format = format;
    this.layers = new Layers(layout);
    this.projectIds = new ProjectIds(layout, format.firstProjectId);
    this.images = new Images(layout, this.projectIds);
    this.stacks = new Stacks(layout);
    this.published = new PublishedLayers(layout);
    this.sources = new Sources(layout);
    this.blobs = new Blobs(layout);
  }

  /** @throws STORE_BAD_PATH, STORE_UNSAFE, and all errors of `readFormat` */
  static open(path: string, versions: StoreVersions = VERSIONS): Store {
    const layout = new Layout(storeRoot(path));
    const unsafe = anchorStore(layout, true);
    try {
      const format = readFormat(layout, versions);
      // A store of version 1 belonged to the mapped root: its error is the old version, not unsafe permissions.
      if (unsafe) throw unsafe;
      return new Store(layout, format);
    } catch (error) {
      letGoOf(layout.root);
      throw error;
    }
  }

  /** Closes the store's open directories, which would keep its filesystem from being unmounted. */
  [Symbol.dispose](): void {
    letGoOf(this.layout.root);
  }

  /**
   * Opens a store of this or an older version: removing needs only paths that are the same in all versions.
   * @throws the errors of `open`
   */
  static openToRemove(path: string): Store {
    const layout = new Layout(storeRoot(path));
    return new Store(layout, readAnyFormat(layout));
  }

  /** The host's uid and gid of the containers' root. */
  get owner(): { uid: number; gid: number } {
    return rootOwner(this.format.mappings);
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
