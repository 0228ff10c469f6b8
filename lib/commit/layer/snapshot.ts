/**
 * A snapshot of a tree on a filesystem that shares data between files (reflinks): the headers of the archive in one file,
 * and the data of all files in another. Both files have no name, belong to no project, and vanish with the process. The
 * tree is read once and quickly; the archive is compressed from the snapshot afterwards, however long that takes.
 */

import type { ByteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import {
  CLONE_ALIGNMENT,
  canClone,
  cloneInto,
  openNamelessFile,
  readInto,
} from '../../sys/files/clone-range.ts';
import { close, writeAll } from '../../sys/kernel/files.ts';
import { moveTo } from '../../sys/kernel/holes.ts';
import { statFd } from '../../sys/kernel/stat.ts';
import type { Capture, Content, Piece } from './content.ts';

const PORTION = MiB;

/** Content in the snapshot, and how many bytes of headers come before it. */
interface Step {
  readonly headerBytes: number;
  readonly offset: number;
  readonly size: number;
}

export class Snapshot implements Disposable {
  readonly #headers: number;
  readonly #data: number;
  readonly #steps: Step[] = [];
  #end = 0;
  readonly #most: number;
  #bytes = 0;

  private constructor(headers: number, data: number, most: number) {
    this.#headers = headers;
    this.#data = data;
    this.#most = most;
  }

  /**
   * @param directory on the filesystem of the tree, outside of any container
   * @param most how many bytes the files may have together. A sparse file has any size, and takes no room
   * @returns undefined where files cannot share data
   */
  static open(directory: string, most: number): Snapshot | undefined {
    if (!canClone(directory)) return undefined;
    const headers = openNamelessFile(directory);
    if (headers === undefined) return undefined;
    const data = openNamelessFile(directory);
    if (data !== undefined) return new Snapshot(headers, data, most);
    close(headers);
    return undefined;
  }

  readonly capture: Capture = {
    take: (fd, stat, path) => {
      this.#bytes += stat.size;
      if (this.#bytes > this.#most)
        throw new PluginError('COMMIT_TOO_LARGE', { what: 'bytes', limit: this.#most });
      const offset = Math.ceil(this.#end / CLONE_ALIGNMENT) * CLONE_ALIGNMENT;
      if (stat.size > 0) cloneInto(fd, this.#data, offset, path);
      // The file may have grown or shrunk since its stat: the size of the clone counts.
      const end = statFd(this.#data).size;
      const size = stat.size === 0 || end < offset ? 0 : end - offset;
      if (size > 0) this.#end = end;
      return { fd: this.#data, offset, size, path, verify: () => {} };
    },
  };

  /** Takes all pieces, which were made with `capture`. @throws SysError ENOSPC, and what the pieces throw */
  fill(pieces: Iterable<Piece>, checkpoint: () => void): void {
    let parts: Uint8Array[] = [];
    let [held, headerBytes] = [0, 0];
    const flush = () => {
      writeAll(this.#headers, Buffer.concat(parts), 'the snapshot of a container');
      [parts, held] = [[], 0];
    };
    for (const piece of pieces) {
      checkpoint();
      if (!(piece instanceof Uint8Array)) {
        this.#steps.push({ headerBytes, offset: piece.offset, size: piece.size });
        headerBytes = 0;
        continue;
      }
      parts.push(piece);
      held += piece.length;
      headerBytes += piece.length;
      if (held > PORTION) flush();
    }
    flush();
    this.#steps.push({ headerBytes, offset: 0, size: 0 });
  }

  /** The pieces again, in the same order. */
  *pieces(): Generator<Piece> {
    let at = 0;
    for (const { headerBytes, offset, size } of this.#steps) {
      moveTo(this.#headers, at);
      for (let left = headerBytes; left > 0; ) {
        const portion = new Uint8Array(Math.min(left, PORTION));
        const got = readInto(this.#headers, portion, 'the snapshot of a container');
        if (got === 0) throw new Error('the snapshot is shorter than what was written');
        left -= got;
        yield portion.subarray(0, got);
      }
      at += headerBytes;
      if (size > 0) yield this.#content(offset, size);
    }
  }

  [Symbol.dispose](): void {
    close(this.#headers);
    close(this.#data);
  }

  #content(offset: number, size: number): Content {
    return { fd: this.#data, offset, size, path: 'the snapshot' as ByteName, verify: () => {} };
  }
}
