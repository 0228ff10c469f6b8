import type { VerbContext } from '../program/verb-context.ts';

/**
 * How large the store may grow: what the configuration promises, which BOSH computes from the disk. Garden
 * passes it on to Diego, which places containers by it. The store itself is not touched.
 */
export async function run({ settings, out }: VerbContext<'capacity'>): Promise<void> {
  out.json({ capacity: settings.init.storeSizeBytes });
}
