/**
 * A published layer as a tar archive again, for a caller that unpacks it: its files, and its markers, which lie in it as
 * files. A child process reads the repository, as for a probe: a process on a hung FUSE mount may never end.
 */
import type { ByteName } from '../base/bytes.ts';
import { packTree } from '../layer/pack/pack-tree.ts';
import { close, openDir } from '../sys/kernel/files.ts';
import { O } from '../sys/kernel/libc.ts';
import { openBeneath } from './beneath.ts';
import { CATALOG } from './markers.ts';

/** The request to the child, as one JSON text on its standard input. */
export interface ArchiveRequest {
  /** Path of the repository, and of the tree below it. */
  readonly repository: string;
  readonly tree: string;
  /** False for a CernVM-FS client, whose extended attributes are not the layer's. */
  readonly xattrs: boolean;
  /** Directories without an entry of their own: publishing made them up. `''` is the root. */
  readonly omit: readonly string[];
}

/** Writes the archive. For the child. @throws SysError */
export async function writeArchive(
  { repository, tree, xattrs, omit }: ArchiveRequest,
  write: (bytes: Uint8Array) => void,
): Promise<void> {
  const root = openDir(repository);
  let fd: number | undefined;
  try {
    fd = openBeneath(root, Buffer.from(tree), O.PATH | O.DIRECTORY);
    await packTree(`/proc/self/fd/${fd}/.`, {
      write,
      signal: new AbortController().signal,
      xattrs,
      omit: new Set(omit),
      modes: new Map(),
      ignored: CATALOG as ByteName,
    });
  } finally {
    if (fd !== undefined) close(fd);
    close(root);
  }
}

/** A fault of the child: `hang` when no byte came for too long, `died` when it ended before the end of the archive. */
export class ArchiveBroken extends Error {
  readonly how: 'hang' | 'died';

  constructor(how: 'hang' | 'died') {
    super(how);
    this.how = how;
  }
}

/**
 * The bytes of the archive, from a child that is started at the first read. The child is ended with the iteration.
 * @param stallMs milliseconds without a byte after which the repository counts as hung
 * @throws ArchiveBroken
 */
export async function* readArchive(
  command: readonly string[],
  request: ArchiveRequest,
  stallMs: number,
): AsyncGenerator<Uint8Array> {
  const stdin = Buffer.from(JSON.stringify(request));
  const options = { cwd: '/', env: {}, stdin, stdout: 'pipe', stderr: 'ignore', detached: true } as const;
  const child = Bun.spawn([...command], options);
  child.unref();
  const reader = child.stdout.getReader();
  try {
    for (;;) {
      const chunk = await within(reader.read(), stallMs);
      if (chunk.done) break;
      yield chunk.value;
    }
    // An archive that is cut between two entries looks complete.
    if ((await within(child.exited, stallMs)) !== 0) throw new ArchiveBroken('died');
  } finally {
    child.kill('SIGKILL');
    // Never awaited: it settles when the child's end of the pipe closes, and that may be never.
    reader.cancel().catch(() => undefined);
  }
}

async function within<T>(work: Promise<T>, ms: number): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new ArchiveBroken('hang')), ms);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}
