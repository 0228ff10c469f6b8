import type { Logger } from '../base/log.ts';
import { isFirstOfBoot, markBoot } from '../store/collect/boot.ts';
import type { Store } from '../store/store.ts';

/** Sweeps at the first create after a boot: a crash may have left files. Two creates at once may both sweep. */
export async function sweepAfterBoot(store: Store, log: Logger): Promise<void> {
  if (!isFirstOfBoot(store)) return;
  const { sweep } = await import('../store/collect/recover.ts');
  await sweep(store, log);
  try {
    markBoot(store);
  } catch (error) {
    // The next create sweeps again, which does no harm.
    log.error('boot-not-marked', error);
  }
}
