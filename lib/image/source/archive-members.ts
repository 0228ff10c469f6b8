/** The members of an archive of images: a pass over its headers, in which no layer is read where the file can be moved in. */

import { type ByteName, bytesOf } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { GiB, KiB, MAX_MANIFEST_BYTES, MiB } from '../../base/limits.ts';
import { printable } from '../../base/text.ts';
import type { LayerEntry } from '../../layer/tar/entry.ts';
import { TarReader, type TarSink } from '../../layer/tar/reader.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { moveTo } from '../../sys/kernel/holes.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { readUpTo } from '../../sys/kernel/read.ts';
import { statFd } from '../../sys/kernel/stat.ts';
import type { PackedFile, Part } from './packed-file.ts';

/** An image of 127 layers has 400 members in the older form of docker. */
const MAX_MEMBERS = 20_000;
/** Documents that are kept in memory: manifests and configurations of some hundred images. */
const MAX_DOCUMENT_BYTES = 64 * MiB;
/** The largest member. A layer has its own limit when it is unpacked. */
const MAX_MEMBER_BYTES = 8192 * GiB;
/** A chain of links in archives of docker has one. */
const MAX_LINKS = 8;
/** A header and the first bytes of a layer, by which its compression is known. */
const PIECE = 16 * KiB;
/** The first bytes that are kept of a member. */
const HEAD_BYTES = 16;

/** A file in the archive. */
export interface Member extends Part {
  readonly name: string;
  /** Its first bytes. */
  readonly head: Uint8Array;
  /** The bytes of a document; undefined for other files. */
  readonly document: Uint8Array | undefined;
}

export class ArchiveMembers {
  readonly #path: string;
  readonly #files: ReadonlyMap<string, Member>;
  readonly #links: ReadonlyMap<string, string>;
  readonly #twice: ReadonlySet<string>;

  constructor(path: string, { files, links, twice }: Pick<MemberSink, 'files' | 'links' | 'twice'>) {
    this.#path = path;
    this.#files = files;
    this.#links = links;
    this.#twice = twice;
  }

