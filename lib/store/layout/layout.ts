/**
 * The store on disk, version 3. A store is one directory on one filesystem; its path is `root`.
 *
 *   images/<id>/            a container's own directory; carries its project quota
 *     diff/ workdir/        upper and work directory of the overlay
 *     rootfs/               where the overlay is mounted
 *     image_info            bytes of the layers below, decimal (what GrootFS writes there)
 *     image_quota           the limit in force, decimal; only when there is one
 *   volumes/<layer>/        one layer, published whole by one rename
 *     fs/                   its tree: a lower directory
 *     fs.erofs              a layer that is an image: its tree, which is mounted at fs/ while a container uses it
 *     layer.json            its completion record, with its sizes (lib/store/records/layer-record.ts)
 *     names                 its marked directories, for planning a stack (lib/store/records/layer-names.ts)
 *     tree                  the manifest of its tree, for `check`; a layer that is an image has none
 *     access                which callers may use it (lib/store/records/grants.ts)
 *   volumes/<layer>.shim/   a shim that stands directly below that layer (lib/image/stack/stack.ts)
 *   volumes/<stack>.shim/   a shim that stands on top of that stack of layers
 *   volumes/<published>.shim/  stands directly below a layer on CVMFS: gives the effect of its whiteout markers
 *   volumes/<published>.mask/  stands directly above it: hides the markers
 *   volumes/gc.<name>       not in use, a clean deletes it
 *   l/<short>               -> ../volumes/<name>/fs, for mount options that must be short
 *   meta/graft.json         format marker and mapping; without it the directory is not a store of graft
 *   meta/graft.json.copy    a copy, which init-store reads when the marker is damaged
 *   meta/boot               boot id of the last recovery
 *   meta/images/<id>        record of an image: its layers and where they came from
 *   meta/leases/<owner>     the layers that a running create will use; the name says which process
 *   meta/stacks/<stack>     the remembered order of lower directories for a list of layers
 *   meta/published/<published>  what a walk of a layer on CVMFS found (lib/store/records/cvmfs-records.ts)
 *   meta/sources/<hash>     the diffID that a local tar (device, inode, size, mtime) gave
 *   meta/blobs/<hex>        manifests and image configurations by digest
 *   meta/blobs/<hex>.*      the same, for callers whose image comes from one repository (lib/store/records/blobs.ts)
 *   meta/cached/<hash>      an image that a create or a pull named (lib/store/records/cached-images.ts)
 *   meta/partial/<hex>      the first bytes of a blob whose download was killed (lib/registry/blobs/partial.ts)
 *   meta/totals             running sums: whether a clean is due, and what metrics tell
 *   locks/                  download claims and short locks; they save work, correctness does not need them
 *   projectids/<n>          -> owner: project id n is taken (a dangling symbolic link, which one system call makes)
 *   tmp/<owner>.<what>      stages and paths to delete; a sweep deletes those of dead owners
 *
 * Every directory here belongs to root, and nobody else can write or list it; passage.ts says who may search it. Only
 * files below `diff`, `workdir`, `rootfs` and `fs` may belong to others.
 *
 * Invariants:
 *  1. A directory below volumes/ or images/ under its final name is complete.
 *  2. A create writes layer names into its lease before it looks for the layers. Before it writes, the create passes a
 *     gate (flock(2) on meta/leases). A `clean` closes this gate while it reads leases and records and renames the
 *     layers that none of them names. So either the create finds the layer gone, or the clean sees the lease: a layer
 *     that a lease names is never renamed.
 *  3. An image directory without a record and without a live lease that names it is half made or half deleted.
 *  4. Readers take no lock.
 */
import type { Digest } from '../../base/digest.ts';
import { hexOf } from '../../base/digest.ts';
import type { ImageId } from './image-id.ts';
import type { VolumeName } from './layer-key.ts';

/** The version of this layout; `versions.ts` has the migration steps to it. */
export const STORE_VERSION = 3;

/** Paths of one store. All are built from typed names, never from outside text. */
export class Layout {
  readonly root: string;

  constructor(root: string) {
    this.root = root;
  }

  get images(): string {
    return `${this.root}/images`;
  }
  image(id: ImageId): string {
    return `${this.root}/images/${id}`;
  }
  rootfs(id: ImageId): string {
    return `${this.root}/images/${id}/rootfs`;
  }
  get volumes(): string {
    return `${this.root}/volumes`;
  }
  volume(name: VolumeName): string {
    return `${this.root}/volumes/${name}`;
  }
  tree(name: VolumeName): string {
    return `${this.root}/volumes/${name}/fs`;
  }
  /** The file of a layer that is an image. */
  layerImage(name: VolumeName): string {
    return `${this.root}/volumes/${name}/fs.erofs`;
  }
  get links(): string {
    return `${this.root}/l`;
  }
  get meta(): string {
    return `${this.root}/meta`;
  }
  get marker(): string {
    return `${this.root}/meta/graft.json`;
  }
  /** The copy of the marker. When the marker is damaged, only this copy knows the mappings. */
  get markerCopy(): string {
    return `${this.root}/meta/graft.json.copy`;
  }
  get boot(): string {
    return `${this.root}/meta/boot`;
  }
  get totals(): string {
    return `${this.root}/meta/totals`;
  }
  get imageRecords(): string {
    return `${this.root}/meta/images`;
  }
  imageRecord(id: ImageId): string {
    return `${this.root}/meta/images/${id}`;
  }
  get leases(): string {
    return `${this.root}/meta/leases`;
  }
  get stacks(): string {
    return `${this.root}/meta/stacks`;
  }
  get cvmfsRecords(): string {
    return `${this.root}/meta/published`;
  }
  get sources(): string {
    return `${this.root}/meta/sources`;
  }
  get blobs(): string {
    return `${this.root}/meta/blobs`;
  }
  blob(digest: Digest): string {
    return `${this.root}/meta/blobs/${hexOf(digest)}`;
  }
  get cached(): string {
    return `${this.root}/meta/cached`;
  }
  get partial(): string {
    return `${this.root}/meta/partial`;
  }
  get locks(): string {
    return `${this.root}/locks`;
  }
  get cleanLock(): string {
    return `${this.root}/locks/clean`;
  }
  get projectIds(): string {
    return `${this.root}/projectids`;
  }
  get tmp(): string {
    return `${this.root}/tmp`;
  }
  /** The loop file beside the store; `init-store --store-size-bytes` makes it. */
  get backing(): string {
    return `${this.root}.backing-store`;
  }
}

/** Directories of a store, parents first; `init-store` makes them. */
export const STORE_DIRECTORIES = [
  'images',
  'volumes',
  'l',
  'meta',
  'meta/images',
  'meta/leases',
  'meta/stacks',
  'meta/published',
  'meta/sources',
  'meta/blobs',
  'meta/partial',
  'locks',
  'projectids',
  'tmp',
] as const;
