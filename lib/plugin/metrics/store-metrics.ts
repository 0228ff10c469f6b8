/**
 * Metrics about the whole store from verbs that know only their own image: out of the running totals, which one small
 * file holds, never from a walk. They are exact after a clean, and close to that until the next one.
 */
import type { Logger } from '../../base/log.ts';
import { Layout } from '../../store/layout/layout.ts';
import { readCounted } from '../../store/records/totals.ts';
import { usedFileBytes } from '../../store/records/totals-file.ts';
import { storeRoot } from '../../store/store.ts';
import { filesystemOf } from '../../sys/kernel/statfs.ts';
import type { Metrics } from './metrics.ts';

/** In bytes; GrootFS's metrics of these names. */
interface StoreSizes {
  readonly unused: number;
  readonly used: number;
  readonly committed: number;
}

/** After a delete: files of layers that nobody uses, and of those in use. Nothing where nobody has counted yet. */
export function tellLayers(metrics: Metrics, storePath: string, log: Logger): void {
  measureLater(metrics, log, () => {
    const sizes = sizesOf(storePath, log);
    if (sizes !== undefined) tellUse(metrics, sizes);
  });
}

/** After a create. @param cleans a clean was started, which tells what is in use when it is done, as GrootFS's does */
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

/** A store that cannot be read takes only its own numbers from the metrics. */
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
