/** How much work one image may make of putting its layers together. */
import { PluginError } from '../base/errors/error.ts';

/**
 * Names looked up, listed or compared. The largest images that we know of take some ten thousand; a hundred layers that
 * each imply five thousand directories take half a million. A step takes 1 to 4 µs (measured: `docs/security.md`).
 */
export const MAX_STEPS = 4_000_000;
/** Different names held in memory at once, some 250 bytes each (measured). */
export const MAX_NAMES = 400_000;

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

  /** @throws IMAGE_TOO_COMPLEX */
  step(): void {
    this.#steps += 1;
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
