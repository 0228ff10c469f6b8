/** The executable that runs now: whether it is compiled, and how to start it, or a thread of it, again. */

/** The directory in which the executable has its embedded files; `Bun.main` is there in a compiled program. */
const EMBEDDED = '/$bunfs/root/';

/** False where the sources run, as in tests of single modules. */
export const COMPILED = Bun.main.startsWith(EMBEDDED);

/** The verb with which graft starts itself to touch a CVMFS repository. People do not type the verb. */
export const PROBE_VERB = '__probe';

/** The verb with which graft starts itself to read a whole layer of a CVMFS repository. */
export const ARCHIVE_VERB = '__archive';

/** The command that starts graft with PROBE_VERB: the executable, or its source in a checkout. */
export function probeCommand(): readonly string[] {
  return commandOf(PROBE_VERB);
}

/** The command that starts graft with ARCHIVE_VERB. */
export function archiveCommand(): readonly string[] {
  return commandOf(ARCHIVE_VERB);
}

function commandOf(verb: string): readonly string[] {
  if (COMPILED) return [process.execPath, verb];
  return [process.execPath, new URL('../graft.ts', import.meta.url).pathname, verb];
}

/**
 * The program of the threads that unpack layers. In the executable it has an absolute name; the runtime would look up a
 * relative one in the working directory first.
 */
export function unpackWorkerUrl(): string {
  return COMPILED ? `${EMBEDDED}unpack-worker.js` : new URL('../unpack-worker.ts', import.meta.url).href;
}
