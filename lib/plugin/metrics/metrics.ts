/** A number that a verb reports, with the name and unit GrootFS gave it. */
export interface Metric {
  readonly name: string;
  readonly value: number;
  readonly unit: 'nanos' | 'bytes' | 'count';
}

/** Collects what one verb measures; how and where it is sent is decided at its end. */
export class Metrics {
  readonly #collected: Metric[] = [];

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

  get collected(): readonly Metric[] {
    return this.#collected;
  }
}
