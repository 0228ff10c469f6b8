/**
 * An archive in a pipe, of which no beginning counts as whole. CernVM-FS's ingest command accepts an archive that ends
 * between two members, and publishes what it has read: a publisher that is killed would leave half a layer. So the first
 * write has a length that is no multiple of a tar's blocks of 512 bytes, and all others are whole pages, which is how a
 * pipe takes them (pipe(7), fs/pipe.c). Wherever the stream breaks off, the last block is cut, and libarchive refuses that.
 * The last write is at most PIPE_BUF bytes, which a pipe takes whole or not at all.
 */
import { close } from '../../sys/kernel/files.ts';
import { writeToPipe } from '../../sys/kernel/pipe.ts';

const PAGE = 4096;
const FIRST = 100;
const BUFFER = 64 * PAGE;
/** A pipe holds 64 KiB; the reader compresses and hashes, at 100 MB a second and less. */
const PAUSE_MS = 1;

export class CutSafePipe {
  readonly #fd: number;
  readonly #buffer = Buffer.allocUnsafe(BUFFER);
  #used = 0;
  #isFirst = true;
  #closed = false;

  /** @param fd the write end, which this object closes */
  constructor(fd: number) {
    this.#fd = fd;
  }

  /** @throws SysError EPIPE when the reader has ended; the signal's reason */
  async write(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      const part = bytes.subarray(at, at + BUFFER - this.#used);
      this.#buffer.set(part, this.#used);
      this.#used += part.length;
      at += part.length;
      if (this.#used === BUFFER) await this.#flush(signal);
    }
  }

  /** Sends the rest, which makes the archive whole. */
  async end(signal: AbortSignal): Promise<void> {
    await this.#flush(signal);
    await this.#send(this.#buffer.subarray(0, this.#used), signal);
    this.close();
  }

  /** Breaks the stream off, unless it has ended. */
  close(): void {
    if (!this.#closed) close(this.#fd);
    this.#closed = true;
  }

  /** Sends whole pages, and keeps at least a byte and at most a page. */
  async #flush(signal: AbortSignal): Promise<void> {
    let at = 0;
    if (this.#isFirst && this.#used > FIRST) {
      this.#isFirst = false;
      await this.#send(this.#buffer.subarray(0, FIRST), signal);
      at = FIRST;
    }
    const pages = Math.max(0, Math.floor((this.#used - at - 1) / PAGE)) * PAGE;
    await this.#send(this.#buffer.subarray(at, at + pages), signal);
    this.#buffer.copyWithin(0, at + pages, this.#used);
    this.#used -= at + pages;
  }

  async #send(bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    for (let at = 0; at < bytes.length; ) {
      signal.throwIfAborted();
      const sent = writeToPipe(this.#fd, bytes.subarray(at));
      at += sent;
      if (sent === 0) await Bun.sleep(PAUSE_MS);
    }
  }
}
