/** Unpacking is half waiting for the disk: one more than there are cores. */
export function layersAtATime(): number {
  return navigator.hardwareConcurrency + 1;
}
