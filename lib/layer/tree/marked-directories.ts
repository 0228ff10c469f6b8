/**
 * Records which directories of a layer are implied, hold whiteouts or are opaque. A stack of layers needs these facts.
 */
import type { ByteName } from '../../base/bytes.ts';
import { NameSet } from '../../base/name-set.ts';
import type { Timespec } from '../../sys/kernel/files.ts';

export class MarkedDirectories {
  /** Implied directories, with the modification times that they got. */
  readonly #implied = new Map<string, Timespec>();
  readonly #opaque = new Set<string>();
  /** The same directories by component: a tar may have thousands of paths of two thousand components each. */
  readonly #covering = new NameSet();
  readonly #hidden = new Set<string>();
  readonly #deadEnds = new Set<string>();
  /** Number of whiteouts in each directory. */
  readonly #whiteouts = new Map<string, number>();

  addImplied(path: string, mtime: Timespec): void {
    this.#implied.set(path, mtime);
  }

  /** Records an entry for the directory. Returns true when the directory was only implied so far. */
  makeExplicit(path: string): boolean {
    return this.#implied.delete(path);
  }

  /** Returns false when the directory was opaque already. */
  addOpaque(path: string): boolean {
    if (this.#opaque.has(path)) return false;
    this.#opaque.add(path);
    this.#covering.add(path as ByteName);
    return true;
  }

  /**
   * Records a directory that was made for a marker below a file of a lower layer. Returns true when it was not recorded
   * yet.
   */
  addDeadEnd(path: string): boolean {
    if (this.#deadEnds.has(path)) return false;
    this.#deadEnds.add(path);
    return true;
  }

  isImplied(path: string): boolean {
    return this.#implied.has(path);
  }

  /** Records a whiteout for the directory itself. Returns false when an earlier one came. */
  addHidden(path: string): boolean {
    if (this.#hidden.has(path)) return false;
    this.#hidden.add(path);
    return true;
  }

  /** Returns true for the first whiteout in the directory. */
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

  whiteoutsIn(directory: string): number {
    return this.#whiteouts.get(directory) ?? 0;
  }

  /** Drops all facts about a removed directory. */
  forget(path: string): void {
    this.#implied.delete(path);
    if (this.#opaque.delete(path)) this.#covering.delete(path as ByteName);
    this.#hidden.delete(path);
    this.#whiteouts.delete(path);
  }

  /** Returns true where no lower tree is visible: the directory itself or one above it is opaque. */
  isCovered(path: string): boolean {
    if (this.#opaque.size === 0) return false;
    return this.#opaque.has('') || this.#covering.covers(path as ByteName);
  }

  /** All directories that have no entry of their own. */
  implied(): Iterable<[path: string, mtime: Timespec]> {
    return this.#implied;
  }

  /** Directories whose whiteouts hide nothing, since no lower tree is visible there. */
  coveredWhiteoutDirs(): string[] {
    return [...this.#whiteouts.keys()].filter((path) => this.isCovered(path));
  }

  /** Implied directories made for markers, where neither the markers nor the directory have an effect. */
  meaninglessDirs(): string[] {
    return [...this.#whiteouts.keys(), ...this.#opaque, ...this.#deadEnds].filter(
      (path) => path !== '' && this.#implied.has(path) && this.isCovered(parentOf(path)),
    );
  }

  /**
   * Implied directories that may need the attributes of a lower tree. Left out are whited-out directories and those
   * below an opaque directory, which have only their own attributes, and the root, which has `explicitRoot`. An opaque
   * marker alone empties a directory and does not change its attributes.
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
