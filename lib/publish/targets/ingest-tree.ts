/**
 * The members of the archive that one ingest command takes: whole layers, records and links, each name once, and each
 * directory before what is in it. The command ignores the entry of a directory that comes later, and aborts on a name that
 * comes twice.
 */
import { type ByteName, byteName, bytesOf } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import { CATALOG } from '../../cvmfs/markers.ts';
import { readTreeManifest } from '../../layer/manifest/reader.ts';
import type { Head } from '../../layer/manifest/tree-manifest.ts';
import { readDirents } from '../../sys/kernel/dirents.ts';
import { close, openAt, openDir, readlinkAt } from '../../sys/kernel/files.ts';
import { check, libc, O } from '../../sys/kernel/libc.ts';
import { S, type Stat, statAt, statFd } from '../../sys/kernel/stat.ts';
import { type TarMember, tarHeader, tarPadding } from './tar-headers.ts';

/** The walk keeps one descriptor open for each level. Images have some twenty levels. */
const MAX_DEPTH = 400;
const CHUNK = 256 * 1024;

export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
}

/** The attributes that the image gives the names of a layer, by path: the files on the disk have others. */
export function attributesIn(manifestPath: string): Map<string, Attributes> {
  const found = new Map<string, Attributes>();
  for (const line of readTreeManifest(manifestPath)) {
    if (line[0] === 'h' || line[0] === 'w' || line[0] === 'o' || line[0] === 'x') continue;
    const [, path, mode, uid, gid, mtime] = line as Head<'d'>;
    found.set(path, { mode, uid, gid, mtime });
  }
  // A hard link has the attributes of the name that it is a link to.
  for (const line of readTreeManifest(manifestPath)) {
    if (line[0] !== 'h') continue;
    const other = found.get(line[2]);
    if (other !== undefined) found.set(line[1], other);
  }
  return found;
}

export interface TreeToIngest {
  /** Absolute path on the disk. */
  readonly source: string;
  /** Where it goes, relative to the repository's root. */
  readonly path: string;
  /** By the path below `source`. Undefined: the attributes of the disk, as `owner`. */
  attributes(path: string): Attributes | undefined;
  readonly owner: { readonly uid: number; readonly gid: number };
}

type Level = { readonly fd: number; readonly path: string; readonly depth: number };

/** Yields the bytes of the members of a tree. @throws PUBLISH_CATALOG_NAME, PUBLISH_TOO_DEEP, SysError */
export function* ingestTree(tree: TreeToIngest): Generator<Uint8Array> {
  const root = openDir(tree.source);
  try {
    yield tarHeader(memberOf(tree, '', statFd(root)));
    yield* new Walk(tree).inside({ fd: root, path: '', depth: 0 });
  } finally {
    close(root);
  }
}

class Walk {
  readonly #tree: TreeToIngest;
  /** The first name of each file with several names. */
  readonly #linked = new Map<bigint, Uint8Array>();

  constructor(tree: TreeToIngest) {
    this.#tree = tree;
  }

  *inside(level: Level): Generator<Uint8Array> {
    if (level.depth > MAX_DEPTH) throw new PluginError('PUBLISH_TOO_DEEP', { path: printable(level.path) });
    const names = readDirents(level.fd, level.path).map(({ name }) => name);
    for (const name of names.sort()) yield* this.#name(level, name);
  }

  *#name(level: Level, name: ByteName): Generator<Uint8Array> {
    const path = level.path === '' ? name : `${level.path}/${name}`;
    const bytes = bytesOf(name);
    const stat = statAt(level.fd, bytes);
    const member = memberOf(this.#tree, path, stat);
    if (name === CATALOG && member.type !== 'file') throw new PluginError('PUBLISH_CATALOG_NAME', { name });
    switch (member.type) {
      case 'directory': {
        yield tarHeader(member);
        const fd = openDir(bytes, level.fd);
        try {
          yield* this.inside({ fd, path, depth: level.depth + 1 });
        } finally {
          close(fd);
        }
        return;
      }
      case 'symlink':
        yield tarHeader({ ...member, link: readlinkAt(level.fd, bytes) });
        return;
      case 'file':
        yield* this.#file(level, bytes, member, stat);
        return;
      default:
        yield tarHeader(member);
    }
  }

  *#file(level: Level, name: Uint8Array, member: TarMember, stat: Stat): Generator<Uint8Array> {
    const first = this.#linked.get(stat.ino);
    if (first !== undefined) {
      yield tarHeader({ ...member, type: 'hardlink', size: 0, link: first });
      return;
    }
    if (stat.nlink > 1) this.#linked.set(stat.ino, member.name);
    yield tarHeader(member);
    const fd = openAt(level.fd, name, O.RDONLY | O.NOFOLLOW);
    try {
      yield* contentOf(fd, stat.size, member.name);
    } finally {
      close(fd);
    }
    yield tarPadding(stat.size);
  }
}

function* contentOf(fd: number, size: number, name: Uint8Array): Generator<Uint8Array> {
  const buffer = new Uint8Array(Math.min(CHUNK, Math.max(1, size)));
  let left = size;
  while (left > 0) {
    const part = buffer.subarray(0, Math.min(left, buffer.length));
    const got = check(Number(libc.read(fd, part, part.length)), 'read', name);
    if (got === 0) throw new Error(`${printable(name)} has become shorter`);
    yield part.subarray(0, got);
    left -= got;
  }
}

const KINDS: Readonly<Record<number, TarMember['type']>> = {
  [S.IFREG]: 'file',
  [S.IFDIR]: 'directory',
  [S.IFLNK]: 'symlink',
  [S.IFCHR]: 'char',
  [S.IFIFO]: 'fifo',
};

function memberOf(tree: TreeToIngest, path: string, stat: Stat): TarMember {
  const type = KINDS[stat.mode & S.IFMT];
  if (type === undefined) throw new Error(`${path} is a file of a kind that no layer has`);
  const own = { mode: stat.mode & 0o7777, ...tree.owner, mtime: stat.mtime.sec };
  const where = path === '' ? tree.path : `${tree.path}/${path}`;
  const name = bytesOf(byteName(Buffer.from(where, 'latin1')));
  return { type, name, ...(tree.attributes(path) ?? own), size: type === 'file' ? stat.size : 0 };
}
