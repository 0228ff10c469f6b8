/**
 * Metrics about the whole store, for verbs that know only their own image. The values come from the running totals,
 * which are one small file; nothing is walked. They are exact after a clean, and nearly exact until the next one.
 */
import type { Logger } from '../../base/log.ts';
import { Layout } from '../../store/layout/layout.ts';
import { storeRoot } from '../../store/opened.ts';
import { readCounted } from '../../store/records/totals.ts';
import { usedFileBytes } from '../../store/records/totals-file.ts';
import { filesystemOf } from '../../sys/kernel/statfs.ts';
import type { Metrics } from './metrics.ts';

/** Bytes, for GrootFS's metrics of these names. */
interface StoreSizes {
  readonly unused: number;
  readonly used: number;
  readonly committed: number;
}

/** Reports, after a delete, the bytes of unused and of used layers. Reports nothing when no clean has counted yet. */
export function tellLayers(metrics: Metrics, storePath: string, log: Logger): void {
  measureLater(metrics, log, () => {
    const sizes = sizesOf(storePath, log);
    if (sizes !== undefined) tellUse(metrics, sizes);
  });
}

/**
 * Reports the store's metrics after a create.
 * @param cleans true when the create has started a clean, which reports the use of layers at its end, as GrootFS's
 * does
 */
export function tellStore(
  metrics: Metrics,
  { storePath, cleans }: { readonly storePath: string; readonly cleans: boolean },
  log: Logger,
): void {
  measureLater(metrics, log, () => {
    const sizes = sizesOf(storePath, log);
    if (sizes !== undefined) {
      if (!cleans) tellUse(metrics, sizes);
      metrics.bytes('DownloadedLayersSizeInBytes', sizes.unused + sizes.used);
      metrics.bytes('CommittedQuotaInBytes', sizes.committed);
    }
    const { totalBytes, freeBytes } = filesystemOf(storeRoot(storePath));
    metrics.bytes('UsedBackingStoreInBytes', totalBytes - freeBytes);
  });
}

/** When the store cannot be read, only its own numbers are missing in the metrics. */
function measureLater(metrics: Metrics, log: Logger, measure: () => void): void {
  metrics.later(() => {
    try {
      measure();
    } catch (error) {
      log.info('store-not-measured', { error: String(error) });
    }
  });
}

function tellUse(metrics: Metrics, { unused, used }: StoreSizes): void {
  metrics.bytes('UnusedLayersSize', unused);
  metrics.bytes('UsedLayersSize', used);
}

function sizesOf(storePath: string, log: Logger): StoreSizes | undefined {
  const counted = readCounted({ layout: new Layout(storeRoot(storePath)) }, log);
  if (counted === undefined) return undefined;
  const used = usedFileBytes(counted);
  const { fileBytes, committedBytes } = counted.totals;
  return { unused: fileBytes - used, used, committed: committedBytes };
}
