/**
 * A layer unpacker as one writes it in an afternoon: plain paths, links followed, headers believed, no limits. The
 * hostile layers must break it, or they prove nothing about ours.
 */
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  mkdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { gunzipSync, zstdDecompressSync } from 'node:zlib';
import { lsetxattr, mknodAt } from '../../../lib/sys/kernel/files.ts';
import { AT_FDCWD } from '../../../lib/sys/kernel/libc.ts';

interface Header {
  name: string;
  readonly type: string;
  link: string;
  size: number;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtime: number;
  readonly xattrs: Map<string, Buffer>;
}

/** @param sandbox where the damage ends: what would leave it stops the unpacking, as a fall of its own kind */
export function weakUnpack(target: string, blob: Uint8Array, sandbox: string): void {
  const archive = decompress(Buffer.from(blob));
  let pax = new Map<string, Buffer>();
  for (let at = 0; at + 512 <= archive.length; ) {
    const block = archive.subarray(at, at + 512);
    at += 512;
    if (block.every((byte) => byte === 0)) continue;
    const header = parse(block, pax);
    const content = archive.subarray(at, at + header.size);
    at += Math.ceil(header.size / 512) * 512;
    if (header.type === 'x' || header.type === 'g') pax = records(content);
    else if (header.type === 'L') pax.set('path', Buffer.from(text(content, 0, content.length)));
    else if (header.type === 'K') pax.set('linkpath', Buffer.from(text(content, 0, content.length)));
    else {
      stayIn(sandbox, resolve(target, header.name));
      write(target, header, content);
      pax = new Map();
    }
  }
}

function stayIn(sandbox: string, path: string): void {
  let existing = dirname(path);
  while (!existsSync(existing)) existing = dirname(existing);
  if (!`${realpathSync(existing)}/`.startsWith(`${sandbox}/`))
    throw new Error(`${path} is outside the sandbox`);
}

function decompress(blob: Buffer): Buffer {
  if (blob[0] === 0x1f && blob[1] === 0x8b) return gunzipSync(blob);
  return blob[0] === 0x28 && blob[1] === 0xb5 ? zstdDecompressSync(blob) : blob;
}

function text(block: Buffer, at: number, length: number): string {
  return block.toString('utf8', at, at + length).split('\0')[0] ?? '';
}

function octal(block: Buffer, at: number, length: number): number {
  return Number.parseInt(text(block, at, length).trim(), 8) || 0;
}

function parse(block: Buffer, pax: Map<string, Buffer>): Header {
  const prefix = text(block, 257, 6) === 'ustar' ? text(block, 345, 155) : '';
  const name = prefix === '' ? text(block, 0, 100) : `${prefix}/${text(block, 0, 100)}`;
  const type = text(block, 156, 1) || '0';
  const real = !'xgLK'.includes(type);
  const xattrs = new Map<string, Buffer>();
  for (const [key, value] of pax) if (key.startsWith('SCHILY.xattr.')) xattrs.set(key.slice(13), value);
  return {
    name: (real ? pax.get('path')?.toString() : undefined) ?? name,
    link: (real ? pax.get('linkpath')?.toString() : undefined) ?? text(block, 157, 100),
    type,
    // As in the readers of CVE-2025-62518: the header's own size for entries, the PAX one for what comes between.
    size: 'LK'.includes(type) && pax.has('size') ? Number(pax.get('size')) : octal(block, 124, 12),
    mode: octal(block, 100, 8),
    uid: octal(block, 108, 8),
    gid: octal(block, 116, 8),
    mtime: octal(block, 136, 12),
    xattrs,
  };
}

function records(body: Buffer): Map<string, Buffer> {
  const found = new Map<string, Buffer>();
  for (let at = 0; at < body.length; ) {
    const length = Number.parseInt(body.toString('latin1', at, at + 10), 10);
    if (!(length > 0)) break;
    const record = body.subarray(body.indexOf(' ', at) + 1, at + length - 1);
    const equals = record.indexOf('=');
    found.set(record.toString('utf8', 0, equals), record.subarray(equals + 1));
    at += length;
  }
  return found;
}

function write(target: string, header: Header, content: Buffer): void {
  const path = resolve(target, header.name);
  mkdirSync(dirname(path), { recursive: true });
  if (header.name.includes('.wh.')) {
    mark(target, header.name);
    return;
  }
  make(target, path, header, content);
  for (const [name, value] of header.xattrs) lsetxattr(path, name, value);
}

function mark(target: string, name: string): void {
  const hidden = join(target, name.replace('.wh.', ''));
  if (name.includes('.wh..wh..opq')) {
    lsetxattr(dirname(join(target, name)), 'trusted.overlay.opaque', Buffer.from('y'));
  } else {
    rmSync(hidden, { recursive: true, force: true });
    mknodAt(AT_FDCWD, hidden, 0o20000);
  }
}

function make(target: string, path: string, header: Header, content: Buffer): void {
  const { type, link, mode, uid, gid, mtime } = header;
  switch (type) {
    case '1':
      linkSync(join(target, link), path);
      return;
    case '2':
      symlinkSync(link, path);
      return;
    case '3':
    case '4':
      mknodAt(AT_FDCWD, path, (type === '3' ? 0o20000 : 0o60000) | mode);
      return;
    case '5':
      if (!existsSync(path)) mkdirSync(path);
      break;
    case '6':
      mknodAt(AT_FDCWD, path, 0o10000 | mode);
      return;
    default:
      writeFileSync(path, '');
      appendFileSync(path, content);
  }
  chownSync(path, uid, gid);
  chmodSync(path, mode & 0o777);
  utimesSync(path, mtime, mtime);
}
