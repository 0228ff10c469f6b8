import type { VerbContext } from '../program/verb-context.ts';
import { VERSION } from '../program/version.ts';

/** Prints `graft version 0.1.0`, in GrootFS's form. */
export async function run({ out }: VerbContext<'version'>): Promise<void> {
  out.text(`graft version ${VERSION}`);
}
