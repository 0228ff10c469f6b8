/** Errors of steering the cache. */
export interface CacheErrors {
  CACHE_NOT_FOUND: { image: string };
  /** `by`: ids of root filesystems, or of creates that run. */
  CACHE_IN_USE: { image: string; by: readonly string[] };
  CACHE_LIST: { path: string; reason: string };
  /** Images of a list could not be fetched; the log and the lines above have the reasons. */
  CACHE_PULL_FAILED: { failed: number; images: number };
}
