/**
 * The archive that tar-fs packs into, in place of the one of tar-stream: that one encodes names and PAX values as UTF-8,
 * and so changes a name in another encoding and every capability.
 */
import { Writable } from 'node:stream';
import type { ByteName } from '../../base/bytes.ts';
import { KiB } from '../../base/limits.ts';
import { splitName } from '../tar/entry-name.ts';
import { END_OF_ARCHIVE, paddingOf, tarHeader, type WrittenEntry } from '../tar/write-header.ts';
import type { Member, TreeFiles } from './tree-files.ts';

/** Headers are collected up to this size, so that a small file does not cost a write(2) for each of its parts. */
const PORTION = 256 * KiB;
/** The number of members that are written before the event loop runs and a signal is heard. */
const MEMBERS_A_TURN = 64;

type Done = (error?: unknown) => void;

export interface TarWriterOptions {
  readonly files: TreeFiles;
  /** Takes the next bytes of the archive, which are valid during the call. */
  readonly write: (bytes: Uint8Array) => void;
  readonly signal: AbortSignal;
  /** Members without an entry of their own; those in them have one. */
  readonly omit: ReadonlySet<string>;
  /** Modes of directories in the archive that are other ones in the tree. */
  readonly modes: ReadonlyMap<string, number>;
}

export class TarWriter {
  /** Called with the error after which tar-fs packs nothing more. */
  failed: (error: unknown) => void = () => {};
  destroyed = false;
  entries = 0;
  bytes = 0;
  readonly #options: TarWriterOptions;
  readonly #held = Buffer.alloc(PORTION);
  #used = 0;

  constructor(options: TarWriterOptions) {
    this.#options = options;
  }

  /** Called by tar-fs for each member; it writes content to the stream that this returns. */
  entry(_header: unknown, done: Done): Writable | undefined {
    const { files, omit, signal } = this.#options;
    const member = files.last;
    if (member === 'skipped' || omit.has(member.path)) {
      this.#next(done);
      return undefined;
    }
    this.entries += 1;
    const content =
      member.kind === 'file' && !member.isWhiteout ? this.#content(member.size, done) : undefined;
    try {
      signal.throwIfAborted();
      this.#put(tarHeader(this.#shown(member)));
    } catch (error) {
      if (content === undefined) done(error);
      else content.destroy(error as Error);
      return content;
    }
    if (content !== undefined) return content;
    this.#next(done);
    return undefined;
  }

  #shown(member: Exclude<Member, 'skipped'>): WrittenEntry {
    if (member.isWhiteout) {
      const [parent, name] = splitName(member.path);
      return { ...member, path: `${parent === '' ? '' : `${parent}/`}.wh.${name}` as ByteName };
    }
    const mode = member.kind === 'directory' ? this.#options.modes.get(member.path) : undefined;
    return mode === undefined ? member : { ...member, mode };
  }

  /** Writes the end of the archive. */
  finish(): void {
    this.#put(END_OF_ARCHIVE);
    this.#flush();
  }

  /** Called by tar-fs after an error. */
  destroy(error: unknown): void {
    this.destroyed = true;
    this.failed(error ?? new Error('the archive was not finished'));
  }

  #content(size: number, done: Done): Writable {
    const put = (bytes: Uint8Array) => this.#put(bytes);
    const next = () => this.#next(done);
    const { signal } = this.#options;
    return new Writable({
      write(chunk: Uint8Array, _encoding, written) {
        try {
          signal.throwIfAborted();
          put(chunk);
          written();
        } catch (error) {
          written(error as Error);
        }
      },
      final(ended) {
        put(new Uint8Array(paddingOf(size)));
        ended();
        next();
      },
      destroy(error, ended) {
        ended(error);
        if (error !== null) done(error);
      },
    });
  }

  /** Not called at once: tar-fs asks for the next member inside `done`, and the stack would grow with each. */
  #next(done: Done): void {
    if (this.entries % MEMBERS_A_TURN === 0) setImmediate(done);
    else queueMicrotask(done);
  }

  #put(bytes: Uint8Array): void {
    this.bytes += bytes.length;
    if (bytes.length > PORTION - this.#used) this.#flush();
    if (bytes.length >= PORTION) {
      this.#options.write(bytes);
      return;
    }
    this.#held.set(bytes, this.#used);
    this.#used += bytes.length;
  }

  #flush(): void {
    if (this.#used > 0) this.#options.write(this.#held.subarray(0, this.#used));
    this.#used = 0;
  }
}
