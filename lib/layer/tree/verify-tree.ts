/** Compares a layer's tree with its manifest, name by name and byte by byte. */
import { type ByteName, byteName } from '../../base/bytes.ts';
import type { Directory } from '../../sys/files/directory.ts';
import { RootedTree } from '../../sys/files/rooted.ts';
import { close, fdPath, lgetxattr, llistxattr, openAt, readlinkAt } from '../../sys/kernel/files.ts';
import { eachDataRegion } from '../../sys/kernel/holes.ts';
import { check, libc, O, type PathBytes } from '../../sys/kernel/libc.ts';
import { isWhiteout, S, type Stat, statIfThere } from '../../sys/kernel/stat.ts';
import { ContentHash, HASH_BLOCK, hashXattrs } from '../manifest/content-hash.ts';
import { BadTreeManifest, readTreeManifest } from '../manifest/reader.ts';
import type { TreeLine } from '../manifest/tree-manifest.ts';
import type { Xattr } from '../tar/entry.ts';
import { splitName } from '../tar/entry-name.ts';
import { pathOf } from './layer-tree.ts';
import { OPAQUE_XATTR, OPAQUE_YES } from './lower-trees.ts';
import { isOurs } from './xattrs.ts';

export interface TreeDifference {
  /** Path below the root of the tree; `''` is the root. When the manifest cannot be read, `''` means the manifest. */
  readonly path: ByteName;
  /** The difference in words: `is missing`, `has other content` and others. */
  readonly what: string;
}

type AttributesLine = Extract<TreeLine, readonly [string, string, number, ...unknown[]]>;

const TYPES: Readonly<Record<string, number>> = { d: S.IFDIR, f: S.IFREG, l: S.IFLNK, p: S.IFIFO };

/**
 * Reads the whole tree. Changes nothing except access times. Memory use does not grow with the tree.
 * @param tree the root of the layer's tree
 * @throws SysError when the tree itself cannot be read (EIO)
 */
export function* verifyTree(tree: string, manifestPath: string): Generator<TreeDifference> {
  const verifier = new Verifier(tree);
  try {
    yield* verifier.run(manifestPath);
  } catch (error) {
    if (!(error instanceof BadTreeManifest)) throw error;
    yield { path: '' as ByteName, what: `cannot be compared with its manifest: ${error.message}` };
  } finally {
    verifier.close();
  }
}

class Verifier {
  readonly #tree: RootedTree;
  readonly #opaque = new Set<string>();

  constructor(tree: string) {
    const never = (): undefined => undefined;
    this.#tree = new RootedTree(tree, { linkBelow: never, implied: never, removed: never });
  }

  *run(manifestPath: string): Generator<TreeDifference> {
    let [listed, found, missing] = [0, 0, 0];
    for (const line of readTreeManifest(manifestPath)) {
      const path = line[1] as ByteName;
      if (line[0] !== 'o' && path !== '') listed += 1;
      for (const what of this.#differences(line)) {
        if (what === MISSING) missing += 1;
        yield { path, what };
      }
      if (line[0] === 'd') for (const _ of this.#namesIn(path)) found += 1;
    }
    for (const path of this.#opaque) yield { path: path as ByteName, what: 'is opaque and should not be' };
    // When the tree has as many names as the manifest lists, without the missing ones, no name is unexpected.
    if (found !== listed - missing) yield* this.#unexpected(manifestPath, listed);
  }

  *#namesIn(path: string): Generator<string> {
    const directory = this.#tree.find(path);
    if (directory !== undefined) for (const { name } of directory.entries()) yield pathOf(directory, name);
  }

  close(): void {
    this.#tree.abandon();
  }

  *#differences(line: TreeLine): Generator<string> {
    const [parentPath, name] = splitName(line[1]);
    const parent = this.#tree.find(parentPath);
    const bytes = Buffer.from(line[1] === '' ? '.' : name, 'latin1');
    const stat = parent === undefined ? undefined : statIfThere(parent.fd, bytes);
    if (parent === undefined || stat === undefined) {
      yield MISSING;
      return;
    }
    switch (line[0]) {
      case 'w':
        if (!isWhiteout(stat)) yield 'is no whiteout';
        return;
      case 'o':
        if (!this.#opaque.delete(line[1])) yield 'is not opaque';
        return;
      case 'h':
        if (this.#stat(line[2])?.ino !== stat.ino) yield `is no link to ${JSON.stringify(line[2])}`;
        return;
      case 'x':
        throw new BadTreeManifest('it was not finished');
      default:
        yield* this.#attributes(line, parent, bytes, stat);
    }
  }

  *#attributes(line: AttributesLine, parent: Directory, name: Uint8Array, stat: Stat): Generator<string> {
    const [type, path, mode, uid, gid, sec, nsec, xattrs] = line;
    if ((stat.mode & S.IFMT) !== TYPES[type]) {
      yield 'has another type';
      return;
    }
    if ((stat.mode & 0o7777) !== mode)
      yield `has mode ${octal(stat.mode & 0o7777)} instead of ${octal(mode)}`;
    if (stat.uid !== uid || stat.gid !== gid)
      yield `belongs to ${stat.uid}:${stat.gid} instead of ${uid}:${gid}`;
    if (stat.mtime.sec !== sec || stat.mtime.nsec !== nsec) yield 'has another modification time';
    const found = readXattrsAt(fdPath(parent.fd, name));
    if (hashXattrs(found.ours) !== xattrs) yield 'has other extended attributes';
    if (found.opaque) this.#opaque.add(path);
    if (line[0] === 'l' && byteName(readlinkAt(parent.fd, name)) !== line[8]) yield 'leads elsewhere';
    if (line[0] !== 'f') return;
    if (stat.size !== line[8]) yield `has ${stat.size} bytes instead of ${line[8]}`;
    else if (hashFile(parent.fd, name, stat, path) !== line[9]) yield 'has other content';
  }

  #stat(path: string): Stat | undefined {
    const [parent, name] = splitName(path);
    const directory = this.#tree.find(parent);
    return directory && statIfThere(directory.fd, Buffer.from(name, 'latin1'));
  }

