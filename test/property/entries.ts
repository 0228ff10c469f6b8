/** Entries of layers as plain values, and the archives made of them. Names are one character a byte. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { type EntrySpec, tar } from '../support/images/tar-writer.ts';

export interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Nanoseconds since 1970. */
  readonly mtime: bigint;
  /** The value of `user.mark`. */
  readonly mark?: string;
}

export type Entry = { readonly name: string; readonly attributes: Attributes } & (
  | { readonly kind: 'file'; readonly content: string }
  | { readonly kind: 'directory' }
  | { readonly kind: 'symlink'; readonly target: string }
  | { readonly kind: 'hardlink'; readonly target: string }
  | { readonly kind: 'fifo' }
  | { readonly kind: 'device' }
  /** `name` is what it hides. */
  | { readonly kind: 'whiteout' }
  /** `name` is the directory. */
  | { readonly kind: 'opaque' }
);

export interface Layer {
  readonly entries: readonly Entry[];
  readonly packing: 'gzip' | 'plain';
}

/** Layers, bottom first. One that is there twice is the same object. */
export type LayerStack = readonly Layer[];

const TYPES = {
  file: '0',
  directory: '5',
  symlink: '2',
  hardlink: '1',
  fifo: '6',
  device: '3',
  whiteout: '0',
  opaque: '0',
} as const;

const SECOND = 1_000_000_000n;

export function archive({ entries }: Layer): Buffer {
  return tar(entries.map(specOf));
}

/** The tar, packed as the layer says. */
export function blobOf(layer: Layer, tarBytes: Buffer): Buffer {
  return layer.packing === 'gzip' ? gzipSync(tarBytes, { level: 1 }) : tarBytes;
}

export function digestHex(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function bytesOfName(name: string): Buffer {
  return Buffer.from(name, 'latin1');
}

function specOf(entry: Entry): EntrySpec {
  const { attributes } = entry;
  const { mode, uid, gid, mtime, mark } = attributes;
  const records: Record<string, string> = {};
  if (mtime % SECOND !== 0n)
    records['mtime'] = `${mtime / SECOND}.${String(mtime % SECOND).padStart(9, '0')}`;
  if (mark !== undefined) records['SCHILY.xattr.user.mark'] = mark;
  return {
    name: bytesOfName(archiveName(entry)),
    type: TYPES[entry.kind],
    mode,
    uid,
    gid,
    mtime: Number(mtime / SECOND),
    ...(Object.keys(records).length > 0 ? { pax: records } : {}),
    ...(entry.kind === 'file' ? { content: entry.content } : {}),
    ...(entry.kind === 'symlink' || entry.kind === 'hardlink' ? { link: bytesOfName(entry.target) } : {}),
  };
}

function archiveName({ name, kind }: Entry): string {
  const [parent, base] = splitName(name);
  const prefix = parent === '' ? '' : `${parent}/`;
  switch (kind) {
    case 'directory':
      return name === '' ? './' : `${name}/`;
    case 'whiteout':
      return `${prefix}.wh.${base}`;
    case 'opaque':
      return name === '' ? '.wh..wh..opq' : `${name}/.wh..wh..opq`;
    default:
      return name;
  }
}

export function splitName(name: string): [parent: string, base: string] {
  const cut = name.lastIndexOf('/');
  return cut < 0 ? ['', name] : [name.slice(0, cut), name.slice(cut + 1)];
}

/** One line, for people. */
function describeEntry(entry: Entry): string {
  const { mode, uid, gid, mtime, mark } = entry.attributes;
  const owner = `${mode.toString(8)} ${uid}:${gid} @${mtime}${mark === undefined ? '' : ` mark=${mark}`}`;
  const more = 'target' in entry ? ` -> ${entry.target}` : 'content' in entry ? ` ${entry.content}` : '';
  return `${entry.kind} ${JSON.stringify(archiveName(entry))}${more} (${owner})`;
}

export function describeStack(stack: LayerStack): string {
  const lines = stack.flatMap((layer, i) => {
    const first = stack.indexOf(layer);
    const head = `layer ${i} (${layer.packing})${first < i ? `, the same as layer ${first}` : ''}`;
    return first < i ? [head] : [head, ...layer.entries.map((entry) => `  ${describeEntry(entry)}`)];
  });
  return lines.join('\n');
}
