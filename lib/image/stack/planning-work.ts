/** Limits the work of planning how an image's layers stack. */
import { PluginError } from '../../base/errors/error.ts';

/**
 * The most names that are looked up, listed or compared. Fifty layers that each imply five thousand directories need
 * less. A step takes up to 7 µs of CPU (measured, on two busy cores), so planning ends after 15 s at the latest.
 */
const MAX_STEPS = 2_000_000;
/**
 * The most names in memory at the same time. Each takes about 600 bytes with its share of other memory (measured): 120
 * MiB.
 */
const MAX_NAMES = 200_000;
/** The kernel walks a path component by component. This many bytes of a path count as one more step. */
const BYTES_PER_STEP = 64;

export interface PlanningLimits {
  readonly steps: number;
  readonly names: number;
}

export class PlanningWork {
  readonly #limits: PlanningLimits;
  #steps = 0;
  #names = 0;

  constructor(limits: PlanningLimits = { steps: MAX_STEPS, names: MAX_NAMES }) {
    this.#limits = limits;
  }

  get steps(): number {
    return this.#steps;
  }
  get names(): number {
    return this.#names;
  }

  /** Counts a step. @param path the path that the kernel looks up @throws IMAGE_TOO_COMPLEX */
  step(path = ''): void {
    this.#steps += 1 + Math.floor(path.length / BYTES_PER_STEP);
    const limit = this.#limits.steps;
    if (this.#steps > limit) throw new PluginError('IMAGE_TOO_COMPLEX', { what: 'steps', limit });
  }

  /** Counts a name that is held in memory. @throws IMAGE_TOO_COMPLEX */
  name(): void {
    this.#names += 1;
    const limit = this.#limits.names;
    if (this.#names > limit) throw new PluginError('IMAGE_TOO_COMPLEX', { what: 'names', limit });
  }
}
