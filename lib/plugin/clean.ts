import { isPluginError, PluginError } from '../base/errors/error.ts';
import { GiB } from '../base/limits.ts';
import type { Logger } from '../base/log.ts';
import { PartialDirectory } from '../registry/blobs/partial.ts';
import { boundFacts } from '../store/collect/bounds.ts';
import {
  type CollectPlan,
  collect,
  finishCollection,
  planCollection,
  type Spared,
  sumOf,
  type Unreadable,
} from '../store/collect/collect.ts';
import { leastUsed } from '../store/collect/least-used.ts';
import type { LeftOver } from '../store/collect/left-over.ts';
import { countStacks, isReachable, type Measured, measure } from '../store/collect/measure.ts';
import { sweep } from '../store/collect/recover.ts';
import { unmountAllUnused } from '../store/collect/unmount-layers.ts';
import type { VolumeName } from '../store/layout/layer-key.ts';
import { Layout } from '../store/layout/layout.ts';
import { storeExists, storeRoot } from '../store/opened.ts';
import { writeTotals } from '../store/records/totals.ts';
import { Store } from '../store/store.ts';
import { withLock } from '../sys/exclusive/lock.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { filesystemOf } from '../sys/kernel/statfs.ts';
import type { Metrics } from './metrics/metrics.ts';

/** The time that GrootFS waits for another clean. When it is over, the other clean does the work. */
const LOCK_MILLISECONDS = 3000;
/** A partial download older than a day is deleted: no create will continue it any more. */
const PARTIAL_AGE_MILLISECONDS = 24 * 3600 * 1000;
/**
 * Bytes for partial downloads: enough for one very large layer or some ordinary ones. A small store gives a tenth of
 * its size.
 */
const PARTIAL_BYTES = 4 * GiB;
const PARTIAL_SHARE = 0.1;

export type Cleaned =
  | {
      readonly kind: 'cleaned';
      readonly volumes: number;
      readonly measured: Measured;
      /** Bytes on the disk of the volumes that are gone. */
      readonly freedBytes: number;
      /** Bytes of unused layers that stay, since the clean had reached its goal. */
      readonly idleBytes: number;
      readonly spared: Spared;
      /** The record or lease because of which no layer could be deleted. */
      readonly kept: Unreadable | undefined;
      /** Paths that should have been deleted and could not be. */
      readonly left: readonly LeftOver[];
    }
  | {
      readonly kind: 'would-clean';
      readonly volumes: readonly string[];
      readonly bytes: number;
      readonly kept: Unreadable | undefined;
    }
  | { readonly kind: 'below-threshold'; readonly measured: Measured; readonly left: readonly LeftOver[] }
  | { readonly kind: 'already-running' };

export interface CleanRequest {
  readonly storePath: string;
  /** Bytes of committed quota and layers from which on a clean acts; 0 always cleans. */
  readonly thresholdBytes: number;
  readonly dryRun: boolean;
  /** Patterns of the names of images that are kept (lib/store/collect/kept-images.ts). */
  readonly keep?: readonly string[] | undefined;
  /** Gets the times that the locks took, in milliseconds. */
  readonly metrics?: Pick<Metrics, 'duration'> | undefined;
}

/**
 * Deletes everything that no image and no running create uses. Only one clean runs at a time; a create never waits
 * for its end.
 */
export async function cleanStore(request: CleanRequest, log: Logger): Promise<Cleaned> {
  const layout = new Layout(storeRoot(request.storePath));
  if (!storeExists(layout)) throw new PluginError('STORE_MISSING', { store: layout.root });
  const store = Store.open(layout.root);
  if (request.dryRun) return dryRun(store, request);
  let begun = false;
  const started = performance.now();
  const section = () => {
    begun = true;
    request.metrics?.duration('ExclusiveLockingTime', performance.now() - started);
    return clean(store, request, log);
  };
  try {
    const lock = { timeoutMs: LOCK_MILLISECONDS, what: 'another clean' };
    return await withLock(layout.cleanLock, lock, section);
  } catch (error) {
    // STORE_BUSY after the start means that a stopped create keeps the gate, and not that another clean runs.
    if (!begun && isPluginError(error, 'STORE_BUSY')) return { kind: 'already-running' };
    // A full disk may have no room for the lock file. The lock only avoids double work, so the clean goes on.
    if (begun || !hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
    log.info('cleaning-without-lock', { store: layout.root });
    return section();
  }
}

function dryRun(store: Store, request: CleanRequest): Cleaned {
  const plan = planCollection(store, request.keep);
  const measured = measure(store);
  const volumes = isDue(request, measured) ? chosen(store, plan, request, measured) : [];
  return { kind: 'would-clean', volumes, bytes: sumOf(plan.sizes, volumes), kept: plan.kept };
}

function isDue({ thresholdBytes }: CleanRequest, { committedBytes, layerBytes }: Measured): boolean {
  return thresholdBytes === 0 || committedBytes + layerBytes >= thresholdBytes;
}

/**
 * A clean that began at its threshold goes on to a tenth below: if it stopped at the threshold, the next create would be
 * followed by the next clean.
 */
const GOAL = 0.9;

/** The unused volumes that a clean takes: all without a threshold, else the least recently used ones down to its goal. */
function chosen(
  store: Store,
  plan: CollectPlan,
  { thresholdBytes }: CleanRequest,
  { committedBytes, layerBytes }: Measured,
): readonly VolumeName[] {
  if (thresholdBytes === 0) return plan.unused;
  const wanted = committedBytes + layerBytes - Math.floor(thresholdBytes * GOAL);
  return wanted >= plan.diskBytes ? plan.unused : leastUsed(store, plan, wanted);
}

async function clean(store: Store, request: CleanRequest, log: Logger): Promise<Cleaned> {
  const { thresholdBytes } = request;
  const left: LeftOver[] = [];
  await sweep(store, log, left);
  await finishCollection(store, log, left);
  unmountAllUnused(store, log);
  // Done whatever the threshold is: the threshold counts layers and limits, and partial downloads and facts are
  // neither.
  const partialBytes = Math.min(PARTIAL_BYTES, filesystemOf(store.layout.root).totalBytes * PARTIAL_SHARE);
  const partials = new PartialDirectory(store.layout.partial, log, undefined);
  partials.collect(PARTIAL_AGE_MILLISECONDS, partialBytes);
  boundFacts(store.layout);
  const before = measure(store);
  writeTotals(store, countStacks(store, before), log);
  if (!isReachable(thresholdBytes, before.filesystemTotalBytes)) {
    const { filesystemTotalBytes } = before;
    log.error('threshold-hardly-reachable', 'the disk can be full first', {
      thresholdBytes,
      filesystemTotalBytes,
    });
  }
  if (!isDue(request, before)) return { kind: 'below-threshold', measured: before, left };
  const all = planCollection(store, request.keep);
  const unused = chosen(store, all, request, before);
  const plan = { ...all, unused };
  const takenBytes = sumOf(all.sizes, unused);
  if (plan.kept !== undefined) log.error('layers-kept', 'a record cannot be read', { ...plan.kept });
  const gone = await collect(store, plan, log, left, (milliseconds) =>
    request.metrics?.duration('ExclusiveLockingTime', milliseconds),
  );
  const measured = measure(store);
  writeTotals(store, countStacks(store, measured), log);
  const { spared, kept } = all;
  const freedBytes = Math.max(0, before.layerBytes - measured.layerBytes);
  const idleBytes = all.diskBytes - takenBytes;
  return { kind: 'cleaned', volumes: gone.length, freedBytes, idleBytes, spared, measured, kept, left };
}