  /**
   * The file of a name. Links inside the archive are followed: docker writes one for a layer that two images share.
   * @throws IMAGE_BAD_ARCHIVE for a name that two members have: readers differ in which of them counts
   */
  find(name: string): Member | undefined {
    let wanted = tidyName(name);
    for (let links = 0; wanted !== undefined && links < MAX_LINKS; links += 1) {
      if (this.#twice.has(wanted))
        throw bad(this.#path, `it has two members of the name ${printable(wanted)}`);
      const target = this.#links.get(wanted);
      if (target === undefined) return this.#files.get(wanted);
      wanted = target;
    }
    return undefined;
  }

  /** The bytes of a document. @throws IMAGE_BAD_ARCHIVE where it is missing or too large */
  document(name: string): Uint8Array {
    const member = this.find(name);
    if (member === undefined) throw bad(this.#path, `it lacks ${printable(name)}`);
    if (member.document === undefined)
      throw bad(
        this.#path,
        `its ${printable(name)} is no JSON document, or has more than ${MAX_MANIFEST_BYTES} bytes`,
      );
    return member.document;
  }
}

/** @throws IMAGE_BAD_ARCHIVE, LAYER_* where the file is no tar, or as `PackedFile.tar`; the signal's reason */
export async function readMembers(file: PackedFile, signal: AbortSignal): Promise<ArchiveMembers> {
  const sink = new MemberSink(file.path);
  const reader = new TarReader(sink, MAX_MEMBER_BYTES);
  sink.reader = reader;
  if (file.format === 'plain') readPlain(file.path, reader, sink, signal);
  else
    for await (const chunk of file.tar()) {
      signal.throwIfAborted();
      reader.push(chunk);
    }
  reader.end();
  return new ArchiveMembers(file.path, sink);
}

/** Reads headers and the starts of members, and moves over the rest. */
function readPlain(path: string, reader: TarReader, sink: MemberSink, signal: AbortSignal): void {
  const fd = openAt(AT_FDCWD, path, O.RDONLY | O.NONBLOCK | O.NOCTTY);
  try {
    const { size } = statFd(fd);
    for (let at = 0; ; ) {
      signal.throwIfAborted();
      const piece = readUpTo(fd, PIECE, path);
      if (piece.length === 0) {
        if (at > size)
          throw new PluginError('LAYER_TRUNCATED', { reason: 'the archive ends inside an entry' });
        return;
      }
      reader.push(piece);
      const skipped = sink.wantsMore ? 0 : reader.skipContent();
      at += piece.length + skipped;
      if (skipped > 0) moveTo(fd, at, path);
    }
  } finally {
    close(fd);
  }
}

class MemberSink implements TarSink {
  readonly files = new Map<string, Member>();
  readonly links = new Map<string, string>();
  readonly twice = new Set<string>();
  reader: TarReader | undefined;
  readonly #path: string;
  #name = '';
  #part: Part = { at: 0, size: 0 };
  #held: Uint8Array[] = [];
  #heldBytes = 0;
  /** Bytes of all documents. */
  #documents = 0;

  constructor(path: string) {
    this.#path = path;
  }

  /** True while the first bytes of a member are missing, or the rest of a document. */
  get wantsMore(): boolean {
    const { size } = this.#part;
    return this.#heldBytes < Math.min(size, HEAD_BYTES) || (this.#isDocument() && this.#heldBytes < size);
  }

  entry(entry: LayerEntry): void {
    const name = tidyName(textOf(entry.name));
    this.#part = { at: 0, size: 0 };
    if (name === undefined) throw bad(this.#path, 'a member has a name that leaves the archive');
    if (entry.kind === 'directory') return;
    if (this.files.has(name) || this.links.has(name)) this.twice.add(name);
    if (this.files.size + this.links.size >= MAX_MEMBERS)
      throw bad(this.#path, `it has more than ${MAX_MEMBERS} members`);
    if (entry.kind === 'symlink' || entry.kind === 'hardlink') {
      const target = textOf(entry.target);
      const inside = tidyName(entry.kind === 'symlink' ? `${parentOf(name)}${target}` : target);
      // A link out of the archive leads to nothing.
      this.links.set(name, inside ?? '');
    } else if (entry.kind === 'file') this.#begin(name, entry);
  }

  #begin(name: string, { size, sparse }: Extract<LayerEntry, { kind: 'file' }>): void {
    if (sparse !== undefined) throw bad(this.#path, `its ${printable(name)} is a sparse file`);
    this.#name = name;
    this.#part = { at: this.reader?.afterHeader ?? 0, size };
    this.#held = [];
    this.#heldBytes = 0;
  }

  content(bytes: Uint8Array): void {
    if (!this.wantsMore) return;
    this.#held.push(bytes.slice());
    this.#heldBytes += bytes.length;
  }

  endOfContent(): void {
    const bytes = Buffer.concat(this.#held);
    const isWhole = this.#isDocument() && bytes.length === this.#part.size;
    if (isWhole) this.#documents += bytes.length;
    if (this.#documents > MAX_DOCUMENT_BYTES)
      throw bad(this.#path, `its documents have more than ${MAX_DOCUMENT_BYTES} bytes`);
    const member = {
      ...this.#part,
      name: this.#name,
      head: bytes.subarray(0, HEAD_BYTES),
      document: isWhole ? bytes : undefined,
    };
    this.files.set(this.#name, member);
    this.#held = [];
    this.#heldBytes = 0;
    this.#part = { at: 0, size: 0 };
  }

  /** A file of JSON by its first byte: the names of configurations in older archives tell nothing. */
  #isDocument(): boolean {
    const first = this.#held[0]?.[0];
    return this.#part.size <= MAX_MANIFEST_BYTES && (first === OPEN_OBJECT || first === OPEN_ARRAY);
  }
}

const OPEN_OBJECT = 0x7b;
const OPEN_ARRAY = 0x5b;

function textOf(name: ByteName): string {
  return new TextDecoder().decode(bytesOf(name));
}

function parentOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/') + 1);
}

/** The name without `.`, `..` and empty parts; undefined where it leads out of the archive. */
function tidyName(name: string): string | undefined {
  const parts: string[] = [];
  for (const part of name.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) return undefined;
  }
  return name.startsWith('/') ? undefined : parts.join('/');
}

function bad(path: string, reason: string): PluginError {
  return new PluginError('IMAGE_BAD_ARCHIVE', { path, reason });
}
