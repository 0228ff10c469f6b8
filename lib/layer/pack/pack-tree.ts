/**
 * Packs a directory tree as a tar archive. Every directory comes before what is in it, and all that is in it before any
 * other name: GNU tar and bsdtar then set its time when they leave it. Its files come first, then its directories, each in
 * the order of their bytes. The same tree gives the same bytes each time.
 *
 * tar-fs packs one directory after the other: it lists the names and reads the content, through `TreeFiles`, and
 * `TarWriter` writes the headers.
 */
import { pack } from 'tar-fs';
import type { ByteName } from '../../base/bytes.ts';
import { TarWriter } from './tar-writer.ts';
import { TreeFiles, VIRTUAL_ROOT } from './tree-files.ts';

export interface PackOptions {
  /** Takes the next bytes of the archive, which are valid during the call. */
  readonly write: (bytes: Uint8Array) => void;
  readonly signal: AbortSignal;
  /** False leaves extended attributes out. */
  readonly xattrs: boolean;
  /** Paths of directories that get no entry of their own; `''` is the root. */
  readonly omit: ReadonlySet<string>;
  /** Modes of directories in the archive that are other ones in the tree. */
  readonly modes: ReadonlyMap<string, number>;
  /** A name that is left out wherever it is, with all below it. */
  readonly ignored: ByteName | undefined;
}

export interface Packed {
  readonly entries: number;
  readonly bytes: number;
}

/**
 * Sockets and devices are left out; a character device 0:0 is written as the whiteout that it means.
 * @param tree no other process may change it
 * @throws SysError, also for a file that changes while it is read; the signal's reason; what `write` throws
 */
export async function packTree(tree: string, options: PackOptions): Promise<Packed> {
  const { xattrs, ignored, ...rest } = options;
  const files = new TreeFiles(tree, xattrs);
  const writer = new TarWriter({ files, ...rest });
  try {
    const todo = ['.'];
    for (let next = todo.pop(); next !== undefined; next = todo.pop()) {
      const inside = await packDirectory(next, files, writer, ignored);
      todo.push(...inside.reverse());
    }
    writer.finish();
  } finally {
    files.close();
  }
  return { entries: writer.entries, bytes: writer.bytes };
}

/** Packs a directory and all in it but directories. @returns these, sorted */
async function packDirectory(
  path: string,
  files: TreeFiles,
  writer: TarWriter,
  ignored: ByteName | undefined,
): Promise<string[]> {
  const inside: string[] = [];
  const done = Promise.withResolvers<void>();
  writer.failed = done.reject;
  const options = {
    entries: [path],
    fs: files,
    pack: writer,
    sort: true,
    strict: false,
    umask: 0,
    finalize: false,
    finish: () => done.resolve(),
    ignore: (name: string) => {
      if (ignored !== undefined && name.endsWith(`/${ignored}`)) return true;
      if (!files.isDirectory(name)) return false;
      inside.push(name.slice(VIRTUAL_ROOT.length + 1));
      return true;
    },
  };
  // The types of tar-fs do not have the options `fs`, `sort` and `umask`, and want tar-stream's own writer.
  pack(VIRTUAL_ROOT, options as never);
  await done.promise;
  return inside;
}
