import { isPluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import type { Job, Queue } from './queue.ts';

export interface WorkerDeps {
  readonly queue: Queue;
  readonly maxPerHour: number;
  /** Publishes an image into all its targets. Is called for one job at a time, and never aborted. */
  readonly publish: (job: Job) => Promise<void>;
  /** The sentence of an error, without secrets. */
  readonly explain: (error: unknown) => string;
  readonly log: Logger;
  readonly now: () => number;
  /** Milliseconds before the second attempt. */
  readonly pauseMs: number;
}

/** Errors that pass: the registry or the target is out of order for a while. */
const PASSING: ReadonlySet<string> = new Set([
  'REGISTRY_UNREACHABLE',
  'REGISTRY_DEADLINE',
  'REGISTRY_ERROR',
  'REGISTRY_RATE_LIMITED',
  'REGISTRY_PROXY',
  'LAYER_STALLED',
  'PUBLISH_BUSY',
  'PUBLISH_SERVER',
]);
const MAX_ATTEMPTS = 5;
const HOUR_MS = 3_600_000;

/** Does the jobs of a queue, one after the other. */
export class Worker {
  readonly #deps: WorkerDeps;
  /** The begin of each publication of the last hour. */
  #begun: number[] = [];
  #wake: () => void = () => {};
  /** When the last publication succeeded; milliseconds since 1970. */
  lastSuccess: number | undefined;
  failures = 0;
  published = 0;

  constructor(deps: WorkerDeps) {
    this.#deps = deps;
  }

  /** A job was added. */
  wake(): void {
    this.#wake();
  }

  /** Works until `stop` aborts, and ends after the job in hand. @throws PUBLISHER_BAD_FILE when the queue's disk fails */
  async run(stop: AbortSignal): Promise<void> {
    const { queue, now } = this.#deps;
    while (!stop.aborted) {
      const slot = this.#nextSlot();
      const job = slot <= now() ? queue.next(now()) : undefined;
      if (job === undefined)
        await this.#rest(Math.max(slot, queue.nextDue() ?? Number.POSITIVE_INFINITY), stop);
      else await this.#work(job);
    }
  }

  async #work(job: Job): Promise<void> {
    const { queue, publish, explain, log, now, pauseMs } = this.#deps;
    this.#begun.push(now());
    const started = queue.change(job, { state: 'publishing', attempts: job.attempts + 1 });
    const facts = { repository: job.repository, tag: job.tag, digest: job.digest };
    try {
      await publish(started);
    } catch (error) {
      const reason = explain(error).slice(0, 2000);
      this.failures += 1;
      const passes = isPluginError(error) && PASSING.has(error.code) && started.attempts < MAX_ATTEMPTS;
      log.error('publisher-failed', reason, { ...facts, attempt: started.attempts, again: passes });
      const notBefore = now() + pauseMs * 2 ** (started.attempts - 1);
      queue.change(started, passes ? { state: 'queued', notBefore, reason } : { state: 'failed', reason });
      return;
    }
    // The image is published: an error of the queue's disk ends the agent, and the next one finds nothing left to do.
    queue.change(started, { state: 'done' });
    this.published += 1;
    this.lastSuccess = now();
    log.info('publisher-done', facts);
  }

  /** The time at which a publication may begin. */
  #nextSlot(): number {
    const { maxPerHour, now } = this.#deps;
    this.#begun = this.#begun.filter((time) => time > now() - HOUR_MS);
    return this.#begun.length < maxPerHour ? now() : (this.#begun[0] ?? 0) + HOUR_MS;
  }

  /** Waits until a time, a new job or the end. */
  async #rest(until: number, stop: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    stop.addEventListener('abort', () => resolve(), { once: true });
    const ms = Math.min(until - this.#deps.now(), HOUR_MS);
    const timer = setTimeout(resolve, Math.max(0, ms));
    await promise;
    clearTimeout(timer);
  }
}
