import type { IdMappings } from '../../base/id-mapping.ts';
import type { LayerForm } from './layer-form.ts';

/** The content of meta/graft.json: the store's format version, and the id mappings of its files. */
export interface StoreFormat {
  readonly version: number;
  readonly mappings: IdMappings;
  /** The first project id that this store uses; stores on one filesystem start at different numbers. */
  readonly firstProjectId: number;
  /** How layers are written. A store may hold both kinds, whatever is written now. */
  readonly layers: LayerForm;
}
