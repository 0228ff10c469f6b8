import { isPluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { hasCode } from '../sys/errno.ts';

/** A clean sets aside only what nobody has named: once after the lease is written, and hardly again. */
const ATTEMPTS = 3;

/**
 * Runs `work` again when layers went away under it. A clean that chose them before the lease named them holds them
 * aside for a moment, and then puts them back (invariant 2 of lib/store/layout.ts); whatever looks in between
 * finds them missing, and finds or fetches them the next time.
 */
export async function againWhereLayersMoved<T>(log: Logger, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await work();
    } catch (error) {
      const moved = hasCode(error, 'ENOENT') || isPluginError(error, 'STORE_LAYER_GONE');
      if (!moved || attempt === ATTEMPTS) throw error;
      log.info('layers-moved-meanwhile', { attempt, error: String(error) });
    }
  }
}
