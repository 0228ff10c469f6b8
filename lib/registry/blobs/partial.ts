/**
 * Blobs that a killed process had begun. One directory, of which everything may be deleted at any time:
 *
 *   <hex>          the first bytes of a blob, as many as came; named after its digest and the place it comes from
 *   <hex>.claim    somebody is downloading it
 *
 * A process that dies leaves its bytes; the next one that wants the blob reads them first and asks the registry
 * for the rest: at least `TAIL`, so that nobody has a blob who cannot get any of it. Nothing is believed: the reader hashes these bytes like all others. They are not synced, so
 * what a power loss left may hold zeros; `begin` therefore drops files from before the last boot.
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

/** What the downloader needs of it. */
export interface PartialBlobs {
  /** Undefined when somebody else is at it, or the disk will not have it: the download then goes without. */
  begin(digest: Digest, size: number): PartialBlob | undefined;
}

export interface PartialBlob {
  /** The bytes that are here. To be read to the end before the first `append`. */
  replay(): AsyncIterable<Uint8Array>;
  /** Never throws: a full disk ends the keeping, not the download. */
  append(chunk: Uint8Array): void;
  /** Keeps what is here for the next try. */
  keep(): void;
  /** The blob is complete, or what is here is not it. */
  drop(): void;
}

/** Bytes handed to the reader at a time while replaying. */
const REPLAY_CHUNK = 256 * 1024;

/** More than the zeros that end a tar (GNU tar writes blocks of 10 KiB), which anybody can guess. */
const TAIL = 16 * KiB;

const NAME = /^[0-9a-f]{64}$/;

/** Partial blobs in one directory, which is made when first needed. */
export class PartialDirectory implements PartialBlobs {
  readonly #directory: string;
  readonly #place: string | undefined;
  readonly #log: Logger;

  /** @param place the repository that blobs come from: what one gave is no other's; undefined to collect, or for one */
  constructor(directory: string, log: Logger, place: string | undefined) {
    this.#directory = directory;
    this.#place = place;
    this.#log = log;
  }

  begin(digest: Digest, size: number): PartialBlob | undefined {
    const name = this.#place === undefined ? hexOf(digest) : sha256Hex(`${this.#place} ${digest}`);
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
   * Removes what nobody has added to for `maxAgeMs`, and of the rest what was longest left alone, until `maxBytes` on the
   * disk are left. What somebody is at stays. @returns bytes freed
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

/** How much of the file counts. What cannot be the blob's beginning is cut off. */
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

  /** By number of bytes, not to the end of the file: a reader that is killed and started again sees the same. */
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
      // The layer itself needs the space more.
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
