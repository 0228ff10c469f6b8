/**
 * The framing of a tar archive: bytes in, entries and their content out, all in one thread and one pass. Where readers
 * differ about what an archive says, this one reads as Go's archive/tar does (what built and checked the image), or
 * refuses; it never guesses, since two readers that disagree let a file pass one of them unseen.
 */
import { type ByteName, byteName } from '../../base/bytes.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import type { LayerEntry } from './entry.ts';
import { BLOCK, checksumHolds, FIELD, isUstar, isZeroBlock, numberField } from './fields.ts';
import { foreignFormat } from './foreign-format.ts';
import {
  about,
  bad,
  checkNumbers,
  type Extensions,
  isSparse,
  nameOf,
  readEntry,
  sparseFile,
} from './header.ts';
import { checkGlobalPax, parsePax } from './pax.ts';
import type { ContentSink, SparseFile } from './sparse-file.ts';

/** One extended header or long name. The largest sensible one holds a few xattrs of 64 KiB. */
const MAX_HEADER_BYTES = MiB;

/**
 * Called for every entry; `content`, `hole` and `endOfContent` follow for files and for nothing else. The bytes of
 * content are valid during the call only. A sink without `hole` gets the zeros.
 */
export interface TarSink extends ContentSink {
  entry(entry: LayerEntry): void;
  endOfContent(): void;
}

/** `zeros`: after one block of zeros; `ended`: after two; `map`: in the blocks with a sparse file's map. */
type State = 'header' | 'zeros' | 'ended' | 'extension' | 'map' | 'content' | 'padding';

const EXTENDED = new Set(['x', 'g', 'L', 'K']);
const NO_EXTENSIONS: Extensions = { pax: undefined, longName: undefined, longLink: undefined };

export class TarReader {
  readonly #sink: TarSink;
  readonly #maxSize: number;
  #state: State = 'header';
  /** Bytes still to come in the present state, and of the padding after it. */
  #left = 0;
  #padding = 0;
  /** A header block that came in parts. */
  readonly #block = Buffer.alloc(BLOCK);
  #held = 0;
  /** Bytes of earlier chunks, and where the header block that is read begins. */
  #before = 0;
  #blockAt = 0;
  #extension = Buffer.alloc(0);
  #extensionType = '';
  #extensions: Extensions = { ...NO_EXTENSIONS };
  /** Of the entry at work. */
  #sparse: SparseFile | undefined;
  /** No block was read. */
  #atStart = true;

  /** @param maxSize no entry may claim more bytes than this */
  constructor(sink: TarSink, maxSize: number) {
    this.#sink = sink;
    this.#maxSize = maxSize;
  }

  /** Takes the next bytes. @throws PluginError LAYER_NOT_A_TAR, LAYER_BAD_HEADER, LAYER_UNSUPPORTED_ENTRY, LAYER_TOO_LARGE */
  push(bytes: Uint8Array): void {
    const chunk = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    let at = 0;
    while (at < chunk.length) {
      if (this.#left > 0) {
        at += this.#take(chunk, at);
      } else if (this.#held === 0 && chunk.length - at >= BLOCK) {
        this.#blockAt = this.#before + at;
        this.#header(chunk.subarray(at, at + BLOCK));
        at += BLOCK;
      } else {
        at += this.#hold(chunk, at);
      }
    }
    this.#before += chunk.length;
  }

