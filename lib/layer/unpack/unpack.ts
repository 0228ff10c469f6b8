/**
 * Unpacks each layer in its own thread: synchronous writing is four times as fast as promises, and without races, and
 * layers do not wait for each other. This file is the main thread's side: it starts the thread, feeds it, watches its
 * progress and stops it.
 */
import { PluginError } from '../../base/errors/error.ts';
import type { Unpacked, UnpackRequest } from '../tree/types.ts';
import { partOf } from './file-source.ts';
import { StallWatch } from './stall-watch.ts';
import {
  type FromWorker,
  SHARED_BYTES,
  SharedState,
  type ToWorker,
  unpackError,
  type WorkerSource,
} from './worker-protocol.ts';

/** The bytes of one layer's blob: a local file, which the thread opens itself, or a stream. */
export type UnpackBytes =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly size: number;
      readonly at?: number | undefined;
    }
  | {
      readonly kind: 'stream';
      readonly chunks: AsyncIterable<Uint8Array>;
      readonly size?: number | undefined;
    };

export interface UnpackDeps {
  /** URL of `cmd/unpack-worker.ts`: see `unpackWorkerUrl` in `cmd/unpack-worker-url.ts`. */
  readonly workerUrl: string | URL;
  readonly signal: AbortSignal;
  /** Called a few times a second, and at the end, with the number of the blob's bytes that were processed. */
  readonly onProgress?: ((compressedBytes: number) => void) | undefined;
}

/**
 * Number of chunks that may be on their way to the thread: enough that the thread never waits, few enough for parallel
 * layers.
 */
const CREDITS = 8;
/** A chunk of a stream is sent in pieces of at most this size, so that CREDITS limits the bytes too. */
const MAX_CHUNK = 256 * 1024;
const WATCH_MS = 200;
/**
 * A thread that does not stop within this time is in a system call that does not return. Such a thread ends with the
 * process.
 */
const STOP_SECONDS = 5;

/**
 * Unpacks one layer into `request.target`.
 * @throws PluginError LAYER_… for faults of the layer; LAYER_STALLED when the thread has bytes and makes no progress;
 * SysError of the filesystem; any error of the stream; the signal's reason. In every case the thread has stopped and
 * closed its files, and the caller removes the content of the target.
 */
export async function unpackLayer(
  request: UnpackRequest,
  bytes: UnpackBytes,
  deps: UnpackDeps,
): Promise<Unpacked> {
  deps.signal.throwIfAborted();
  const { size } = request.expected;
  if (size !== undefined && bytes.size !== undefined && bytes.size !== size) {
    throw new PluginError('LAYER_SIZE_MISMATCH', { expected: size, actual: bytes.size, when: 'reported' });
  }
  const job = new Job(request, bytes, deps);
  try {
    return await job.result;
  } finally {
    await job.close();
  }
}

/** Gives large windows to one layer at a time in the whole process. */
let largeWindows: Promise<void> = Promise.resolve();

class Job {
  readonly result: Promise<Unpacked>;
  readonly #deps: UnpackDeps;
  readonly #budgetSeconds: number;
  readonly #worker: Worker;
  readonly #shared = new SharedArrayBuffer(SHARED_BYTES);
  readonly #state = new SharedState(this.#shared);
  readonly #closed = Promise.withResolvers<void>();
  readonly #answered = Promise.withResolvers<void>();
  readonly #settle = Promise.withResolvers<Unpacked>();
  readonly #stall: StallWatch;
  #credits = CREDITS;
  #spare: (() => void) | undefined;
  /** True when all bytes were sent to the thread, or the thread reads them itself. */
  #fed: boolean;
  /**
   * True while the thread waits until another layer has finished with its large window, or until the disk has the tree.
   */
  #waits = false;
  #reported = 0;
  #watch: ReturnType<typeof setInterval>;

