import { isPluginError, PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { PartialDirectory } from '../registry/partial.ts';
import { collect, finishCollection, planCollection } from '../store/collect.ts';
import { Layout } from '../store/layout.ts';
import { isReachable, type Measured, measure } from '../store/measure.ts';
import { sweep } from '../store/recover.ts';
import { Store, storeExists, storeRoot } from '../store/store.ts';
import { writeTotals } from '../store/totals.ts';
import { hasCode } from '../sys/errno.ts';
import { withLock } from '../sys/lock.ts';

/** As long as GrootFS waits for another clean; then ours has nothing to do. */
const LOCK_MILLISECONDS = 3000;
/** A download that nobody has taken up again for a day is not going to be. */
const PARTIAL_AGE_MILLISECONDS = 24 * 3600 * 1000;

export type Cleaned =
  | {
      readonly kind: 'cleaned';
      readonly volumes: number;
      readonly bytes: number;
      readonly measured: Measured;
    }
  | { readonly kind: 'would-clean'; readonly volumes: readonly string[]; readonly bytes: number }
  | { readonly kind: 'below-threshold'; readonly measured: Measured }
  | { readonly kind: 'already-running' };

export interface CleanRequest {
  readonly storePath: string;
  /** Bytes of committed quota and layers below which nothing is done; 0 always cleans. */
  readonly thresholdBytes: number;
  readonly dryRun: boolean;
}

/** Deletes what no image and no running create uses. One at a time; creates never wait for it. */
export async function cleanStore(request: CleanRequest, log: Logger): Promise<Cleaned> {
  const layout = new Layout(storeRoot(request.storePath));
  if (!storeExists(layout)) throw new PluginError('STORE_MISSING', { store: layout.root });
  const store = Store.open(layout.root);
  if (request.dryRun) return dryRun(store);
  let begun = false;
  const section = () => {
    begun = true;
    return clean(store, request.thresholdBytes, log);
  };
  try {
    const lock = { timeoutMs: LOCK_MILLISECONDS, what: 'another clean' };
    return await withLock(layout.cleanLock, lock, section);
  } catch (error) {
    // Once begun it is a create that was stopped at the gate, and not another clean.
    if (!begun && isPluginError(error, 'STORE_BUSY')) return { kind: 'already-running' };
    // On a disk that is full there may be no room for the lock, which only saves work.
    if (begun || !hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
    log.info('cleaning-without-lock', { store: layout.root });
    return section();
  }
}

function dryRun(store: Store): Cleaned {
  const plan = planCollection(store);
  return { kind: 'would-clean', volumes: plan.unused, bytes: plan.bytes };
}

async function clean(store: Store, thresholdBytes: number, log: Logger): Promise<Cleaned> {
  await sweep(store, log);
  await finishCollection(store, log);
  new PartialDirectory(store.layout.partial, log).collect(PARTIAL_AGE_MILLISECONDS);
  const before = measure(store);
  writeTotals(store, before, log);
  if (!isReachable(thresholdBytes, before.filesystemTotalBytes)) {
    const { filesystemTotalBytes } = before;
    log.error('threshold-hardly-reachable', 'the disk can be full first', {
      thresholdBytes,
      filesystemTotalBytes,
    });
  }
  if (thresholdBytes > 0 && before.committedBytes + before.layerBytes < thresholdBytes) {
    return { kind: 'below-threshold', measured: before };
  }
  const plan = planCollection(store);
  const gone = await collect(store, plan, log);
  const measured = measure(store);
  writeTotals(store, measured, log);
  return { kind: 'cleaned', volumes: gone.length, bytes: plan.bytes, measured };
}
