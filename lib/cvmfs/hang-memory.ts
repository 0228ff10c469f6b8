import { sha256Hex } from '../base/digest.ts';
import { KiB } from '../base/limits.ts';
import { hasCode, SysError } from '../sys/kernel/errno.ts';
import { close, openAt, unlinkAt, writeAll } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { readTextIfThere } from '../sys/kernel/look.ts';
import { formatOwner, isAlive, ownerOf, parseOwner } from '../sys/kernel/process.ts';

/**
 * What is remembered of repositories that did not answer. Without it every create of a burst would wait a whole
 * deadline, and each would leave one more process behind that no signal ends.
 */
export interface HangMemory {
  /** Why the repository at `path` need not be asked now; undefined when it should be. */
  recall(path: string, retryAfterSeconds: number): string | undefined;
  /** It did not answer; `pid` is the child that was left behind. */
  remember(path: string, pid: number | undefined): void;
  /** It answered. */
  forget(path: string): void;
}

/** A path, a time and an owner. */
const MAX_RECORD_BYTES = 16 * KiB;

/** Small files in a directory of the store that holds what may be lost (`locks/`). */
export class HangFiles implements HangMemory {
  readonly #directory: string;
  /** Milliseconds since 1970. */
  readonly #now: () => number;

  constructor(directory: string, now: () => number) {
    this.#directory = directory;
    this.#now = now;
  }

  recall(path: string, retryAfterSeconds: number): string | undefined {
    const found = this.#read(path);
    if (found === undefined) return undefined;
    const seconds = Math.max(0, Math.round((this.#now() - found.at) / 1000));
    const owner = parseOwner(found.owner);
    if (owner !== undefined && isAlive(owner)) {
      return `it did not answer ${seconds} s ago, and process ${owner.pid}, which asked, still hangs`;
    }
    return seconds < retryAfterSeconds ? `it did not answer ${seconds} s ago` : undefined;
  }

  remember(path: string, pid: number | undefined): void {
    const owner = pid === undefined ? undefined : ownerOf(pid);
    const record = { path, at: this.#now(), owner: owner === undefined ? '' : formatOwner(owner) };
    const file = this.#file(path);
    const fd = openAt(AT_FDCWD, file, O.WRONLY | O.CREAT | O.TRUNC, 0o600);
    try {
      writeAll(fd, Buffer.from(JSON.stringify(record)), file);
    } finally {
      close(fd);
    }
  }

  forget(path: string): void {
    if (this.#read(path) === undefined) return;
    try {
      unlinkAt(AT_FDCWD, this.#file(path));
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }

  /** Half a record, which a reader may meet while another writes, says nothing. */
  #read(path: string): { at: number; owner: string } | undefined {
    try {
      const text = readTextIfThere(this.#file(path), MAX_RECORD_BYTES);
      if (text === undefined) return undefined;
      const { at, owner } = (JSON.parse(text) as Record<string, unknown> | null) ?? {};
      return typeof at === 'number' && typeof owner === 'string' ? { at, owner } : undefined;
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof SysError) return undefined;
      throw error;
    }
  }

  #file(path: string): string {
    return `${this.#directory}/cvmfs-hang.${sha256Hex(path).slice(0, 16)}`;
  }
}

/** Remembers nothing: for verbs that ask once, such as `doctor`. */
export const NO_MEMORY: HangMemory = { recall: () => undefined, remember() {}, forget() {} };
