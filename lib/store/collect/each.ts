import type { Logger } from '../../base/log.ts';

/**
 * Does `step` for every item. One that fails is logged and does not keep the others from it: a directory on a
 * bad block must not stop a clean for ever. Returns the failures.
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
