import type { VerbContext } from '../program/verb-context.ts';

/**
 * Prints the size to which the store may grow: the value of the configuration, which BOSH computes from the disk. Garden
 * passes it on to Diego, which places containers by it. The verb does not touch the store.
 */
export async function run({ settings, out }: VerbContext<'capacity'>): Promise<void> {
  out.json({ capacity: settings.init.storeSizeBytes });
}
