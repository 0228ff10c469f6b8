import type { Logger } from './log.ts';

/**
 * The steps that undo a half-finished operation. `run` takes the last step first. A step that fails is logged, and the
 * remaining steps still run.
 */
export class Undo {
  readonly #steps: (() => void)[] = [];
  readonly #log: Logger;

  constructor(log: Logger) {
    this.#log = log;
  }

  add(step: () => void): void {
    this.#steps.push(step);
  }

  run(): void {
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        step();
      } catch (error) {
        this.#log.error('not-undone', error);
      }
    }
  }
}
