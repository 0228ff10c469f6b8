/**
 * Reports once for each layer how long its claim took: when the claim is taken, or when another process has brought the
 * layer.
 */
export class LockingTimes {
  readonly #metrics: { duration(name: string, milliseconds: number): void } | undefined;
  /** Milliseconds so far, by the layer's name. */
  readonly #soFar = new Map<string, number>();

  constructor(metrics: { duration(name: string, milliseconds: number): void } | undefined) {
    this.#metrics = metrics;
  }

  ofTaking<T>(name: string, take: () => T): T {
    const started = performance.now();
    const taken = take();
    this.#add(name, performance.now() - started);
    return taken;
  }

  /** Counts a wait for every layer that other processes fetch, since a process waits once for all of them. */
  async ofWaiting(names: readonly string[], wait: () => Promise<void>): Promise<void> {
    const started = performance.now();
    await wait();
    for (const name of names) this.#add(name, performance.now() - started);
  }

  tell(name: string): void {
    const milliseconds = this.#soFar.get(name);
    if (milliseconds === undefined) return;
    this.#soFar.delete(name);
    this.#metrics?.duration('ExclusiveLockingTime', milliseconds);
  }

  #add(name: string, milliseconds: number): void {
    this.#soFar.set(name, (this.#soFar.get(name) ?? 0) + milliseconds);
  }
}
