/** The versions of the store's format, and the steps from each to the next. */

import { type Layout, STORE_VERSION } from './layout.ts';
import type { StoreFormat } from './store-format.ts';

/**
 * Changes a store of one version into one of the next. It may be stopped anywhere, and is done again from its start then:
 * what it finds done it leaves. It need not sync, and leaves the marker alone (migrate.ts does both).
 * @param format what the marker says, with the older version
 */
export type MigrationStep = (layout: Layout, format: StoreFormat) => void;

export interface StoreVersions {
  /** The version that this program uses. */
  readonly current: number;
  /** One for each older version that can be migrated, oldest first: the last one leads to `current`. */
  readonly steps: readonly MigrationStep[];
}

/** Version 1 is from before anything was released: its directories belonged to the mapped root. Nothing leads from it. */
export const VERSIONS: StoreVersions = { current: STORE_VERSION, steps: [] };

/** The oldest version that can be migrated. */
export function oldestOf({ current, steps }: StoreVersions): number {
  return current - steps.length;
}
