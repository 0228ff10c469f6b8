import type { Logger } from '../base/log.ts';
import { isFirstOfBoot, markBoot } from '../store/collect/boot.ts';
import type { Store } from '../store/store.ts';

/** The first create of a boot clears away what the last one's crash left. Two at once may both do it. */
export async function sweepAfterBoot(store: Store, log: Logger): Promise<void> {
  if (!isFirstOfBoot(store)) return;
  const { sweep } = await import('../store/collect/recover.ts');
  await sweep(store, log);
  try {
    markBoot(store);
  } catch (error) {
    // Sweeping again does no harm.
    log.error('boot-not-marked', error);
  }
}
