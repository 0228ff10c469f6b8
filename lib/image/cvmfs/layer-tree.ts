/** Looks at names of a layer's tree on CVMFS and follows no link: a name behind a link gives ELOOP. */
import { openBeneath } from '../../cvmfs/beneath.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, openDir } from '../../sys/kernel/files.ts';
import { O } from '../../sys/kernel/libc.ts';
import { type Stat, statFd, statIfThere } from '../../sys/kernel/stat.ts';

export class LayerTree {
  readonly #root: number;
  /** The directory of the last lookup, since names come in the order of a tar. */
  #last: { readonly path: string; readonly fd: number | undefined };

  constructor(path: string) {
    this.#root = openDir(path);
    this.#last = { path: '', fd: this.#root };
  }

  root(): Stat {
    return statFd(this.#root);
  }

  /** @throws SysError ELOOP where a link lies on the way */
  stat(parent: string, name: string): Stat | undefined {
    if (this.#last.path !== parent) this.#enter(parent);
    const { fd } = this.#last;
    return fd === undefined ? undefined : statIfThere(fd, Buffer.from(name, 'latin1'));
  }

  close(): void {
    this.#leave();
    close(this.#root);
  }

  #enter(path: string): void {
    this.#leave();
    this.#last = { path: '', fd: this.#root };
    if (path !== '') this.#last = { path, fd: openIfThere(this.#root, path) };
  }

  #leave(): void {
    const { fd } = this.#last;
    if (fd !== undefined && fd !== this.#root) close(fd);
  }
}

function openIfThere(root: number, path: string): number | undefined {
  try {
    return openBeneath(root, Buffer.from(path, 'latin1'), O.PATH | O.DIRECTORY);
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw error;
  }
}
