/** Errors of publishing images to CernVM-FS and to directories in its layout. */
export interface PublishErrors {
  PUBLISH_BAD_TARGET: { target: string; reason: string };
  /** Another publication into the same target is running. `pid`: its process, where it is known. */
  PUBLISH_BUSY: { target: string; pid: number | undefined };
  /** An image from files has no name of its own. */
  PUBLISH_NEEDS_NAME: { image: string };
  PUBLISH_BAD_NAME: { name: string };
  PUBLISH_WISH_LIST: { path: string; reason: string };
  /** A line of a wish list that names no image, or a wildcard that fits no tag. */
  PUBLISH_WISH: { wish: string; reason: string };
  /** The image cannot be published as a stack of layers. */
  PUBLISH_SOURCE: { image: string; reason: string };
  /** A layer with a hard link into a lower one is another tree in each image, and layers are published by digest. */
  PUBLISH_LAYER_DEPENDS: { digest: string; entry: string; target: string };
  /** A thin image names layers, and the repository has not all of the image. `target`: its path. */
  THIN_UNPUBLISHED: { image: string; target: string; reason: string };
  /** The image has the name of CernVM-FS's catalog file, and it is no file. */
  PUBLISH_CATALOG_NAME: { name: string };
  PUBLISH_TOO_DEEP: { path: string };
  /** `cvmfs_server` failed. `says`: the end of its output. `ended`: no signal killed it. */
  PUBLISH_SERVER: { command: string; status: string; says: string; ended: boolean };
  /** A transaction is open that no run of graft has opened. */
  PUBLISH_TRANSACTION: { repository: string };
}
