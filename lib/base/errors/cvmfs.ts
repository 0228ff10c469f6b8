/** Errors of layers on CernVM-FS. */
export interface CvmfsErrors {
  /** A path or an address that lies in no repository of the configuration, or leads out of one. */
  CVMFS_NOT_ALLOWED: { path: string; repositories: string; reason: string };
  /** A repository or a layer in it fails a check, and the configuration or the image names no other source. */
  CVMFS_UNHEALTHY: { repository: string; what: string; doubt: string; reason: string };
  /** The repository has no file under this path. */
  CVMFS_NOT_PUBLISHED: { repository: string; path: string };
  /** A record in a repository that cannot be read: a manifest, a layer's record, a thin image's. */
  CVMFS_BAD_RECORD: { path: string; reason: string };
  /** A thin image whose layer is not in the repository that it names. */
  CVMFS_THIN_LAYER_MISSING: { image: string; url: string; reason: string };
}
