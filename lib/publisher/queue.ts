/**
 * The queue of the agent: a file for each image, named after it, in `jobs/`. A file changes by one synced rename, so a
 * killed agent finds each job in its state before or after the change. A job that was being published is queued again:
 * a publication that is complete already has nothing left to do.
 */
import { type Digest, parseDigest, sha256Hex } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { isQueuedJob } from '../oci/generated/validators.js';
import { JsonRefused, parseJson } from '../oci/json.ts';
import { sweepHolds } from '../sys/exclusive/hold.ts';
import { writeFileDurable } from '../sys/files/durable.ts';
import { errnoMeaning, hasCode, SysError } from '../sys/kernel/errno.ts';
import { mkdirAt, unlinkAt } from '../sys/kernel/files.ts';
import { AT_FDCWD } from '../sys/kernel/libc.ts';
import { listNames } from '../sys/kernel/look.ts';
import { readOwnFile } from '../sys/kernel/read.ts';
import type { Wish } from './settings.ts';

export type JobState = 'queued' | 'publishing' | 'done' | 'failed';

export interface Job extends Wish {
  readonly digest: Digest;
  readonly state: JobState;
  /** Attempts so far. */
  readonly attempts: number;
  /** Jobs are done in this order. */
  readonly order: number;
  /** Milliseconds since 1970; the job waits until then. */
  readonly notBefore: number;
  /** The sentence of the last failure. */
  readonly reason?: string;
}

/** Finished jobs that are kept for questions about them. */
const KEPT = 1000;
const MAX_JOB_BYTES = 16 * 1024;
const NAME = /^[0-9a-f]{64}\.json$/;

export class Queue {
  readonly #directory: string;
  readonly #maxQueued: number;
  readonly #log: Logger;
  readonly #jobs = new Map<string, Job>();
  #order = 0;

  /** Reads the queue and makes its directory. @throws PUBLISHER_BAD_FILE, SysError */
  constructor(root: string, maxQueued: number, log: Logger) {
    this.#directory = `${root}/jobs`;
    this.#maxQueued = maxQueued;
    this.#log = log;
    this.#makeDirectory(root);
    // A killed agent leaves an unfinished lock beside the jobs.
    sweepHolds(root, false);
    for (const name of listNames(this.#directory)) this.#load(name);
    this.#order = Math.max(0, ...[...this.#jobs.values()].map(({ order }) => order + 1));
    for (const job of this.#jobs.values())
      if (job.state === 'publishing') this.change(job, { state: 'queued' });
  }

  /**
   * Adds an image. An image that waits already stays in its place. @returns false when the queue is full
   * @throws PUBLISHER_BAD_FILE when the disk does not take it
   */
  add(wish: Wish): boolean {
    const before = this.#jobs.get(keyOf(wish));
    if (before?.state === 'queued' || before?.state === 'publishing') return true;
    if (this.count('queued') >= this.#maxQueued) return false;
    const { registry, repository, tag } = wish;
    const digest = parseDigest(wish.digest);
    this.#write({
      registry,
      repository,
      tag,
      digest,
      state: 'queued',
      attempts: 0,
      order: this.#order,
      notBefore: 0,
    });
    this.#order += 1;
    return true;
  }

  /** The next job at a time; undefined while none is due. */
  next(now: number): Job | undefined {
    return this.#waiting().find(({ notBefore }) => notBefore <= now);
  }

  /** The time of the earliest job that waits; undefined without one. */
  nextDue(): number | undefined {
    const times = this.#waiting().map(({ notBefore }) => notBefore);
    return times.length === 0 ? undefined : Math.min(...times);
  }

  /** @throws PUBLISHER_BAD_FILE when the disk does not take it */
  change(job: Job, changes: Partial<Pick<Job, 'state' | 'attempts' | 'notBefore' | 'reason'>>): Job {
    const changed = { ...job, ...changes };
    this.#write(changed);
    if (changed.state === 'done' || changed.state === 'failed') this.#dropOldest();
    return changed;
  }

  /** All jobs for a digest. */
  of(digest: string): Job[] {
    return [...this.#jobs.values()].filter((job) => job.digest === digest);
  }

  count(state: JobState): number {
    let found = 0;
    for (const job of this.#jobs.values()) if (job.state === state) found += 1;
    return found;
  }

  #waiting(): Job[] {
    return [...this.#jobs.values()]
      .filter(({ state }) => state === 'queued')
      .sort((a, b) => a.order - b.order);
  }

  #write(job: Job): void {
    const key = keyOf(job);
    try {
      writeFileDurable(`${this.#directory}/${key}.json`, Buffer.from(JSON.stringify(job)), 0o600);
    } catch (error) {
      if (!(error instanceof SysError)) throw error;
      const subject = { path: this.#directory, reason: errnoMeaning(error.code) };
      throw new PluginError('PUBLISHER_BAD_FILE', subject, { cause: error });
    }
    this.#jobs.set(key, job);
  }

  #dropOldest(): void {
    const finished = [...this.#jobs.values()].filter(({ state }) => state === 'done' || state === 'failed');
    const oldest = finished.sort((a, b) => b.order - a.order).slice(KEPT);
    for (const job of oldest) {
      unlinkAt(AT_FDCWD, `${this.#directory}/${keyOf(job)}.json`);
      this.#jobs.delete(keyOf(job));
    }
  }

  /** Takes a file of the directory. A file that is no job, an unfinished one say, is removed. */
  #load(name: string): void {
    const path = `${this.#directory}/${name}`;
    const job = NAME.test(name) ? this.#read(path) : undefined;
    if (job !== undefined && `${keyOf(job)}.json` === name) {
      this.#jobs.set(keyOf(job), job);
      return;
    }
    this.#log.info('publisher-file-removed', { path });
    unlinkAt(AT_FDCWD, path);
  }

  #read(path: string): Job | undefined {
    try {
      const document = parseJson(readOwnFile(path, MAX_JOB_BYTES), MAX_JOB_BYTES);
      return isQueuedJob(document) ? (document as Job) : undefined;
    } catch (error) {
      if (error instanceof JsonRefused || hasCode(error, 'EFBIG', 'ELOOP')) return undefined;
      throw error;
    }
  }

  #makeDirectory(root: string): void {
    try {
      mkdirAt(AT_FDCWD, this.#directory, 0o700);
    } catch (error) {
      if (hasCode(error, 'EEXIST')) return;
      if (hasCode(error, 'ENOENT', 'ENOTDIR'))
        throw new PluginError(
          'PUBLISHER_BAD_FILE',
          { path: root, reason: 'there is no such directory' },
          { cause: error },
        );
      throw error;
    }
  }
}

function keyOf({ registry, repository, tag, digest }: Wish): string {
  return sha256Hex(`${registry}/${repository}:${tag}@${digest}`);
}
