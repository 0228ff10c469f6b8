/** A number that a verb reports, with the name and the unit that GrootFS gives it. */
export interface Metric {
  readonly name: string;
  readonly value: number;
  readonly unit: 'nanos' | 'bytes' | 'count';
}

/** Collects the numbers of one verb. The verb's end decides where they are sent. */
export class Metrics {
  readonly #collected: Metric[] = [];
  readonly #later: (() => void)[] = [];

  /** @param milliseconds from `performance.now()`, also with fractions */
  duration(name: string, milliseconds: number): void {
    this.#collected.push({ name, value: Math.round(milliseconds * 1e6), unit: 'nanos' });
  }

  bytes(name: string, value: number): void {
    this.#collected.push({ name, value, unit: 'bytes' });
  }

  count(name: string, value: number): void {
    this.#collected.push({ name, value, unit: 'count' });
  }

  /** Registers a measurement for `collect`: measuring takes time, and most calls send their metrics nowhere. */
  later(measure: () => void): void {
    this.#later.push(measure);
  }

  get isEmpty(): boolean {
    return this.#collected.length + this.#later.length === 0;
  }

  /** All numbers, in their order. Runs the measurements that `later` registered. */
  collect(): readonly Metric[] {
    for (const measure of this.#later.splice(0)) measure();
    return this.#collected;
  }
}
