/** The thread that unpacks one layer. `cmd/unpack-worker.ts` is its entry point. */
import type { ChunkSource } from './blob.ts';
import { FileSource } from './file-source.ts';
import { unpackInto } from './unpack-into.ts';
import { type FromWorker, packError, SharedState, type ToWorker } from './worker-protocol.ts';

/** What the worker needs of its global scope. */
export interface WorkerScope {
  onmessage: ((event: { data: ToWorker }) => void) | null;
  postMessage(message: FromWorker): void;
}

/** Serves one layer after the other, one at a time. */
export function serveUnpacking(scope: WorkerScope): void {
  let stream = new StreamSource(scope);
  let grant = (): void => {};
  scope.onmessage = ({ data: message }) => {
    switch (message.type) {
      case 'start':
        stream = new StreamSource(scope);
        unpack(scope, message, stream, () => {
          scope.postMessage({ type: 'large-window' });
          return new Promise((resolve) => {
            grant = resolve;
          });
        });
        break;
      case 'chunk':
        stream.push(message.bytes);
        break;
      case 'end':
        stream.push(undefined);
        break;
      case 'stop':
        stream.fail(new Stopped());
        grant();
        break;
      case 'large-window-granted':
        grant();
    }
  };
}

class Stopped extends Error {}

async function unpack(
  scope: WorkerScope,
  start: Extract<ToWorker, { type: 'start' }>,
  stream: StreamSource,
  largeWindow: () => Promise<void>,
): Promise<void> {
  const state = new SharedState(start.shared);
  let file: FileSource | undefined;
  let answer: FromWorker;
  try {
    if (start.source.kind === 'file') file = new FileSource(start.source.path);
    const result = await unpackInto(start.request, file ?? stream, {
      checkpoint(compressedBytes, entries) {
        state.progress(compressedBytes, entries);
        if (state.stopped) throw new Stopped();
      },
      largeWindow,
    });
    answer = { type: 'done', result };
  } catch (error) {
    answer = { type: 'failed', error: packError(error) };
  }
  file?.close();
  // Last of all: the other side may end this thread as soon as it has the answer.
  scope.postMessage(answer);
}

/** Chunks as the main thread sends them; it sends a few ahead and then one for each that was used. */
class StreamSource implements ChunkSource {
  readonly #scope: WorkerScope;
  readonly #queue: (Uint8Array | undefined)[] = [];
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(scope: WorkerScope) {
    this.#scope = scope;
  }

  push(chunk: Uint8Array | undefined): void {
    this.#queue.push(chunk);
    this.#wake?.();
  }

  fail(error: Error): void {
    this.#error = error;
    this.#wake?.();
  }

  async next(): Promise<Uint8Array | undefined> {
    while (this.#queue.length === 0 && this.#error === undefined) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
    if (this.#error !== undefined) throw this.#error;
    const chunk = this.#queue.shift();
    if (chunk !== undefined) this.#scope.postMessage({ type: 'consumed' });
    return chunk;
  }
}
