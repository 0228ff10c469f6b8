/** The thread that unpacks layers. `cmd/unpack-worker.ts` is its entry point. */
import { MiB } from '../../base/limits.ts';
import { close, dropCachedPages, fsync, openAt, openDir, syncfs } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import type { ChunkSource } from './blob.ts';
import { FileSource } from './file-source.ts';
import { unpackInto } from './unpack-into.ts';
import { type FromWorker, packError, SharedState, type ToWorker } from './worker-protocol.ts';

/** The parts of the worker's global scope that this file uses. */
export interface WorkerScope {
  onmessage: ((event: { data: ToWorker }) => void) | null;
  postMessage(message: FromWorker): void;
}

/**
 * From this size on, a tree is synced to the disk by its thread, while other threads still need the processor. Without
 * this, the disk has nothing to do until the last layer is unpacked (1.1 GB in three layers: 8.2 s instead of 11.8 s).
 * Smaller trees wait for the one sync of all trees before they are published, since each sync flushes the journal.
 */
const SYNC_FROM_BYTES = 64 * MiB;

/** Unpacks the requested layers, one at a time. */
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
  const { target } = start.request;
  let file: FileSource | undefined;
  let filesystem: number | undefined;
  let answer: FromWorker;
  try {
    // Opened before the first write: syncfs(2) reports the write errors since its descriptor was opened.
    filesystem = openDir(target);
    if (start.source.kind === 'file') file = new FileSource(start.source.path, start.source.part);
    const result = await unpackInto(start.request, file ?? stream, {
      checkpoint(compressedBytes, entries) {
        state.progress(compressedBytes, entries);
        if (state.stopped) throw new Stopped();
      },
      largeWindow,
    });
    const { image } = start.request;
    if (image !== undefined && !image.isWhole) {
      scope.postMessage({ type: 'syncing' });
      syncFile(image.path);
    } else if (result.fileBytes >= SYNC_FROM_BYTES) {
      scope.postMessage({ type: 'syncing' });
      syncfs(filesystem, target);
    }
    answer = { type: 'done', result };
  } catch (error) {
    answer = { type: 'failed', error: packError(error) };
  }
  file?.close();
  if (filesystem !== undefined) close(filesystem);
  // The last step: the main thread may end this thread as soon as it has the answer.
  scope.postMessage(answer);
}

/** An image is synced by itself: nothing but its own bytes has to reach the disk, and the disk works while others unpack. */
function syncFile(path: string): void {
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.NOFOLLOW);
  try {
    fsync(fd, path);
    // A mounted image is read past the page cache of its file, which would keep all of it for nothing.
    dropCachedPages(fd);
  } finally {
    close(fd);
  }
}

/** The chunks that the main thread sends: a few ahead, and then one for each that was used. */
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
