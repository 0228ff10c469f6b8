/**
 * Packs a directory tree as an EROFS image: each directory, then all in it but directories in the order of their bytes,
 * then those. The same tree gives the same bytes each time.
 */
import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { KiB } from '../../base/limits.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import { close } from '../../sys/kernel/files.ts';
import { eachDataRegion } from '../../sys/kernel/holes.ts';
import { check, libc } from '../../sys/kernel/libc.ts';
import { type Attributes, FILE_TYPE, type FileType } from '../erofs/format.ts';
import { ImageWriter, MAX_ROOT_XATTRS } from '../erofs/image-writer.ts';
import type { Place } from '../erofs/inode-groups.ts';
import { type DirectoryNumber, ROOT } from '../erofs/numbers.ts';
import { encodeXattrs } from '../erofs/xattrs.ts';
import { type Member, TreeFiles, VIRTUAL_ROOT } from './tree-files.ts';

const CHUNK = 256 * KiB;
const EIO = 5;
/** The number of members that are written before the event loop runs and a signal is heard. */
const MEMBERS_A_TURN = 64;

type PackedMember = Exclude<Member, 'skipped'>;

export interface PackImageOptions {
  readonly signal: AbortSignal;
  /** Modes of directories in the image that are other ones in the tree. */
  readonly modes: ReadonlyMap<string, number>;
}

/**
 * Sockets and devices are left out; a character device 0:0 stays what it is, a whiteout.
 * @param tree no other process may change it
 * @param file must not exist; after an error it is no image
 * @throws SysError, also for a file that changes while it is read; LAYER_BAD_XATTR for attributes that are larger than the
 * format allows; the signal's reason
 */
export async function packImage(tree: string, file: string, options: PackImageOptions): Promise<void> {
  const files = new TreeFiles(tree, true);
  try {
    using image = new ImageWriter(file, 0o644);
    await new ImagePacker(files, image, options).run();
    image.finish();
  } finally {
    files.close();
  }
}

/** A file with several names. */
interface SharedFile {
  readonly place: Place;
  readonly type: FileType;
  links: number;
}

interface Visit {
  /** The path, with a slash before each name; `''` is the root. */
  readonly path: string;
  readonly number: DirectoryNumber;
}

class ImagePacker {
  readonly #files: TreeFiles;
  readonly #image: ImageWriter;
  readonly #options: PackImageOptions;
  readonly #buffer = new Uint8Array(CHUNK);
  /** By the first name. */
  readonly #shared = new Map<ByteName, SharedFile>();
  #members = 0;

  constructor(files: TreeFiles, image: ImageWriter, options: PackImageOptions) {
    this.#files = files;
    this.#image = image;
    this.#options = options;
  }

  async run(): Promise<void> {
    const todo: Visit[] = [{ path: '', number: ROOT }];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      const inside = await this.#directory(next);
      todo.push(...inside.reverse());
    }
    for (const { place, links } of this.#shared.values()) this.#image.setLinks(place, links);
  }

  /** Packs all in a directory but directories. @returns these */
  async #directory({ path, number }: Visit): Promise<Visit[]> {
    this.#setAttributes(path, number);
    const inside: Visit[] = [];
    for (const name of this.#names(path)) {
      await this.#turn();
      const below = `${path}/${name}`;
      if (this.#files.isDirectory(below))
        inside.push({ path: below, number: this.#image.tree.addDirectory(number, name) });
      else this.#add(number, name, below);
    }
    return inside;
  }

  async #turn(): Promise<void> {
    this.#members += 1;
    if (this.#members % MEMBERS_A_TURN !== 0) return;
    await new Promise((resolve) => setImmediate(resolve));
    this.#options.signal.throwIfAborted();
  }

  #names(path: string): readonly string[] {
    return now<string[]>((done) => this.#files.readdir(`${VIRTUAL_ROOT}${path}`, done)).sort();
  }

  #member(path: string): Member {
    now((done) => this.#files.lstat(`${VIRTUAL_ROOT}${path}`, done));
    return this.#files.last;
  }

  #setAttributes(path: string, directory: DirectoryNumber): void {
    const member = this.#member(path);
    if (member === 'skipped') throw new Error('a directory became something else');
    const mode = this.#options.modes.get(member.path) ?? member.mode;
    const max = directory === ROOT ? MAX_ROOT_XATTRS : undefined;
    this.#image.tree.directories.set(directory, attributesOf({ ...member, mode }, max));
  }

  #add(parent: DirectoryNumber, name: string, path: string): void {
    const member = this.#member(path);
    if (member === 'skipped') return;
    const file = member.kind === 'hardlink' ? this.#shared.get(member.target) : this.#inode(member, path);
    if (file === undefined) throw new Error('a file has a further name before its first one');
    file.links += 1;
    if (member.isShared && member.kind !== 'hardlink') this.#shared.set(member.path, file);
    this.#image.tree.add(parent, name, file.type, file.place);
  }

  #inode(member: PackedMember, path: string): SharedFile {
    const attributes = attributesOf(member);
    if (member.isWhiteout) {
      // The mode of a member is the one of the marker in an archive; overlayfs makes whiteouts without permissions.
      const whiteout = this.#image.node({ ...attributes, mode: 0 }, FILE_TYPE.character);
      return { type: FILE_TYPE.character, place: whiteout, links: 0 };
    }
    if (member.kind === 'fifo')
      return { type: FILE_TYPE.fifo, place: this.#image.node(attributes, FILE_TYPE.fifo), links: 0 };
    if (member.kind === 'symlink') {
      const place = this.#image.symlink(attributes, bytesOf(member.target));
      return { type: FILE_TYPE.symlink, place, links: 0 };
    }
    const place = this.#image.file(attributes, member.size);
    if (member.size > 0) this.#content(`${VIRTUAL_ROOT}${path}`, member.size);
    this.#image.endOfFile();
    return { type: FILE_TYPE.file, place, links: 0 };
  }

  /** @throws SysError EIO where the file has another size by now */
  #content(path: string, size: number): void {
    const fd = this.#files.open(path);
    try {
      let at = 0;
      for (const [offset, length] of eachDataRegion(fd, size, path)) {
        this.#image.hole(offset - at);
        this.#copy(fd, path, length);
        at = offset + length;
      }
      this.#image.hole(size - at);
    } finally {
      close(fd);
    }
  }

  #copy(fd: number, path: string, length: number): void {
    for (let left = length; left > 0; ) {
      this.#options.signal.throwIfAborted();
      const read = check(Number(libc.read(fd, this.#buffer, Math.min(left, CHUNK))), 'read', path);
      if (read === 0) throw new SysError(EIO, 'read', path, 'the file has shrunk');
      this.#image.content(this.#buffer.subarray(0, read));
      left -= read;
    }
  }
}

function attributesOf(member: PackedMember, maxXattrs?: number): Attributes {
  const { mode, uid, gid, mtime, path, xattrs } = member;
  return { mode, uid, gid, mtime, xattrs: encodeXattrs(path, xattrs, maxXattrs) };
}

/** The answer of a function that takes a callback as those of `node:fs` do, and calls it before it returns. */
function now<T>(ask: (done: (error: unknown, value?: T) => void) => void): T {
  let answer: T | undefined;
  ask((error, value) => {
    if (error !== null) throw error;
    answer = value;
  });
  return answer as T;
}
