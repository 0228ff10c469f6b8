import type { Logger } from '../base/log.ts';
import type { Finding } from '../store/checks/finding.ts';
import { checkImages } from '../store/checks/images.ts';
import { checkLayers } from '../store/checks/layers.ts';
import { checkLeftovers } from '../store/checks/leftovers.ts';
import { finishCollection } from '../store/collect/collect.ts';
import { sweep } from '../store/collect/recover.ts';
import type { Store } from '../store/store.ts';

export interface CheckedFinding {
  readonly kind: Finding['kind'];
  readonly what: string;
  readonly detail: string;
  /** `repaired`, `failed` or, without --repair, whether a repair is known. */
  readonly state: 'found' | 'found-repairable' | 'repaired' | 'failed';
}

/**
 * Looks at everything in the store, after sweeping up what stopped processes left: that is their ordinary end,
 * not damage. With `repair`, what can be put right is: good layers and images are kept, only what is bad is
 * dropped.
 */
export async function checkStore(store: Store, repair: boolean, log: Logger): Promise<CheckedFinding[]> {
  await sweep(store, log);
  await finishCollection(store, log);
  // Images first: what repairing them frees is then seen by the other checks.
  const images = await settle(checkImages(store, log), repair, log);
  const layers = await settle(checkLayers(store, log), repair, log);
  const leftovers = await settle(checkLeftovers(store), repair, log);
  return [...images, ...layers, ...leftovers];
}

async function settle(findings: readonly Finding[], repair: boolean, log: Logger): Promise<CheckedFinding[]> {
  const settled: CheckedFinding[] = [];
  for (const finding of findings) {
    const { kind, what, detail } = finding;
    settled.push({ kind, what, detail, state: await stateOf(finding, repair, log) });
  }
  return settled;
}

async function stateOf(finding: Finding, repair: boolean, log: Logger): Promise<CheckedFinding['state']> {
  if (finding.repair === undefined) return 'found';
  if (!repair) return 'found-repairable';
  try {
    await finding.repair();
    return 'repaired';
  } catch (error) {
    log.error('repair-failed', error, { what: finding.what });
    return 'failed';
  }
}
