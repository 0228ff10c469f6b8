import type { Logger } from '../base/log.ts';
import type { Finding } from '../store/checks/finding.ts';
import { checkImages } from '../store/checks/images.ts';
import { checkLayers } from '../store/checks/layers.ts';
import { checkLeftovers } from '../store/checks/leftovers.ts';
import { checkMount } from '../store/checks/mount.ts';
import { finishCollection } from '../store/collect/collect.ts';
import { sweep } from '../store/collect/recover.ts';
import type { Store } from '../store/store.ts';
import { missingOutside } from './outside-layers.ts';

export interface CheckedFinding {
  readonly kind: Finding['kind'];
  readonly what: string;
  readonly detail: string;
  /**
   * Without --repair: whether a repair is known. With it: `repaired`, `failed`, or `found` when no repair is known.
   */
  readonly state: 'found' | 'found-repairable' | 'repaired' | 'failed';
}

/**
 * Checks everything in the store, and changes nothing without `repair`. With `repair`, only damaged parts are
 * dropped; good layers and images are kept. After the repairs, everything that they may have changed is checked
 * again: a finding that is not `repaired` then describes the store when this function returns.
 * @param probeCommand starts the child that looks at layers outside the store; without it they are not checked
 */
export async function checkStore(
  store: Store,
  repair: boolean,
  log: Logger,
  probeCommand?: readonly string[],
): Promise<CheckedFinding[]> {
  const outside = await checkOutside(store, probeCommand);
  if (!repair) return [...around(store, log), ...outside, ...checkLayers(store, log)].map(told);
  // Images are checked first, since their repairs free layers that the other checks then see as free.
  const images = await settle(checkImages(store, log), log);
  const layers = await settle(checkLayers(store, log), log);
  const leftovers = await settle(checkLeftovers(store, log), log);
  await sweep(store, log);
  await finishCollection(store, log);
  const still = [...around(store, log), ...outside].map(toldAfterwards);
  const isStill = ({ kind, what }: CheckedFinding) =>
    still.some((finding) => finding.kind === kind && finding.what === what);
  const settled = [...images, ...layers, ...leftovers];
  const notSeenAgain = settled.filter((one) => one.state === 'repaired' || layers.includes(one));
  return [...notSeenAgain.filter((one) => !isStill(one)), ...still];
}

/** Layers on CernVM-FS that containers need. Only their repository can bring them back. */
async function checkOutside(store: Store, probeCommand: readonly string[] | undefined): Promise<Finding[]> {
  return (await missingOutside(store, probeCommand)).map(({ id, lower, reason }) => ({
    kind: 'image-layer-missing',
    what: `images/${id}`,
    detail: `layer ${lower}: ${reason}`,
  }));
}

/** All checks except those of the layers' trees, which read every byte. */
function around(store: Store, log: Logger): Finding[] {
  return [...checkMount(store), ...checkImages(store, log), ...checkLeftovers(store, log)];
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
