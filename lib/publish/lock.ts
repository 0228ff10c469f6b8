/**
 * Lets a single publication at a time change a target. The lock names its process, and the next run takes it over from
 * a killed one.
 */
import { isPluginError, PluginError } from '../base/errors/error.ts';
import { lookAtHold } from '../sys/exclusive/hold.ts';
import { withLock } from '../sys/exclusive/lock.ts';

/**
 * Runs `section` while this process holds `lock`, and aborts its signal when the lock is lost. @throws PUBLISH_BUSY at once
 */
export async function alone<T>(
  lock: string,
  target: string,
  signal: AbortSignal,
  section: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  try {
    return await withLock(lock, { timeoutMs: 0, what: target, signal }, section);
  } catch (error) {
    if (!isPluginError(error, 'STORE_BUSY') || error.subject.what !== target) throw error;
    const holder = lookAtHold(lock);
    const pid = typeof holder === 'object' ? holder.heldBy?.pid : undefined;
    throw new PluginError('PUBLISH_BUSY', { target, pid }, { cause: error });
  }
}
