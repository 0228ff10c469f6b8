import { owner } from '../../sys/kernel/process.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_BOOT_BYTES } from '../layout/ceilings.ts';
import { readFact } from '../layout/read-file.ts';
import { replaceSmall } from '../layout/staging.ts';
import type { Store } from '../store.ts';

/**
 * True for the first caller after a boot. Then all mounts of the store are gone, and every owner from before is dead.
 */
export function isFirstOfBoot(store: Store): boolean {
  return readFact(store.layout.boot, MAX_BOOT_BYTES) !== owner().bootId;
}

export function markBoot(store: Store): void {
  replaceSmall(store.layout, store.layout.boot, 'boot', bytesOfText(owner().bootId));
}