  /** The archive is over. @throws PluginError LAYER_TRUNCATED in the middle of anything, LAYER_NOT_A_TAR for less than a block */
  end(): void {
    // Some writers leave the last padding and the end marker out (umoci insert); Go's reader takes that too.
    if (this.#state === 'map' || (this.#left > 0 && this.#state !== 'padding'))
      throw truncated('inside an entry');
    const first = this.#block.subarray(0, this.#held);
    if (this.#held > 0 && this.#atStart && foreignFormat(first) !== undefined) throw notTar(first);
    if (this.#held > 0 && this.#state !== 'ended') throw truncated('inside a header');
    const { pax, longName, longLink } = this.#extensions;
    if (pax !== undefined || longName !== undefined || longLink !== undefined) {
      throw truncated('after an extended header, without its entry');
    }
  }

  #hold(chunk: Buffer, at: number): number {
    if (this.#held === 0) this.#blockAt = this.#before + at;
    const part = chunk.subarray(at, at + BLOCK - this.#held);
    this.#block.set(part, this.#held);
    this.#held += part.length;
    if (this.#held === BLOCK) {
      this.#held = 0;
      this.#header(this.#block);
    }
    return part.length;
  }

  /** Consumes up to #left bytes of a state that has a length. */
  #take(chunk: Buffer, at: number): number {
    const part = chunk.subarray(at, at + this.#left);
    if (this.#state === 'content') this.#content(part);
    if (this.#state === 'extension') this.#extension.set(part, this.#extension.length - this.#left);
    this.#left -= part.length;
    if (this.#left === 0) this.#endOfState();
    return part.length;
  }

  #endOfState(): void {
    const state = this.#state;
    this.#left = this.#padding;
    this.#padding = 0;
    this.#state = this.#left > 0 ? 'padding' : 'header';
    if (state === 'content') this.#endOfContent();
    if (state === 'extension') this.#endOfExtension();
  }

  #begin(state: 'extension' | 'content', size: number): void {
    this.#state = state;
    this.#left = size;
    this.#padding = (BLOCK - (size % BLOCK)) % BLOCK;
    if (size === 0) this.#endOfState();
  }

  #content(part: Uint8Array): void {
    if (this.#sparse === undefined) this.#sink.content(part);
    else this.#sparse.content(part, this.#sink);
  }

  #endOfContent(): void {
    this.#sparse?.end(this.#sink);
    this.#sparse = undefined;
    this.#sink.endOfContent();
  }

  #header(block: Buffer): void {
    if (this.#state === 'map') {
      this.#mapBlock(block);
      return;
    }
    if (this.#state === 'ended') {
      // Anything may pad an archive, as everywhere; an entry that only some readers would see may not.
      if (!isZeroBlock(block) && checksumHolds(block))
        bad(nameOf(block), 'an entry after the end of the archive');
      return;
    }
    if (isZeroBlock(block)) {
      this.#atStart = false;
      this.#state = this.#state === 'zeros' ? 'ended' : 'zeros';
      return;
    }
    if (!checksumHolds(block)) {
      if (this.#atStart && !isUstar(block)) throw notTar(block);
      // What no checksum covers may be any file of the machine, so nothing of it is repeated; the place is.
      bad('', `the checksum of the header at byte ${this.#blockAt} is wrong`);
    }
    if (this.#state === 'zeros') bad(nameOf(block), 'something after a single block of zeros');
    this.#atStart = false;
    const type = String.fromCharCode(block[FIELD.type[0]] ?? 0);
    if (EXTENDED.has(type)) this.#beginExtension(block, type);
    else this.#endOfHeader(block, readEntry(block, this.#extensions));
  }

  #endOfHeader(block: Buffer, entry: LayerEntry): void {
    const extensions = this.#extensions;
    this.#extensions = { ...NO_EXTENSIONS };
    if (entry.kind === 'file' && entry.size > this.#maxSize) throw tooLarge('bytes', this.#maxSize);
    this.#state = 'header';
    if (isSparse(block, extensions)) {
      this.#sparse = about(entry.name, () => sparseFile(block, extensions, entry));
      if (this.#sparse.needsMap) this.#state = 'map';
      else this.#beginSparse(this.#sparse);
      return;
    }
    this.#sink.entry(entry);
    if (entry.kind === 'file') this.#begin('content', entry.size);
  }

  #mapBlock(block: Buffer): void {
    const sparse = this.#sparse;
    if (sparse !== undefined && about(sparse.name, () => sparse.mapBlock(block))) this.#beginSparse(sparse);
  }

  #beginSparse(sparse: SparseFile): void {
    const entry = about(sparse.name, () => sparse.entry());
    if (entry.size > this.#maxSize) throw tooLarge('bytes', this.#maxSize);
    this.#sink.entry(entry);
    this.#begin('content', sparse.contentBytes);
  }

  #beginExtension(block: Buffer, type: string): void {
    checkNumbers(block, nameOf(block));
    const size = numberField(block, FIELD.size) ?? 0;
    if (size < 0) bad(nameOf(block), 'the size of an extended header is below 0');
    if (size > MAX_HEADER_BYTES) throw tooLarge('bytes in one extended header', MAX_HEADER_BYTES);
    const { pax, longName, longLink } = this.#extensions;
    const same = type === 'L' ? longName : type === 'K' ? longLink : type === 'g' ? undefined : pax;
    if (same !== undefined) bad(nameOf(block), 'two extended headers of one kind for one entry');
    this.#extensionType = type;
    this.#extension = Buffer.allocUnsafe(size);
    this.#begin('extension', size);
  }

  #endOfExtension(): void {
    const body = this.#extension;
    this.#extension = Buffer.alloc(0);
    about('', () => this.#readExtension(body), ` in the extended header at byte ${this.#blockAt}`);
  }

  #readExtension(body: Buffer): void {
    if (this.#extensionType === 'g') {
      checkGlobalPax(body);
      // To Go's reader a global header is an entry of its own: what stood before it was for it, and for no file behind it.
      this.#extensions = { ...NO_EXTENSIONS };
    } else if (this.#extensionType === 'L') this.#extensions.longName = longNameIn(body);
    else if (this.#extensionType === 'K') this.#extensions.longLink = longNameIn(body);
    else this.#extensions.pax = parsePax(body);
  }
}

/** An empty long name is none (Go): the name in the header counts. */
function longNameIn(body: Buffer): ByteName | undefined {
  const end = body.indexOf(0);
  const name = byteName(end < 0 ? body : body.subarray(0, end));
  return name === '' ? undefined : name;
}

function notTar(first: Buffer): PluginError {
  return new PluginError('LAYER_NOT_A_TAR', { found: foreignFormat(first) });
}

function truncated(where: string): PluginError {
  return new PluginError('LAYER_TRUNCATED', { reason: `the archive ends ${where}` });
}

function tooLarge(what: string, limit: number): PluginError {
  return new PluginError('LAYER_TOO_LARGE', { what, limit });
}
