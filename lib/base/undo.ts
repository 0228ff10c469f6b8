import type { Logger } from './log.ts';

/** Steps back, for what fails half way: the last one first. One that fails is logged, and the others are taken. */
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
