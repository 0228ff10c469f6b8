/**
 * The framing of a tar archive: bytes in, entries and their content out, all in one thread and one pass. Where readers
 * differ about the meaning of an archive, this reader follows Go's archive/tar (which built and checked the image), or
 * refuses the archive. The reader never guesses: if two readers disagree, one of them overlooks a file that the other
 * unpacks.
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

/** Largest extended header or long name. The largest sensible header holds a few xattrs of 64 KiB. */
const MAX_HEADER_BYTES = MiB;

/**
 * Receives every entry. For a file, `content`, `hole` and `endOfContent` follow; for other entries they do not. The
 * bytes of `content` are valid only during the call. A sink without `hole` gets the zeros as content.
 */
export interface TarSink extends ContentSink {
  entry(entry: LayerEntry): void;
  endOfContent(): void;
}

/** `zeros`: after one block of zeros. `ended`: after two. `map`: in the blocks with the map of a sparse file. */
type State = 'header' | 'zeros' | 'ended' | 'extension' | 'map' | 'content' | 'padding';

const EXTENDED = new Set(['x', 'g', 'L', 'K']);
const NO_EXTENSIONS: Extensions = { pax: undefined, longName: undefined, longLink: undefined };

export class TarReader {
  readonly #sink: TarSink;
  readonly #maxSize: number;
  #state: State = 'header';
  /** Bytes still to come in the current state, and of the padding after it. */
  #left = 0;
  #padding = 0;
  /** A header block that arrived in parts. */
  readonly #block = Buffer.alloc(BLOCK);
  #held = 0;
  /** Number of bytes in earlier chunks, and the offset of the current header block. */
  #before = 0;
  #blockAt = 0;
  #extension = Buffer.alloc(0);
  #extensionType = '';
  #extensions: Extensions = { ...NO_EXTENSIONS };
  /** The current entry, if it is a sparse file. */
  #sparse: SparseFile | undefined;
  /** True until the first block is read. */
  #atStart = true;

  /** @param maxSize an entry with a larger size is an error */
  constructor(sink: TarSink, maxSize: number) {
    this.#sink = sink;
    this.#maxSize = maxSize;
  }

  /**
   * Reads the next bytes. @throws PluginError LAYER_NOT_A_TAR, LAYER_BAD_HEADER, LAYER_UNSUPPORTED_ENTRY,
   * LAYER_TOO_LARGE
   */
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

  /** Ends the archive. @throws PluginError LAYER_TRUNCATED inside an entry, LAYER_NOT_A_TAR for less than a block */
  end(): void {
    // Some writers leave out the last padding and the end marker (umoci insert); Go's reader accepts that too.
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

  /** The offset in the archive of the byte after the current header: the first byte of an entry's content. */
  get afterHeader(): number {
    return this.#blockAt + BLOCK;
  }

  /**
   * Leaves out the rest of an entry's content and its padding. The caller goes on behind them.
   * @returns how many bytes the caller leaves out; 0 anywhere else in the archive
   */
  skipContent(): number {
    if (this.#held > 0 || (this.#state !== 'content' && this.#state !== 'padding')) return 0;
    const bytes = this.#left + this.#padding;
    this.#left = 0;
    this.#padding = 0;
    this.#before += bytes;
    this.#endOfState();
    return bytes;
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
      // Any bytes may follow the end of an archive, as in other readers, except a valid header: only some readers would
      // see its entry.
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
      // Without a valid checksum the bytes could come from any file of the machine. So the error gives their offset and
      // none of the bytes.
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
      // For Go's reader a global header is an entry of its own: extended headers before it belong to it, and not to the
      // next file.
      this.#extensions = { ...NO_EXTENSIONS };
    } else if (this.#extensionType === 'L') this.#extensions.longName = longNameIn(body);
    else if (this.#extensionType === 'K') this.#extensions.longLink = longNameIn(body);
    else this.#extensions.pax = parsePax(body);
  }
}

/** An empty long name counts as none (as in Go): then the name in the header counts. */
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
