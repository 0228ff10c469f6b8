import { sha256Hex } from '../base/digest.ts';
import { KiB } from '../base/limits.ts';
import { hasCode, SysError } from '../sys/kernel/errno.ts';
import { close, openAt, unlinkAt, writeAll } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { readTextIfThere } from '../sys/kernel/look.ts';
import { formatOwner, isAlive, ownerOf, parseOwner } from '../sys/kernel/process.ts';

/**
 * The memory of repositories that did not answer. Without it each create of a burst would wait a whole deadline and
 * leave a process behind that no signal ends.
 */
export interface HangMemory {
  /** The reason not to ask the repository at `path` now; undefined when it may be asked. */
  recall(path: string, retryAfterSeconds: number): string | undefined;
  /** Records that the repository did not answer. `pid` is the child that was left behind. */
  remember(path: string, pid: number | undefined): void;
  /** Records that the repository answered. */
  forget(path: string): void;
}

/** A record has a path, a time and an owner. */
const MAX_RECORD_BYTES = 16 * KiB;

/** Keeps the memory in small files of `locks/`, whose content may be lost. */
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

  /** Ignores a record that cannot be parsed: another process may be writing it. */
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

/** A memory that keeps nothing, for verbs that ask once, such as `doctor`. */
export const NO_MEMORY: HangMemory = { recall: () => undefined, remember() {}, forget() {} };
