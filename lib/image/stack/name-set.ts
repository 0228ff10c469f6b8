/**
 * Sets of paths, kept by their components. A path of a thousand components has a thousand prefixes of two thousand bytes:
 * as strings of their own they would cost the square of its length.
 */
import type { ByteName } from '../../base/bytes.ts';

interface Node {
  children: Map<string, Node> | undefined;
  isMember: boolean;
}

export class NameSet {
  readonly #root: Node = { children: undefined, isMember: false };

  constructor(names: Iterable<ByteName> = []) {
    for (const name of names) this.add(name, () => undefined);
  }

  /** @param onNew told each path on the way, the name itself last, that no added name led through before */
  add(name: ByteName, onNew: (path: ByteName) => void): void {
    let node = this.#root;
    for (const { key, end } of components(name)) {
      let child = node.children?.get(key);
      if (child === undefined) {
        child = { children: undefined, isMember: false };
        node.children ??= new Map();
        node.children.set(key, child);
        onNew(name.slice(0, end) as ByteName);
      }
      node = child;
    }
    node.isMember = true;
  }

  /** True where the name, or with `strictly` a directory above it, is a member. The root is above none. */
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

/** The names and all directories above them but the root, each once, in the order of strings: parents come first. */
export function withParents(names: Iterable<ByteName>): ByteName[] {
  const set = new NameSet();
  const found: ByteName[] = [];
  for (const name of names) set.add(name, (path) => found.push(path));
  return found.sort();
}

/** `a/b` → `a` until 1, `b` until 3. The root has none. `from` is where one begins. */
export function* components(name: ByteName, from = 0): Generator<{ key: string; end: number }> {
  for (let at = from; at < name.length; ) {
    const slash = name.indexOf('/', at);
    const end = slash < 0 ? name.length : slash;
    yield { key: name.slice(at, end), end };
    at = end + 1;
  }
}
