/** The model beside what is mounted, path by path, name by name. */
import { lstatSync } from 'node:fs';
import { hasCode } from '../../lib/sys/kernel/errno.ts';
import {
  type CompareOptions,
  printableName,
  readTree,
  type TreeEntry,
} from '../support/images/compare-trees.ts';
import { bytesOfName, digestHex, type LayerStack } from './entries.ts';
import { type Leaf, type MergedTree, type Slot, walkTree } from './model.ts';

/** What differs, a line each. */
export function differences(tree: MergedTree, stack: LayerStack, rootfs: string): string[] {
  return [...differentEntries(describeModel(tree.root), rootfs), ...ghosts(tree, stack, rootfs)];
}

/** As `differences`, without looking for names that are not listed. */
export function differentEntries(
  expected: ReadonlyMap<string, TreeEntry>,
  rootfs: string,
  options: CompareOptions = {},
): string[] {
  let actual: ReadonlyMap<string, TreeEntry>;
  try {
    actual = readTree(rootfs, { linkCounts: false, ...options });
  } catch (error) {
    // readdir(3) names what lstat(2) does not find.
    return [`the tree cannot be read: ${String(error)}`];
  }
  const names = [...new Set([...expected.keys(), ...actual.keys()])].sort();
  return names.flatMap((name) => differentFields(name, expected.get(name), actual.get(name)));
}

function differentFields(
  name: string,
  wanted: TreeEntry | undefined,
  found: TreeEntry | undefined,
): string[] {
  if (wanted === undefined) return [`${name}: is there and should not be`];
  if (found === undefined) return [`${name}: is missing`];
  const fields = [...new Set([...Object.keys(wanted), ...Object.keys(found)])];
  return fields.flatMap((field) => {
    const [one, other] = [wanted[field], comparable(field, found[field])];
    if (one === other || one === ANY) return [];
    return [`${name}: ${field}: ${other ?? 'none'} instead of ${one ?? 'none'}`];
  });
}

/** A link to names that no longer show is alone. */
function comparable(field: string, value: string | undefined): string | undefined {
  return field === 'linked together' && value?.includes(' ') !== true ? undefined : value;
}

/** In what is expected: not known. */
export const ANY = 'any';

/** What is hidden must not be found by its name either. */
function ghosts(tree: MergedTree, stack: LayerStack, rootfs: string): string[] {
  const names = new Set(stack.flatMap(({ entries }) => entries.map(({ name }) => name)));
  const there = new Map(walkTree(tree.root));
  return [...names].flatMap((name) => {
    const parent = there.get(name.slice(0, Math.max(0, name.lastIndexOf('/'))));
    if (there.has(name) || parent?.node.kind !== 'directory') return [];
    return isThere(rootfs, name) ? [`/${name}: is found by its name and not listed`] : [];
  });
}

function isThere(rootfs: string, name: string): boolean {
  try {
    lstatSync(Buffer.concat([Buffer.from(`${rootfs}/`), bytesOfName(name)]));
    return true;
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false;
    throw error;
  }
}

/** The model in the words in which trees are read. */
export function describeModel(root: Slot): Map<string, TreeEntry> {
  const described = new Map<string, TreeEntry>();
  const links = new Map<Leaf, string[]>();
  for (const [path, { node }] of walkTree(root)) {
    const name = `/${path
      .split('/')
      .map((part) => printableName(bytesOfName(part)))
      .join('/')}`;
    described.set(name, describe(node));
    if (node.kind !== 'directory') links.set(node, [...(links.get(node) ?? []), name]);
  }
  for (const names of links.values()) {
    if (names.length < 2) continue;
    const together = names.sort().join(' ');
    for (const name of names) described.set(name, { ...described.get(name), 'linked together': together });
  }
  return described;
}

function describe(node: Slot['node']): TreeEntry {
  const { attributes, kind } = node;
  if (attributes === undefined) return { type: kind, owner: '0:0', mode: '755', mtime: ANY };
  const { uid, gid, mode, mtime, mark } = attributes;
  return {
    type: kind,
    owner: `${uid}:${gid}`,
    mtime: String(mtime),
    ...(kind === 'symlink' ? { target: node.data } : { mode: mode.toString(8) }),
    ...(kind === 'file'
      ? { size: String(Buffer.byteLength(node.data)), content: digestHex(Buffer.from(node.data)) }
      : {}),
    // xattr(7): only files and directories have attributes of users.
    ...(mark !== undefined && (kind === 'file' || kind === 'directory')
      ? { 'xattr user.mark': Buffer.from(mark).toString('hex') }
      : {}),
  };
}
