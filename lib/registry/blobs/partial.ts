/**
 * Partial files hold blobs whose download a killed process has begun. All files of their directory may be deleted at any
 * time:
 *
 *   <hex>          the first bytes of a blob; the name is a hash of its digest and of the repository it comes from
 *   <hex>.claim    a process is downloading the blob
 *
 * The next process that needs the blob reads the file first and asks the registry for the rest: at least `TAIL` bytes, so
 * that a caller without access to the blob cannot get it from the file. The reader hashes these bytes like all others. They
 * are not synced, and after a power loss they may be zeros, so `begin` drops files from before the last boot.
 */
import { lstatSync, readdirSync, readFileSync, statSync } from 'node:fs';
import type { Digest } from '../../base/digest.ts';
import { hexOf, sha256Hex } from '../../base/digest.ts';
import { KiB } from '../../base/limits.ts';
import type { Logger } from '../../base/log.ts';
import { type Claim, tryClaim } from '../../sys/exclusive/claim.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, ftruncate, mkdirAt, openAt, unlinkAt, writeAll } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';

/** The partial files, as a download uses them. */
export interface PartialBlobs {
  /** Undefined when another process has the file, or the disk refuses it: the download then goes on without it. */
  begin(digest: Digest, size: number): PartialBlob | undefined;
}

export interface PartialBlob {
  /** The bytes in the file. The caller reads them to the end before the first `append`. */
  replay(): AsyncIterable<Uint8Array>;
  /** Never throws: on a full disk the file is dropped, and the download goes on. */
  append(chunk: Uint8Array): void;
  /** Closes the file and leaves it for the next process. */
  keep(): void;
  /** Deletes the file: the blob is complete, or the bytes are wrong. */
  drop(): void;
}

/** Bytes that `replay` reads at a time. */
const REPLAY_CHUNK = 256 * 1024;

/** More than the zeros at the end of a tar (GNU tar writes blocks of 10 KiB), since those can be guessed. */
const TAIL = 16 * KiB;

const NAME = /^[0-9a-f]{64}$/;

/** The directory of partial files, which is made when it is first needed. */
export class PartialDirectory implements PartialBlobs {
  readonly #directory: string;
  readonly #repository: string | undefined;
  readonly #log: Logger;

  /**
   * @param repository the repository that blobs come from; blobs of other repositories have other files. Undefined to
   *   collect, or where all blobs come from the same repository
   */
  constructor(directory: string, log: Logger, repository: string | undefined) {
    this.#directory = directory;
    this.#repository = repository;
    this.#log = log;
  }

  begin(digest: Digest, size: number): PartialBlob | undefined {
    const name = this.#repository === undefined ? hexOf(digest) : sha256Hex(`${this.#repository} ${digest}`);
    const path = `${this.#directory}/${name}`;
    try {
      makeDirectory(this.#directory);
      const claim = tryClaim(`${path}.claim`);
      if ('heldBy' in claim) return undefined;
      return openPartial(path, size, claim, this.#log);
    } catch (error) {
      this.#log.error('partial-blob-unusable', error, { path });
      return undefined;
    }
  }

  /**
   * Removes files without a new byte for `maxAgeMs`, then the least recently written ones until `maxBytes` on the disk are
   * left. A file that a process has claimed stays. @returns bytes freed
   */
  collect(maxAgeMs: number, maxBytes = Number.POSITIVE_INFINITY): number {
    const found = list(this.#directory)
      .flatMap((name) => (NAME.test(name) ? this.#look(`${this.#directory}/${name}`) : []))
      .sort((a, b) => a.addedMs - b.addedMs);
    let left = found.reduce((sum, { bytes }) => sum + bytes, 0);
    let freed = 0;
    for (const { path, bytes } of found) {
      const gone = this.#collectOne(path, left > maxBytes ? Number.NEGATIVE_INFINITY : maxAgeMs);
      freed += gone;
      if (gone > 0) left -= bytes;
    }
    return freed;
  }

  #look(path: string): { path: string; bytes: number; addedMs: number }[] {
    const stat = lstatSync(path, { throwIfNoEntry: false });
    return stat === undefined ? [] : [{ path, bytes: stat.blocks * 512, addedMs: stat.mtimeMs }];
  }

  #collectOne(path: string, maxAgeMs: number): number {
    try {
      const claim = tryClaim(`${path}.claim`);
      if ('heldBy' in claim) return 0;
      try {
        const found = statSync(path);
        if (Date.now() - found.mtimeMs < maxAgeMs) return 0;
        unlinkAt(AT_FDCWD, path);
        return found.blocks * 512;
      } finally {
        claim.release();
      }
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) this.#log.error('partial-blob-not-removed', error, { path });
      return 0;
    }
  }
}

function openPartial(path: string, size: number, claim: Claim, log: Logger): PartialBlob {
  try {
    const fd = openAt(AT_FDCWD, path, O.RDWR | O.CREAT | O.APPEND | O.NOFOLLOW, 0o600);
    return new OpenPartial(path, fd, usable(path, fd, size), claim, log);
  } catch (error) {
    claim.release();
    throw error;
  }
}

/** The number of bytes of the file that are used. Bytes that cannot be the blob's beginning are cut off. */
function usable(path: string, fd: number, size: number): number {
  const found = statSync(path);
  const fits = found.size <= size && found.mtimeMs > bootTimeMs();
  const have = fits ? Math.min(found.size, Math.max(0, size - TAIL)) : 0;
  if (found.size > have) ftruncate(fd, have, path);
  return have;
}

function bootTimeMs(): number {
  return Date.now() - Number(readFileSync('/proc/uptime', 'latin1').split(' ')[0]) * 1000;
}

class OpenPartial implements PartialBlob {
  readonly #path: string;
  readonly #have: number;
  readonly #claim: Claim;
  readonly #log: Logger;
  #fd: number | undefined;

  constructor(path: string, fd: number, have: number, claim: Claim, log: Logger) {
    this.#path = path;
    this.#fd = fd;
    this.#have = have;
    this.#claim = claim;
    this.#log = log;
  }

  /** Reads `#have` bytes and not to the end of the file, which `append` makes longer. */
  async *replay(): AsyncGenerator<Uint8Array, void, undefined> {
    if (this.#have === 0) return;
    const file = Bun.file(this.#path);
    for (let at = 0; at < this.#have; ) {
      const chunk = await file.slice(at, Math.min(at + REPLAY_CHUNK, this.#have)).bytes();
      if (chunk.length === 0) throw new Error(`${this.#path} became shorter while it was read`);
      at += chunk.length;
      yield chunk;
    }
  }

  append(chunk: Uint8Array): void {
    if (this.#fd === undefined) return;
    try {
      writeAll(this.#fd, chunk, this.#path);
    } catch (error) {
      // The layer needs the space of the disk more than the partial file.
      this.#log.error('partial-blob-given-up', error, { path: this.#path });
      this.drop();
    }
  }

  keep(): void {
    if (this.#fd === undefined) return;
    close(this.#fd);
    this.#fd = undefined;
    this.#claim.release();
  }

  drop(): void {
    if (this.#fd === undefined) return;
    try {
      unlinkAt(AT_FDCWD, this.#path);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) this.#log.error('partial-blob-not-removed', error, { path: this.#path });
    }
    this.keep();
  }
}

function makeDirectory(path: string): void {
  try {
    mkdirAt(AT_FDCWD, path, 0o700);
  } catch (error) {
    if (!hasCode(error, 'EEXIST')) throw error;
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
}
