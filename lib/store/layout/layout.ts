/**
 * The store on disk, version 2. One store is one directory on one filesystem; its path is `root`.
 *
 *   images/<id>/            a container's own directory; carries its project quota
 *     diff/ workdir/        upper and work directory of the overlay
 *     rootfs/               where the overlay is mounted
 *     image_info            bytes of the layers below, decimal (what GrootFS writes there)
 *     image_quota           the limit in force, decimal; only when there is one
 *   volumes/<layer>/        one layer, published whole by one rename
 *     fs/                   its tree: a lower directory
 *     layer.json            its completion record, with its sizes (lib/store/records/layer-record.ts)
 *     names                 its marked directories, for planning a stack (lib/store/records/layer-names.ts)
 *     tree                  the manifest of its tree, for `check`
 *     access                who may have it (lib/store/records/grants.ts)
 *   volumes/<layer>.shim/   a shim that stands directly below that layer (lib/image/stack/stack.ts)
 *   volumes/<stack>.shim/   a shim that stands on top of that stack of layers
 *   volumes/<published>.shim/  stands directly below a layer on CVMFS: what its whiteout markers mean
 *   volumes/<published>.mask/  stands directly above it: hides the markers
 *   volumes/gc.<name>       out of use, being deleted
 *   l/<short>               -> ../volumes/<name>/fs, for mount options that must be short
 *   meta/graft.json         format marker and mapping; a store without it is not ours
 *   meta/graft.json.copy    the same, for an init-store that finds it damaged
 *   meta/boot               boot id of the last recovery
 *   meta/images/<id>        record of an image: its layers and where they came from
 *   meta/leases/<owner>     what a running create is about to use; the name says whose it is
 *   meta/stacks/<stack>     the remembered order of lower directories for a list of layers
 *   meta/published/<published>  what a walk of a layer on CVMFS found (lib/store/records/published.ts)
 *   meta/sources/<hash>     the diffID that a local tar (device, inode, size, mtime) gave
 *   meta/blobs/<hex>        manifests and image configurations by digest
 *   meta/blobs/<hex>.*      the same, for callers whose image comes from one repository (lib/store/records/blobs.ts)
 *   meta/partial/<hex>      the first bytes of a blob whose download was killed (lib/registry/blobs/partial.ts)
 *   meta/totals             running sums: whether a clean is due, and what metrics tell
 *   locks/                  claims on downloads and short locks; nothing is ever wrong without them
 *   projectids/<n>          -> owner: project id n is taken (a dangling symbolic link: made in one step)
 *   tmp/<owner>.<what>      staging and rubbish; whatever belongs to a dead owner is swept
 *
 * Every directory here is root's, and nobody else can write or list it; passage.ts says who may pass. Only what is below
 * `diff`, `workdir`, `rootfs` and `fs` may belong to others.
 *
 * Invariants:
 *  1. A directory below volumes/ or images/ under its final name is complete.
 *  2. A create names layers in its lease before it looks for them, behind a gate (flock(2) on meta/leases) that a
 *     `clean` closes while it looks who names what and renames what nobody does. So either the create sees the
 *     layer gone, or the clean sees the lease; what a lease names never moves.
 *  3. An image directory without a record and without a live lease that names it is half made or half deleted.
 *  4. Readers take no lock.
 */
import type { Digest } from '../../base/digest.ts';
import { hexOf } from '../../base/digest.ts';
import type { ImageId } from './image-id.ts';
import type { VolumeName } from './layer-key.ts';

/** The version of all this; `versions.ts` has the steps that lead to it. */
export const STORE_VERSION = 2;

/** Paths of one store. Built only from typed names, never from text from outside. */
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
  get links(): string {
    return `${this.root}/l`;
  }
  get meta(): string {
    return `${this.root}/meta`;
  }
  get marker(): string {
    return `${this.root}/meta/graft.json`;
  }
  /** The marker once more, for when it is damaged: nothing else knows the mappings. */
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
  get published(): string {
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
  /** The loop file beside a store that `init-store --store-size-bytes` made. */
  get backing(): string {
    return `${this.root}.backing-store`;
  }
}

/** Directories of a store, parents first; made by `init-store`. */
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
