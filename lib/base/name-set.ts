/**
 * Sets of paths, kept by their components. A path of a thousand components has a thousand prefixes of up to two
 * thousand bytes: as separate strings they would cost the square of its length.
 */
import type { ByteName } from './bytes.ts';

interface Node {
  children: Map<string, Node> | undefined;
  isMember: boolean;
}

export class NameSet {
  readonly #root: Node = { children: undefined, isMember: false };

  constructor(names: Iterable<ByteName> = []) {
    for (const name of names) this.add(name);
  }

  /** Adds a name. @param onNew gets each path on the way that no added name led through before, the name itself last */
  add(name: ByteName, onNew?: (path: ByteName) => void): void {
    let node = this.#root;
    for (const { key, end } of components(name)) {
      let child = node.children?.get(key);
      if (child === undefined) {
        child = { children: undefined, isMember: false };
        node.children ??= new Map();
        node.children.set(key, child);
        onNew?.(name.slice(0, end) as ByteName);
      }
      node = child;
    }
    node.isMember = true;
  }

  /** Removes a member, and the components that only its path needed. */
  delete(name: ByteName): void {
    const way: { readonly parent: Node; readonly key: string }[] = [];
    let node = this.#root;
    for (const { key } of components(name)) {
      const child = node.children?.get(key);
      if (child === undefined) return;
      way.push({ parent: node, key });
      node = child;
    }
    node.isMember = false;
    for (const { parent, key } of way.reverse()) {
      const child = parent.children?.get(key);
      if (child === undefined || child.isMember || (child.children?.size ?? 0) > 0) return;
      parent.children?.delete(key);
    }
  }

  /**
   * True when the name or a directory above it is a member; with `strictly`, only a directory above it counts. The root
   * is above no name.
   */
  covers(name: ByteName, strictly = false): boolean {
    let node: Node | undefined = this.#root;
    for (const { key, end } of components(name)) {
      node = node.children?.get(key);
      if (node === undefined) return false;
      if (node.isMember && !(strictly && end === name.length)) return true;
    }
    return false;
  }
}

/** The names and all directories above them except the root, each once, sorted as strings: parents come first. */
export function withParents(names: Iterable<ByteName>): ByteName[] {
  const set = new NameSet();
  const found: ByteName[] = [];
  for (const name of names) set.add(name, (path) => found.push(path));
  return found.sort();
}

/**
 * The components of a name: `a/b` gives `a` with end 1, and `b` with end 3. The root has none. `from` is the start of a
 * component.
 */
export function* components(name: ByteName, from = 0): Generator<{ key: string; end: number }> {
  for (let at = from; at < name.length; ) {
    const slash = name.indexOf('/', at);
    const end = slash < 0 ? name.length : slash;
    yield { key: name.slice(at, end), end };
    at = end + 1;
  }
}
