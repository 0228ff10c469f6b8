import type { ByteName } from '../../base/bytes.ts';
import { close, openAt, writeAll } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { type EndLine, HEADER, type Head, type LineAttributes, type TreeLine } from './tree-manifest.ts';

const BUFFER_BYTES = 64 * 1024;

/** Writes lines through one buffer. The file must not exist yet. The caller syncs it together with the tree. */
export class TreeManifestWriter {
  readonly #fd: number;
  readonly #path: string;
  readonly #buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  #closed = false;
  #used = 0;
  #lines = 0;
  #gone = 0;
  #bytes = 0;
  readonly #written: (bytes: number) => void;

  /** @param written called with the number of bytes before they are written; throws where they are too many */
  constructor(path: string, written: (bytes: number) => void = () => {}) {
    this.#path = path;
    this.#written = written;
    this.#fd = openAt(AT_FDCWD, path, O.WRONLY | O.CREAT | O.EXCL | O.NOFOLLOW, 0o600);
    this.#put(`${JSON.stringify(HEADER)}\n`);
  }

  /** Number of lines that take back earlier ones. If there are any, the file must be compacted. */
  get gone(): number {
    return this.#gone;
  }

  /** Size of the file, once it is finished. */
  get bytes(): number {
    return this.#bytes;
  }

  directory(path: string, attributes: LineAttributes): void {
    this.#line(head('d', path, attributes));
  }
  fifo(path: string, attributes: LineAttributes): void {
    this.#line(head('p', path, attributes));
  }
  file(path: string, attributes: LineAttributes, size: number, content: string): void {
    this.#line([...head('f', path, attributes), size, content]);
  }
  symlink(path: string, attributes: LineAttributes, target: ByteName): void {
    this.#line([...head('l', path, attributes), target]);
  }
  hardlink(path: string, other: string): void {
    this.#line(['h', path, other]);
  }
  whiteout(path: string): void {
    this.#line(['w', path]);
  }
  opaque(path: string): void {
    this.#line(['o', path]);
  }
  removed(path: string, scope: 'tree' | 'self'): void {
    this.#gone += 1;
    this.#line(['x', path, scope]);
  }

  /** Adds a line of any kind, unchanged. */
  line(line: TreeLine): void {
    this.#line(line);
  }

  finish(): void {
    this.#put(`${JSON.stringify(['end', this.#lines] satisfies EndLine)}\n`);
    this.#flush();
    this.abandon();
  }

  /**
   * Closes the file, once only: right afterwards the kernel may give the same descriptor to a file of another thread.
   */
  abandon(): void {
    if (this.#closed) return;
    this.#closed = true;
    close(this.#fd);
  }

  #line(line: TreeLine): void {
    this.#lines += 1;
    this.#put(`${JSON.stringify(line)}\n`);
  }

  #put(text: string): void {
    this.#bytes += text.length;
    this.#written(text.length);
    if (text.length > BUFFER_BYTES - this.#used) this.#flush();
    if (text.length > BUFFER_BYTES) writeAll(this.#fd, Buffer.from(text, 'latin1'), this.#path);
    else this.#used += this.#buffer.write(text, this.#used, 'latin1');
  }

  #flush(): void {
    writeAll(this.#fd, this.#buffer.subarray(0, this.#used), this.#path);
    this.#used = 0;
  }
}

function head<T extends string>(
  type: T,
  path: string,
  { mode, uid, gid, mtime, xattrs }: LineAttributes,
): Head<T> {
  return [type, path, mode, uid, gid, mtime.sec, mtime.nsec, xattrs];
}
