/** Finds the data of a sparse file: lseek(2) with SEEK_DATA and SEEK_HOLE. */
import { hasCode } from './errno.ts';
import { check, nr, type PathBytes, syscall } from './libc.ts';

const SEEK_SET = 0;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/**
 * Offset and length of each piece of data of a file, in ascending order; the rest of the file is holes. If the
 * filesystem does not know its holes (lseek(2)), the whole file counts as data. Afterwards the offset of `fd` is 0.
 * @param size in bytes
 */
export function dataRegions(fd: number, size: number, path: PathBytes = ''): number[] {
  const regions = [...eachDataRegion(fd, size, path)].flat();
  moveTo(fd, 0, path);
  return regions;
}

/**
 * The same pieces, each found when the caller asks for it: a file of a tenant may have a million of them. The offset of
 * `fd` is the start of the piece, and the caller may move it.
 */
export function* eachDataRegion(
  fd: number,
  size: number,
  path: PathBytes = '',
): Generator<readonly [offset: number, length: number]> {
  for (let end = 0; end < size; ) {
    const data = seekData(fd, end, path);
    if (data === undefined || data >= size) return;
    end = Math.min(size, check(syscall(nr.lseek, fd, data, SEEK_HOLE), 'lseek', path));
    moveTo(fd, data, path);
    yield [data, end - data];
  }
}

/** The offset of the next data; undefined where only a hole follows. */
function seekData(fd: number, from: number, path: PathBytes): number | undefined {
  try {
    return check(syscall(nr.lseek, fd, from, SEEK_DATA), 'lseek', path);
  } catch (error) {
    if (hasCode(error, 'ENXIO')) return undefined;
    throw error;
  }
}

/** Sets the file offset: the next read or write starts at `offset`. */
export function moveTo(fd: number, offset: number, path: PathBytes = ''): void {
  check(syscall(nr.lseek, fd, offset, SEEK_SET), 'lseek', path);
}
