import type { Logger } from '../../base/log.ts';

/**
 * Runs `step` for every item. A failure is logged, and the other items still run: a directory on a bad block must not
 * stop every clean. Returns the failures.
 */
export async function forEachLogged<T extends string | number>(
  items: Iterable<T>,
  log: Logger,
  event: string,
  step: (item: T) => unknown,
): Promise<unknown[]> {
  const failures: unknown[] = [];
  for (const item of items) {
    try {
      await step(item);
    } catch (error) {
      log.error(event, error, { item });
      failures.push(error);
    }
  }
  return failures;
}
