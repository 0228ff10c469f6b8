/**
 * Directories of a merged tree that their owner may not read, write or search, with the modes that they have in the
 * image. An ordinary user sets these modes at the end: before it, names still go into such a directory.
 */
import type { ByteName } from '../../base/bytes.ts';

export class ClosedDirectories {
  readonly #modes = new Map<ByteName, number>();

  set(path: ByteName, mode: number): void {
    this.#modes.set(path, mode);
  }

  /** The directory has another mode now. */
  forget(path: ByteName): void {
    this.#modes.delete(path);
  }

  /** The name was removed, with everything below it. */
  drop(path: ByteName): void {
    for (const closed of this.#modes.keys())
      if (closed === path || closed.startsWith(`${path}/`)) this.#modes.delete(closed);
  }

  /** A closed parent would hide its children from the user who closes them. */
  childrenFirst(): [path: ByteName, mode: number][] {
    return [...this.#modes].sort(([a], [b]) => (a < b ? 1 : -1));
  }
}
