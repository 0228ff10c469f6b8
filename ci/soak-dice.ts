/** Chance that can be thrown again: the same seed and number give the same row. */
export class Dice {
  #state: number;

  constructor(seed: number, number: number) {
    this.#state = Number(Bun.hash.xxHash32(`${seed}.${number}`)) || 1;
  }

  /** From 0 to `limit` - 1. Marsaglia's xorshift, 32 bits. */
  below(limit: number): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x >>> 0;
    return this.#state % limit;
  }

  chance(ofHundred: number): boolean {
    return this.below(100) < ofHundred;
  }
}
