/** Which directories of a layer are implied, hold whiteouts or are opaque: what placing it in a stack needs to know. */
import type { ByteName } from '../../base/bytes.ts';
import type { Timespec } from '../../sys/kernel/files.ts';

export class MarkedDirectories {
  /** With the times they got. */
  readonly #implied = new Map<string, Timespec>();
  readonly #opaque = new Set<string>();
  readonly #hidden = new Set<string>();
  readonly #deadEnds = new Set<string>();
  /** How many whiteouts a directory holds. */
  readonly #whiteouts = new Map<string, number>();

  addImplied(path: string, mtime: Timespec): void {
    this.#implied.set(path, mtime);
  }

  /** An entry for the directory came. True when it was only implied so far. */
  makeExplicit(path: string): boolean {
    return this.#implied.delete(path);
  }

  /** False when it was opaque already. */
  addOpaque(path: string): boolean {
    if (this.#opaque.has(path)) return false;
    this.#opaque.add(path);
    return true;
  }

  /** A marker was looked for further down, and a lower layer has a file there. True for the first one. */
  addDeadEnd(path: string): boolean {
    if (this.#deadEnds.has(path)) return false;
    this.#deadEnds.add(path);
    return true;
  }

  isImplied(path: string): boolean {
    return this.#implied.has(path);
  }

  /** A whiteout for the directory itself came. False when one came before. */
  addHidden(path: string): boolean {
    if (this.#hidden.has(path)) return false;
    this.#hidden.add(path);
    return true;
  }

  /** True for the first one in the directory. */
  addWhiteout(directory: string): boolean {
    const before = this.#whiteouts.get(directory) ?? 0;
    this.#whiteouts.set(directory, before + 1);
    return before === 0;
  }

  removeWhiteout(directory: string): void {
    const left = (this.#whiteouts.get(directory) ?? 0) - 1;
    if (left > 0) this.#whiteouts.set(directory, left);
    else this.#whiteouts.delete(directory);
  }

  /** The directory is gone. */
  forget(path: string): void {
    this.#implied.delete(path);
    this.#opaque.delete(path);
    this.#hidden.delete(path);
    this.#whiteouts.delete(path);
  }

  /** True where no lower tree shows through: the directory itself or one above it is opaque. */
  isCovered(path: string): boolean {
    if (this.#opaque.size === 0) return false;
    if (this.#opaque.has('') || this.#opaque.has(path)) return true;
    for (let cut = path.lastIndexOf('/'); cut > 0; cut = path.lastIndexOf('/', cut - 1)) {
      if (this.#opaque.has(path.slice(0, cut))) return true;
    }
    return false;
  }

  /** All that have no entry of their own. */
  implied(): Iterable<[path: string, mtime: Timespec]> {
    return this.#implied;
  }

  /** Directories whose whiteouts hide nothing, since nothing shows through there anyway. */
  coveredWhiteoutDirs(): string[] {
    return [...this.#whiteouts.keys()].filter((path) => this.isCovered(path));
  }

  /** Implied directories made for markers, where neither the markers nor the directory mean anything. */
  meaninglessDirs(): string[] {
    return [...this.#whiteouts.keys(), ...this.#opaque, ...this.#deadEnds].filter(
      (path) => path !== '' && this.#implied.has(path) && this.isCovered(parentOf(path)),
    );
  }

  /**
   * Implied directories whose attributes a lower tree may have to give. Those that were whited out and those below an
   * opaque directory have only their own, and the root has `explicitRoot`; an opaque marker alone empties a directory
   * and leaves what it is.
   */
  impliedDirs(): ByteName[] {
    return sorted(
      [...this.#implied.keys()].filter(
        (path) => path !== '' && !this.#hidden.has(path) && !this.isCovered(parentOf(path)),
      ),
    );
  }
  whiteoutDirs(): ByteName[] {
    return sorted([...this.#whiteouts.keys()]);
  }
  opaqueDirs(): ByteName[] {
    return sorted([...this.#opaque]);
  }
}

function parentOf(path: string): string {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}

function sorted(paths: string[]): ByteName[] {
  return paths.sort() as ByteName[];
}
