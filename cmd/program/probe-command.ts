import { COMPILED } from './compiled.ts';

/** The verb under which graft starts itself to touch a CVMFS repository; nobody types it. */
export const PROBE_VERB = '__probe';

/** How to start it: the program itself, or in a checkout its source. */
export function probeCommand(): readonly string[] {
  if (COMPILED) return [process.execPath, PROBE_VERB];
  return [process.execPath, new URL('../graft.ts', import.meta.url).pathname, PROBE_VERB];
}
