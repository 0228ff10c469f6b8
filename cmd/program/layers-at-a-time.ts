/** A thread with its layer may take 50 MiB (test/hostile/memory.test.ts), and a create at most 300 MiB. */
const MOST = 4;

/** The number of layers that are unpacked at a time: one more than cores, since unpacking waits for the disk half the time. */
export function layersAtATime(): number {
  return Math.min(navigator.hardwareConcurrency + 1, MOST);
}
