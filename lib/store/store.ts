import { readAnyFormat, type StoreFormat } from './layout/format.ts';
import { Layout } from './layout/layout.ts';
import { type StoreVersions, VERSIONS } from './layout/versions.ts';
import { OpenedStore, openWith, storeRoot } from './opened.ts';
import { Blobs } from './records/blobs.ts';
import { CvmfsRecords } from './records/cvmfs-records.ts';
import { Layers } from './records/layers.ts';
import { Sources } from './records/sources.ts';
import { Stacks } from './records/stacks.ts';

/** An open store with all its records; each of its parts has one task. */
export class Store extends OpenedStore {
  readonly layers: Layers;
  readonly stacks: Stacks;
  readonly cvmfsRecords: CvmfsRecords;
  readonly sources: Sources;
  readonly blobs: Blobs;

  private constructor(layout: Layout, format: StoreFormat) {
    super(layout, format);
    this.layers = new Layers(layout);
    this.stacks = new Stacks(layout);
    this.cvmfsRecords = new CvmfsRecords(layout);
    this.sources = new Sources(layout);
    this.blobs = new Blobs(layout);
  }

  /** @throws the errors of `OpenedStore.open` */
  static override open(path: string, versions: StoreVersions = VERSIONS): Store {
    return openWith(path, versions, (layout, format) => new Store(layout, format));
  }

  /**
   * Opens a store of this or an older version: removing needs only paths that are the same in all versions.
   * @throws the errors of `open`
   */
  static openToRemove(path: string): Store {
    const layout = new Layout(storeRoot(path));
    return new Store(layout, readAnyFormat(layout));
  }
}
