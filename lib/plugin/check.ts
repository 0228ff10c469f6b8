import type { Logger } from '../base/log.ts';
import type { Finding } from '../store/checks/finding.ts';
import { checkImages } from '../store/checks/images.ts';
import { checkLayers } from '../store/checks/layers.ts';
import { checkLeftovers } from '../store/checks/leftovers.ts';
import { checkPlace } from '../store/checks/place.ts';
import { finishCollection } from '../store/collect/collect.ts';
import { sweep } from '../store/collect/recover.ts';
import type { Store } from '../store/store.ts';

export interface CheckedFinding {
  readonly kind: Finding['kind'];
  readonly what: string;
  readonly detail: string;
  /** Without --repair whether a repair is known. With it `repaired`, `failed`, or `found` for what has none. */
  readonly state: 'found' | 'found-repairable' | 'repaired' | 'failed';
}

/**
 * Looks at everything in the store and changes nothing. With `repair`, what can be put right is: good layers and images
 * are kept, only what is bad is dropped. Then all that may have become another is looked at again, so that what is
 * not `repaired` is what is wrong when this returns.
 */
export async function checkStore(store: Store, repair: boolean, log: Logger): Promise<CheckedFinding[]> {
  if (!repair) return [...around(store, log), ...checkLayers(store, log)].map(told);
  // Images first: what repairing them frees is then seen by the other checks.
  const images = await settle(checkImages(store, log), log);
  const layers = await settle(checkLayers(store, log), log);
  const leftovers = await settle(checkLeftovers(store, log), log);
  await sweep(store, log);
  await finishCollection(store, log);
  const still = around(store, log).map(toldAfterwards);
  const isStill = ({ kind, what }: CheckedFinding) =>
    still.some((finding) => finding.kind === kind && finding.what === what);
  const settled = [...images, ...layers, ...leftovers];
  const notSeenAgain = settled.filter((one) => one.state === 'repaired' || layers.includes(one));
  return [...notSeenAgain.filter((one) => !isStill(one)), ...still];
}

/** All but the trees of the layers, whose every byte is read. */
function around(store: Store, log: Logger): Finding[] {
  return [...checkPlace(store), ...checkImages(store, log), ...checkLeftovers(store, log)];
}

function told({ kind, what, detail, repair }: Finding): CheckedFinding {
  return { kind, what, detail, state: repair === undefined ? 'found' : 'found-repairable' };
}

function toldAfterwards({ kind, what, detail, repair }: Finding): CheckedFinding {
  return { kind, what, detail, state: repair === undefined ? 'found' : 'failed' };
}

async function settle(findings: readonly Finding[], log: Logger): Promise<CheckedFinding[]> {
  const settled: CheckedFinding[] = [];
  for (const { kind, what, detail, repair } of findings)
    settled.push({
      kind,
      what,
      detail,
      state: repair === undefined ? 'found' : await stateOf(repair, what, log),
    });
  return settled;
}

async function stateOf(
  repair: NonNullable<Finding['repair']>,
  what: string,
  log: Logger,
): Promise<CheckedFinding['state']> {
  try {
    await repair();
    return 'repaired';
  } catch (error) {
    log.error('repair-failed', error, { what });
    return 'failed';
  }
}
