/** A number that a verb reports, with the name and unit GrootFS gave it. */
export interface Metric {
  readonly name: string;
  readonly value: number;
  readonly unit: 'nanos' | 'bytes' | 'count';
}

/** Collects what one verb measures; how and where it is sent is decided at its end. */
export class Metrics {
  readonly #collected: Metric[] = [];
  readonly #later: (() => void)[] = [];

  /** @param milliseconds from `performance.now()`, fractions welcome. */
  duration(name: string, milliseconds: number): void {
    this.#collected.push({ name, value: Math.round(milliseconds * 1e6), unit: 'nanos' });
  }

  bytes(name: string, value: number): void {
    this.#collected.push({ name, value, unit: 'bytes' });
  }

  count(name: string, value: number): void {
    this.#collected.push({ name, value, unit: 'count' });
  }

  /** Measures only where somebody is told: reading costs something, and most calls have nowhere to send metrics to. */
  later(measure: () => void): void {
    this.#later.push(measure);
  }

  get isEmpty(): boolean {
    return this.#collected.length + this.#later.length === 0;
  }

  /** All of them, in order; what was put off is measured now. */
  collect(): readonly Metric[] {
    for (const measure of this.#later.splice(0)) measure();
    return this.#collected;
  }
}
