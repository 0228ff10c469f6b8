import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, check, libc, O } from '../../sys/kernel/libc.ts';
import { HEADER, type TreeLine } from './tree-manifest.ts';

const PORTION = 64 * 1024;
/** The longest line holds a name and a link target, each byte as up to six characters. */
const MAX_LINE = 512 * 1024;
/** Number of fields in each kind of line. */
const FIELDS: Readonly<Record<string, number>> = { d: 8, f: 10, l: 9, p: 8, h: 3, w: 2, o: 2, x: 3 };

/** The file is not a tree manifest, or not a complete one. */
export class BadTreeManifest extends Error {}

/** Yields the lines between the first and the last. @throws BadTreeManifest, SysError */
export function* readTreeManifest(path: string): Generator<TreeLine> {
  let count = -1;
  let ended = false;
  for (const text of textLines(path)) {
    if (ended) throw new BadTreeManifest('something follows its end');
    count += 1;
    if (count === 0) {
      if (text !== JSON.stringify(HEADER)) throw new BadTreeManifest('its head is wrong');
      continue;
    }
    const line = parseLine(text);
    if (line[0] === 'end') {
      if (line[1] !== count - 1) throw new BadTreeManifest('lines are missing');
      ended = true;
    } else {
      if (line.length !== FIELDS[line[0]]) throw new BadTreeManifest(`line ${count + 1} is none`);
      yield line as unknown as TreeLine;
    }
  }
  if (!ended) throw new BadTreeManifest('its end is missing');
}

function parseLine(text: string): [string, ...unknown[]] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new BadTreeManifest('a line is no JSON');
  }
  if (!Array.isArray(value) || typeof value[0] !== 'string') throw new BadTreeManifest('a line is no list');
  return value as [string, ...unknown[]];
}

function* textLines(path: string): Generator<string> {
  const fd = open(path);
  try {
    const portion = Buffer.allocUnsafe(PORTION);
    let rest = '';
    for (;;) {
      const length = check(Number(libc.read(fd, portion, PORTION)), 'read', path);
      if (length === 0) break;
      const lines = (rest + portion.toString('latin1', 0, length)).split('\n');
      rest = lines.pop() ?? '';
      if (rest.length > MAX_LINE) throw new BadTreeManifest('a line is too long');
      yield* lines;
    }
    if (rest !== '') throw new BadTreeManifest('its last line is cut');
  } finally {
    close(fd);
  }
}

function open(path: string): number {
  try {
    return openAt(AT_FDCWD, path, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ELOOP')) throw new BadTreeManifest('there is none', { cause: error });
    throw error;
  }
}