  /**
   * Finds names that the manifest lacks; of an unexpected tree only its top. To limit memory, the names are compared in
   * parts, each of as many directories as memory allows, and the manifest is read twice for each part.
   */
  *#unexpected(manifestPath: string, listed: number): Generator<TreeDifference> {
    const parts = Math.ceil(listed / NAMES_AT_A_TIME) || 1;
    const inPart = (directory: string, part: number) => nameHash(directory) % parts === part;
    for (let part = 0; part < parts; part += 1) {
      /** Hashes of the names, 53 bits of each. */
      const names = new Set<number>();
      for (const [, path] of readTreeManifest(manifestPath)) {
        if (path !== '' && inPart(splitName(path)[0], part)) names.add(nameHash(path));
      }
      for (const [type, path] of readTreeManifest(manifestPath)) {
        if (type !== 'd' || !inPart(path, part)) continue;
        for (const below of this.#namesIn(path)) {
          if (!names.has(nameHash(below))) yield { path: below as ByteName, what: 'is not in the manifest' };
        }
      }
    }
  }
}

const MISSING = 'is missing';
/** A name in a set of numbers takes some 40 bytes (measured). */
const NAMES_AT_A_TIME = 250_000;

function nameHash(path: string): number {
  return Number(BigInt.asUintN(53, Bun.hash.xxHash64(Buffer.from(path, 'latin1'), 0n)));
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function readXattrsAt(path: PathBytes): { ours: Xattr[]; opaque: boolean } {
  const ours: Xattr[] = [];
  let opaque = false;
  for (const nameBytes of llistxattr(path)) {
    const name = byteName(nameBytes);
    if (name !== OPAQUE_XATTR && !isOurs(name)) continue;
    const value = lgetxattr(path, nameBytes);
    if (name === OPAQUE_XATTR) {
      opaque = value?.[0] === OPAQUE_YES;
      continue;
    }
    if (value !== undefined) ours.push({ name, value });
  }
  return { ours, opaque };
}

/** Holes are not read: a layer of some kilobytes may hold terabytes of them. */
function hashFile(dirfd: number, name: Uint8Array, { size }: Stat, path: string): string {
  const fd = openAt(dirfd, name, O.RDONLY | O.NOFOLLOW | O.NONBLOCK);
  try {
    const hash = new ContentHash();
    const block = Buffer.allocUnsafe(HASH_BLOCK);
    let hashed = 0;
    for (const [offset, length] of eachDataRegion(fd, size, path)) {
      hash.zeros(offset - hashed);
      for (let left = length; left > 0; ) {
        const got = check(Number(libc.read(fd, block, Math.min(left, block.length))), 'read', path);
        // The file became shorter meanwhile, so its content is another one.
        if (got === 0) return hash.finish();
        hash.update(block.subarray(0, got));
        left -= got;
      }
      hashed = offset + length;
    }
    hash.zeros(size - hashed);
    return hash.finish();
  } finally {
    close(fd);
  }
}
