import type { IdMappings } from '../../base/id-mapping.ts';

/** What meta/graft.json says: which program's store this is, which version, and whose ids it holds. */
export interface StoreFormat {
  readonly version: number;
  readonly mappings: IdMappings;
  /** First project id this store hands out; stores that share a filesystem start at different places. */
  readonly firstProjectId: number;
}
