/** Errors of an image reference, a manifest or a configuration, and images that this machine cannot run. */
export interface ImageErrors {
  BAD_REFERENCE: { reference: string; reason: string };
  BAD_DIGEST: { digest: string };
  /** `argument`: what was given, without secrets. */
  IMAGE_SCHEME: { scheme: string; argument: string };
  /** The layout, manifest or configuration does not exist. */
  IMAGE_SOURCE_MISSING: { path: string };
  IMAGE_TAR_MISSING: { path: string };
  IMAGE_SOURCE_UNREADABLE: { path: string; reason: string };
  IMAGE_SOURCE_DIRECTORY: { path: string };
  /** The tar holds a saved image and not a root filesystem. `format`: the transport with which skopeo reads it. */
  IMAGE_SAVED: { path: string; format: 'docker-archive' | 'oci-archive' };
  IMAGE_SOURCE_CHANGED: { path: string };
  /** An archive of images that is none, or lacks a part. */
  IMAGE_BAD_ARCHIVE: { path: string; reason: string };
  /** An App Container Image that lies on others. */
  IMAGE_ACI_DEPENDS: { source: string; names: string };
  IMAGE_ACI_OTHER_ID: { path: string; expected: string; actual: string };
  IMAGE_NEEDS_PROGRAM: { path: string; program: string };
  IMAGE_AMBIGUOUS: { transport: 'oci' | 'oci-archive' | 'docker-archive'; path: string; names: string };
  IMAGE_REF_MISSING: { path: string; ref: string; names: string };
  IMAGE_BAD_MANIFEST: { source: string; reason: string };
  /** Every size in the layout is 0, as Garden writes it. The digests of such a layout are invented too. */
  IMAGE_SIZES_INVENTED: { source: string };
  IMAGE_BAD_CONFIG: { source: string; reason: string };
  /** The `User` of a configuration does not resolve to ids. The thrower has escaped `user`. */
  IMAGE_USER: { user: string; reason: string };
  IMAGE_NO_PLATFORM: { source: string; wanted: string; offered: string };
  IMAGE_UNSUPPORTED: { source: string; mediaType: string; advice: string };
  IMAGE_SCHEMA1: { source: string };
  IMAGE_ENCRYPTED: { source: string };
  IMAGE_FOREIGN: { source: string; url: string };
  /** Every URL of a remote layer failed. `reasons` names each URL without credentials. */
  IMAGE_URLS_FAILED: { digest: string; reasons: string };
  /** The directory of client certificates for remote layers cannot be used. */
  IMAGE_CERTIFICATES: { directory: string; reason: string };
  IMAGE_TOO_MANY_LAYERS: { layers: number; limit: number };
  /** The merge of the layers exceeds a limit: `steps` of work, `names` in memory or `copied bytes` on the disk. */
  IMAGE_TOO_COMPLEX: { what: 'steps' | 'names' | 'bytes of names' | 'copied bytes'; limit: number };
  IMAGE_EXCEEDS_LIMIT: { size: number; limit: number };
  IMAGE_DIGEST_MISMATCH: { expected: string; actual: string };
}
