/** What can be wrong with an image reference, a manifest, or what an image asks for. */
export interface ImageErrors {
  BAD_REFERENCE: { reference: string; reason: string };
  BAD_DIGEST: { digest: string };
  IMAGE_SCHEME: { scheme: string };
  /** No such layout, manifest or configuration. */
  IMAGE_SOURCE_MISSING: { path: string };
  IMAGE_TAR_MISSING: { path: string };
  IMAGE_SOURCE_UNREADABLE: { path: string; reason: string };
  IMAGE_SOURCE_DIRECTORY: { path: string };
  /** A tar that holds an image as a file, not a root filesystem. `format`: the transport that skopeo reads it with. */
  IMAGE_SAVED: { path: string; format: 'docker-archive' | 'oci-archive' };
  IMAGE_SOURCE_CHANGED: { path: string };
  IMAGE_AMBIGUOUS: { path: string; names: string };
  IMAGE_REF_MISSING: { path: string; ref: string; names: string };
  IMAGE_BAD_MANIFEST: { source: string; reason: string };
  /** A layout whose sizes are 0, as Garden writes them; its digests are invented too. */
  IMAGE_SIZES_INVENTED: { source: string };
  IMAGE_BAD_CONFIG: { source: string; reason: string };
  /** The `User` of a configuration, which cannot be made into ids. `user`: escaped by the thrower. */
  IMAGE_USER: { user: string; reason: string };
  IMAGE_NO_PLATFORM: { source: string; wanted: string; offered: string };
  IMAGE_UNSUPPORTED: { source: string; mediaType: string; advice: string };
  IMAGE_SCHEMA1: { source: string };
  IMAGE_ENCRYPTED: { source: string };
  IMAGE_FOREIGN: { source: string; url: string };
  /** Every place of a remote layer failed. `reasons` names each without credentials. */
  IMAGE_URLS_FAILED: { digest: string; reasons: string };
  /** The directory of client certificates for remote layers. */
  IMAGE_CERTIFICATES: { directory: string; reason: string };
  IMAGE_TOO_MANY_LAYERS: { layers: number; limit: number };
  /** What putting the layers together would take: `steps` of work, `names` in memory, `copied bytes` on the disk. */
  IMAGE_TOO_COMPLEX: { what: 'steps' | 'names' | 'bytes of names' | 'copied bytes'; limit: number };
  IMAGE_EXCEEDS_LIMIT: { size: number; limit: number };
  IMAGE_DIGEST_MISMATCH: { expected: string; actual: string };
}
