/** The bytes of a layer's archive before it is compressed: headers, and content that is read later. */
import type { ByteName } from '../../base/bytes.ts';
import { readInto } from '../../sys/files/clone-range.ts';
import { moveTo } from '../../sys/kernel/holes.ts';
import type { Stat } from '../../sys/kernel/stat.ts';
import { changed, changeOf } from './tree-walk.ts';

/** The content of a file, valid until the next piece is asked for. */
export interface Content {
  readonly fd: number;
  readonly offset: number;
  readonly size: number;
  readonly path: ByteName;
  /** Called after the last byte was read. @throws COMMIT_CHANGED */
  readonly verify: () => void;
}

/** Blocks of the archive, or content that follows its header and is padded to a block. */
export type Piece = Uint8Array | Content;

/** Decides how the content of a file is kept from the moment at which its header is made. */
export interface Capture {
  /** @param fd open for reading, closed after the next piece is asked for. @throws COMMIT_TOO_LARGE, SysError */
  take(fd: number, stat: Stat, path: ByteName): Content;
}

/**
 * Reads files where they are. A file that is written to meanwhile is noticed by its size and its time of change, which no
 * process can set. Writes through a shared mapping change that time only now and then, so a snapshot is better.
 */
export const inPlace: Capture = {
  take(fd, stat, path) {
    const before = changeOf(fd);
    const verify = () => {
      if (changeOf(fd) !== before) throw changed(path);
    };
    return { fd, offset: 0, size: stat.size, path, verify };
  },
};

/** Reads all of `content` in portions of at most `buffer.length` bytes. @throws COMMIT_CHANGED, SysError */
export function* bytesOfContent(content: Content, room: () => Uint8Array): Generator<number> {
  moveTo(content.fd, content.offset, content.path);
  for (let left = content.size; left > 0; ) {
    const buffer = room();
    const got = readInto(content.fd, buffer.subarray(0, Math.min(left, buffer.length)), content.path);
    if (got === 0) throw changed(content.path);
    left -= got;
    yield got;
  }
  content.verify();
}
