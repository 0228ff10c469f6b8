/** How much work one image may make of putting its layers together. */
import { PluginError } from '../../base/errors/error.ts';

/**
 * Names looked up, listed or compared: fifty layers that each imply five thousand directories take less. A step takes up
 * to 7 µs of CPU (measured, on two busy cores), so that this ends after 15 s at the latest.
 */
const MAX_STEPS = 2_000_000;
/** Different names held in memory at once, some 600 bytes each with what else they take (measured): 120 MiB. */
const MAX_NAMES = 200_000;
/** The kernel walks a path component by component: so many bytes of it cost a step more. */
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

  /** @param path that the kernel looks up @throws IMAGE_TOO_COMPLEX */
  step(path = ''): void {
    this.#steps += 1 + Math.floor(path.length / BYTES_PER_STEP);
    const limit = this.#limits.steps;
    if (this.#steps > limit) throw new PluginError('IMAGE_TOO_COMPLEX', { what: 'steps', limit });
  }

  /** One name more is held. @throws IMAGE_TOO_COMPLEX */
  name(): void {
    this.#names += 1;
    const limit = this.#limits.names;
    if (this.#names > limit) throw new PluginError('IMAGE_TOO_COMPLEX', { what: 'names', limit });
  }
}
