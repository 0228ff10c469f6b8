/** A thread and its layer may take 50 MiB each (test/hostile/memory.test.ts), and a create at most 300. */
const MOST = 4;

/** Unpacking is half waiting for the disk: one more than there are cores. */
export function layersAtATime(): number {
  return Math.min(navigator.hardwareConcurrency + 1, MOST);
}
