/** The versions of the store's format, and the steps from each to the next. */

import { type Layout, STORE_VERSION } from './layout.ts';
import type { StoreFormat } from './store-format.ts';

/**
 * Changes a store from one version to the next. A step may be stopped anywhere; then `migrate` runs it again from its
 * start, so a step skips what is already done. A step does not sync and does not write the marker (migrate.ts does
 * both).
 * @param format the content of the marker, with the older version
 */
export type MigrationStep = (layout: Layout, format: StoreFormat) => void;

export interface StoreVersions {
  /** The version that this program uses. */
  readonly current: number;
  /** A step for each older version that can be migrated, oldest first: the last step leads to `current`. */
  readonly steps: readonly MigrationStep[];
}

/**
 * Version 3: layers may be images, which a program that knows none would take for empty directories. Only the marker
 * changes.
 */
const layersMayBeImages: MigrationStep = () => undefined;

/** Version 1 was never released (its directories belonged to the mapped root), so there is no step from it. */
export const VERSIONS: StoreVersions = { current: STORE_VERSION, steps: [layersMayBeImages] };

/** The oldest version that can be migrated. */
export function oldestOf({ current, steps }: StoreVersions): number {
  return current - steps.length;
}