  constructor(request: UnpackRequest, bytes: UnpackBytes, deps: UnpackDeps) {
    this.#deps = deps;
    this.#budgetSeconds = request.budget.stallSeconds;
    this.#stall = new StallWatch(this.#budgetSeconds * 1000, performance.now());
    this.#fed = bytes.kind === 'file';
    this.result = this.#settle.promise;
    this.#worker = new Worker(deps.workerUrl);
    this.#worker.onmessage = (event: MessageEvent<FromWorker>) => this.#hear(event.data);
    this.#worker.onerror = (event) => {
      this.#answered.resolve();
      this.#settle.reject(new Error(`the unpacking thread broke down: ${event.message}`));
    };
    const source: WorkerSource =
      bytes.kind === 'file' ? { kind: 'file', path: bytes.path, part: partOf(bytes) } : { kind: 'stream' };
    this.#say({ type: 'start', request, source, shared: this.#shared });
    deps.signal.addEventListener('abort', this.#abort);
    this.#watch = setInterval(() => this.#look(), WATCH_MS);
    if (bytes.kind === 'stream') this.#feed(bytes.chunks).catch((error) => this.#settle.reject(error));
  }

  readonly #abort = (): void => this.#settle.reject(this.#deps.signal.reason);

  /** Stops the thread after the result or the failure, and waits until it has closed its files. */
  async close(): Promise<void> {
    clearInterval(this.#watch);
    this.#deps.signal.removeEventListener('abort', this.#abort);
    this.#closed.resolve();
    this.#spare?.();
    this.#state.stop();
    this.#say({ type: 'stop' });
    const timer = Promise.withResolvers<void>();
    const timeout = setTimeout(timer.resolve, STOP_SECONDS * 1000);
    await Promise.race([this.#answered.promise, timer.promise]);
    clearTimeout(timeout);
    this.#worker.terminate();
    this.#deps.onProgress?.(this.#state.compressedBytes);
  }

  #say(message: ToWorker, transfer: ArrayBuffer[] = []): void {
    this.#worker.postMessage(message, transfer);
  }

  #hear(message: FromWorker): void {
    switch (message.type) {
      case 'consumed':
        this.#credits += 1;
        this.#spare?.();
        break;
      case 'large-window':
        this.#waits = true;
        largeWindows = largeWindows.then(() => {
          this.#waits = false;
          this.#say({ type: 'large-window-granted' });
          return this.#closed.promise;
        });
        break;
      case 'syncing':
        this.#waits = true;
        break;
      case 'done':
        this.#answered.resolve();
        this.#settle.resolve(message.result);
        break;
      case 'failed':
        this.#answered.resolve();
        this.#settle.reject(unpackError(message.error));
    }
  }

  /** Reports progress, and detects the lack of progress. */
  #look(): void {
    const { compressedBytes, entries } = this.#state;
    if (compressedBytes !== this.#reported) this.#deps.onProgress?.(compressedBytes);
    this.#reported = compressedBytes;
    const hasWork = (this.#fed || this.#credits < CREDITS) && !this.#waits;
    if (!this.#stall.standsStill(performance.now(), { compressedBytes, entries }, hasWork)) return;
    this.#settle.reject(new PluginError('LAYER_STALLED', { seconds: this.#budgetSeconds }));
  }

  async #feed(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const iterator = chunks[Symbol.asyncIterator]();
    try {
      for (;;) {
        const next = await Promise.race([iterator.next(), this.#closed.promise]);
        if (next === undefined) return;
        if (next.done === true) break;
        for (let at = 0; at < next.value.length; at += MAX_CHUNK) {
          // A copy, since the buffer belongs to the source. `Buffer.slice` would not copy.
          const piece = new Uint8Array(next.value.subarray(at, at + MAX_CHUNK));
          while (this.#credits === 0) await this.#credit();
          if (this.#state.stopped) return;
          this.#credits -= 1;
          this.#say({ type: 'chunk', bytes: piece }, [piece.buffer as ArrayBuffer]);
        }
      }
      this.#fed = true;
      this.#say({ type: 'end' });
    } finally {
      // Not awaited: a source that hangs must not block the caller.
      iterator.return?.()?.catch(() => {});
    }
  }

  async #credit(): Promise<void> {
    await Promise.race([
      this.#closed.promise.then(() => {
        this.#credits += 1;
      }),
      new Promise<void>((resolve) => {
        this.#spare = resolve;
      }),
    ]);
  }
}
