/** The messages between the main thread and the thread that unpacks a layer. */
import { type ErrorCode, PluginError, type PluginErrors } from '../../base/errors/error.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import type { Unpacked, UnpackRequest } from '../tree/types.ts';
import type { FilePart } from './file-source.ts';

export type WorkerSource =
  | { readonly kind: 'file'; readonly path: string; readonly part: FilePart | undefined }
  | { readonly kind: 'stream' };

export type ToWorker =
  | {
      readonly type: 'start';
      readonly request: UnpackRequest;
      readonly source: WorkerSource;
      readonly shared: SharedArrayBuffer;
    }
  | { readonly type: 'chunk'; readonly bytes: Uint8Array }
  | { readonly type: 'end' }
  /**
   * The source failed, or the work must stop. The worker ends the unpacking with an error and closes everything that it
   * has open.
   */
  | { readonly type: 'stop' }
  | { readonly type: 'large-window-granted' };

export type FromWorker =
  /** A chunk was used up, so another may be sent. */
  | { readonly type: 'consumed' }
  | { readonly type: 'large-window' }
  /** The tree is complete. The time until the answer is spent on syncing the disk. */
  | { readonly type: 'syncing' }
  | { readonly type: 'done'; readonly result: Unpacked }
  | { readonly type: 'failed'; readonly error: PackedError };

/** The shared memory: progress that the main thread reads at any time, and its request to stop. */
export const SHARED_BYTES = 24;
const [COMPRESSED, ENTRIES] = [0, 1];
const STOP = 4;

export class SharedState {
  readonly #numbers: Float64Array;
  readonly #words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.#numbers = new Float64Array(buffer, 0, 2);
    this.#words = new Int32Array(buffer);
  }

  progress(compressedBytes: number, entries: number): void {
    this.#numbers[COMPRESSED] = compressedBytes;
    this.#numbers[ENTRIES] = entries;
  }

  get compressedBytes(): number {
    return this.#numbers[COMPRESSED] ?? 0;
  }
  get entries(): number {
    return this.#numbers[ENTRIES] ?? 0;
  }

  stop(): void {
    Atomics.store(this.#words, STOP, 1);
  }
  get stopped(): boolean {
    return Atomics.load(this.#words, STOP) === 1;
  }
}

/** An error as plain data: the class of an error is lost in messages between threads. */
export type PackedError =
  | {
      readonly kind: 'plugin';
      readonly code: ErrorCode;
      readonly subject: PluginErrors[ErrorCode];
      readonly cause: string;
    }
  | {
      readonly kind: 'sys';
      readonly errno: number;
      readonly syscall: string;
      readonly path: string;
      readonly detail: string;
    }
  | {
      readonly kind: 'other';
      readonly name: string;
      readonly message: string;
      readonly code: string;
      readonly stack: string;
    };

export function packError(error: unknown): PackedError {
  if (error instanceof PluginError) {
    const { code, subject, cause } = error;
    return { kind: 'plugin', code, subject, cause: cause === undefined ? '' : String(cause) };
  }
  if (error instanceof SysError) {
    const { errno, syscall, path, detail } = error;
    return { kind: 'sys', errno, syscall, path, detail };
  }
  const { name, message, stack, code }: Error & { code?: string } =
    error instanceof Error ? error : new Error(String(error));
  return { kind: 'other', name, message, code: code ?? '', stack: stack ?? '' };
}

export function unpackError(packed: PackedError): Error {
  switch (packed.kind) {
    case 'plugin': {
      const options = packed.cause === '' ? {} : { cause: new Error(packed.cause) };
      return new PluginError(packed.code, packed.subject, options);
    }
    case 'sys':
      return new SysError(packed.errno, packed.syscall, packed.path, packed.detail);
    case 'other': {
      const error: Error & { code?: string } = new Error(packed.message);
      error.name = packed.name;
      error.stack = packed.stack;
      if (packed.code !== '') error.code = packed.code;
      return error;
    }
  }
}
