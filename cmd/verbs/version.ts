import type { VerbContext } from '../program/verb-context.ts';
import { VERSION } from '../program/version.ts';

/** `graft version 0.1.0`, as GrootFS words its own. */
export async function run({ out }: VerbContext<'version'>): Promise<void> {
  out.text(`graft version ${VERSION}`);
}
