import { COMPILED, EMBEDDED } from './compiled.ts';

/**
 * Where the threads that unpack layers find their program. In the executable each `cmd/*-worker.ts` has an
 * absolute name of its own; a relative one would be looked up in the working directory first.
 */
export function unpackWorkerUrl(): string {
  return COMPILED ? `${EMBEDDED}unpack-worker.js` : new URL('../unpack-worker.ts', import.meta.url).href;
}
