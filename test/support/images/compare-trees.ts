/**
 * Two directory trees as a container would see them, compared name by name: types, modes, owners, times,
 * link targets, device numbers, hard links, extended attributes and content. Names are bytes.
 */
import { type BigIntStats, lstatSync, openSync, readdirSync, readSync } from 'node:fs';
import { close, lgetxattr, llistxattr, readlinkAt } from '../../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../../lib/sys/kernel/libc.ts';

export interface CompareOptions {
  /** Paths (as printed, `/` being the root) that are left out with all below them. */
  readonly ignore?: readonly string[];
  /** False leaves out the times of directories, which what is unpacked into them later changes. */
  readonly directoryTimes?: boolean;
  /** False leaves out link counts: an overlay shows those of a lower inode, whose other names may be hidden. */
  readonly linkCounts?: boolean;
  /** Extended attributes to leave out, by prefix. */
  readonly ignoreXattrs?: readonly string[];
}

/** Everything about one name that must agree, as text, so that a difference reads by itself. */
export type TreeEntry = Readonly<Record<string, string>>;

/** What differs, one line each; empty when the trees are the same. */
export function compareTrees(left: string, right: string, options: CompareOptions = {}): string[] {
  const [a, b] = [readTree(left, options), readTree(right, options)];
  const names = [...new Set([...a.keys(), ...b.keys()])].sort();
  return names.flatMap((name) => {
    const [one, other] = [a.get(name), b.get(name)];
    if (one === undefined) return [`${name}: only in ${right}`];
    if (other === undefined) return [`${name}: only in ${left}`];
    const fields = [...new Set([...Object.keys(one), ...Object.keys(other)])];
    return fields
      .filter((field) => one[field] !== other[field])
      .map((field) => `${name}: ${field}: ${one[field] ?? 'none'} and ${other[field] ?? 'none'}`);
  });
}

/** Every name below `root`, the root itself as `/`. Bytes that are not printable ASCII are `\xNN` in names. */
export function readTree(root: string, options: CompareOptions = {}): Map<string, TreeEntry> {
  const entries = new Map<string, TreeEntry>();
  const links = new Map<string, string[]>();
  const visit = (path: Buffer, name: string) => {
    if (options.ignore?.includes(name) === true) return;
    const stat = lstatSync(path, { bigint: true });
    entries.set(name, describe(path, stat, options));
    if (!stat.isDirectory() && stat.nlink > 1n) {
      const inode = `${stat.dev}:${stat.ino}`;
      links.set(inode, [...(links.get(inode) ?? []), name]);
    }
    if (!stat.isDirectory()) return;
    const prefix = name === '/' ? '/' : `${name}/`;
    for (const child of readdirSync(path, { encoding: 'buffer' })) {
      visit(Buffer.concat([path, SLASH, child]), prefix + printableName(child));
    }
  };
  visit(Buffer.from(root), '/');
  for (const names of links.values()) {
    const together = names.sort().join(' ');
    for (const name of names) entries.set(name, { ...entries.get(name), 'linked together': together });
  }
  return entries;
}

const SLASH = Buffer.from('/');

export function printableName(bytes: Buffer): string {
  const hex = (byte: number) => `\\x${byte.toString(16).padStart(2, '0')}`;
  return [...bytes]
    .map((byte) => (byte > 32 && byte < 127 && byte !== 92 ? String.fromCharCode(byte) : hex(byte)))
    .join('');
}

function describe(path: Buffer, stat: BigIntStats, options: CompareOptions): TreeEntry {
  const type = typeOf(stat);
  const entry: Record<string, string> = { type, owner: `${stat.uid}:${stat.gid}` };
  // Links have no mode of their own (symlink(7)).
  if (type !== 'symlink') entry['mode'] = (stat.mode & 0o7777n).toString(8);
  if (type !== 'directory' || options.directoryTimes !== false) entry['mtime'] = stat.mtimeNs.toString();
  if (type !== 'directory' && options.linkCounts !== false) entry['links'] = stat.nlink.toString();
  if (type === 'symlink') entry['target'] = Buffer.from(readlinkAt(AT_FDCWD, path)).toString('latin1');
  if (type === 'character device' || type === 'block device') entry['device'] = stat.rdev.toString();
  if (type === 'file') {
    entry['size'] = stat.size.toString();
    entry['content'] = contentDigest(path);
  }
  for (const [name, value] of xattrsOf(path, options)) entry[`xattr ${name}`] = value;
  return entry;
}

function typeOf(stat: BigIntStats): string {
  if (stat.isDirectory()) return 'directory';
  if (stat.isSymbolicLink()) return 'symlink';
  if (stat.isFile()) return 'file';
  if (stat.isCharacterDevice()) return 'character device';
  if (stat.isBlockDevice()) return 'block device';
  return stat.isFIFO() ? 'fifo' : 'socket';
}

function xattrsOf(path: Buffer, options: CompareOptions): [string, string][] {
  return llistxattr(path)
    .map((raw) => Buffer.from(raw).toString('latin1'))
    .filter((name) => !(options.ignoreXattrs ?? []).some((prefix) => name.startsWith(prefix)))
    .sort()
    .map((name) => [name, Buffer.from(lgetxattr(path, name) ?? []).toString('hex')]);
}

const chunk = Buffer.alloc(1024 * 1024);

function contentDigest(path: Buffer): string {
  const hash = new Bun.CryptoHasher('sha256');
  const fd = openSync(path, 'r');
  try {
    for (let n = readSync(fd, chunk); n > 0; n = readSync(fd, chunk)) hash.update(chunk.subarray(0, n));
  } finally {
    close(fd);
  }
  return hash.digest('hex');
}
