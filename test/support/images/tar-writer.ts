/**
 * Tar archives of any kind, right and wrong: every field of every header can be given, as a number, as text or as
 * bytes, and whole blocks can be put in as they are.
 */

export type Bytes = string | Uint8Array;

export interface EntrySpec {
  readonly name: Bytes;
  /** One character; a file unless said otherwise. */
  readonly type?: string;
  readonly content?: Bytes;
  readonly link?: Bytes;
  /** Numbers are written in octal; text and bytes as they are, padded with NUL. */
  readonly mode?: number | Bytes;
  readonly uid?: number | Bytes;
  readonly gid?: number | Bytes;
  readonly mtime?: number | Bytes;
  /** Instead of the content's length. */
  readonly size?: number | Bytes;
  readonly prefix?: Bytes;
  readonly format?: 'ustar' | 'gnu' | 'v7';
  /** Records of a PAX header before the entry. */
  readonly pax?: Readonly<Record<string, Bytes>>;
  readonly checksum?: 'right' | 'wrong' | 'signed';
}

const BLOCK = 512;
const MAGIC = { ustar: 'ustar\x0000', gnu: 'ustar  \0', v7: '' } as const;

function bytes(value: Bytes): Buffer {
  return typeof value === 'string' ? Buffer.from(value) : Buffer.from(value);
}

/** An archive of entries and raw pieces, with the end of archive unless told otherwise. */
export function tar(pieces: readonly (EntrySpec | Uint8Array)[], end: Uint8Array = zeros(2)): Buffer {
  const all = pieces.map((piece) => (piece instanceof Uint8Array ? piece : entry(piece)));
  return Buffer.concat([...all, end]);
}

/** `blocks` blocks of zeros. */
export function zeros(blocks: number): Buffer {
  return Buffer.alloc(blocks * BLOCK);
}

/** One entry: PAX header if there are records, header, content, padding. */
export function entry(spec: EntrySpec): Buffer {
  const content = bytes(spec.content ?? '');
  const own = Buffer.concat([header(spec), padded(content)]);
  return spec.pax === undefined ? own : Buffer.concat([pax(spec.pax), own]);
}

/** A PAX extended header of the records, `x` or global `g`. */
export function pax(records: Readonly<Record<string, Bytes>>, type = 'x'): Buffer {
  return rawPax(Buffer.concat(Object.entries(records).map(([key, value]) => paxRecord(key, value))), type);
}

/** A PAX header whose body is whatever is given. */
export function rawPax(body: Bytes, type = 'x'): Buffer {
  return entry({ name: 'PaxHeaders/0', type, content: body });
}

/** `LENGTH KEY=VALUE\n` */
export function paxRecord(key: Bytes, value: Bytes): Buffer {
  const rest = Buffer.concat([
    Buffer.from(' '),
    bytes(key),
    Buffer.from('='),
    bytes(value),
    Buffer.from('\n'),
  ]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** GNU's long name (`L`) or long link (`K`). */
export function longName(name: Bytes, type: 'L' | 'K' = 'L'): Buffer {
  return entry({
    name: '././@LongLink',
    type,
    format: 'gnu',
    content: Buffer.concat([bytes(name), Buffer.alloc(1)]),
  });
}

export function header(spec: EntrySpec): Buffer {
  const block = Buffer.alloc(BLOCK);
  const content = bytes(spec.content ?? '');
  put(block, 0, 100, bytes(spec.name));
  number(block, 100, 8, spec.mode ?? (spec.type === '5' ? 0o755 : 0o644));
  number(block, 108, 8, spec.uid ?? 0);
  number(block, 116, 8, spec.gid ?? 0);
  number(block, 124, 12, spec.size ?? content.length);
  number(block, 136, 12, spec.mtime ?? 1_600_000_000);
  put(block, 156, 1, bytes(spec.type ?? '0'));
  put(block, 157, 100, bytes(spec.link ?? ''));
  put(block, 257, 8, Buffer.from(MAGIC[spec.format ?? 'ustar']));
  if (spec.prefix !== undefined) put(block, 345, 155, bytes(spec.prefix));
  checksum(block, spec.checksum ?? 'right');
  return block;
}

/** Writes the checksum of a block that was changed by hand. */
export function checksum(block: Buffer, kind: 'right' | 'wrong' | 'signed' = 'right'): Buffer {
  block.fill(' ', 148, 156);
  const sum = block.reduce((total, byte) => total + (kind === 'signed' && byte > 127 ? byte - 256 : byte), 0);
  block.write(`${(kind === 'wrong' ? sum + 1 : sum).toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  return block;
}

/** GNU's base-256 form of a number: the first bit set, then two's complement. */
export function base256(value: bigint, length: number): Buffer {
  const field = Buffer.alloc(length);
  let rest = BigInt.asUintN(length * 8, value);
  for (let i = length - 1; i >= 0; i -= 1) {
    field[i] = Number(rest & 0xffn);
    rest >>= 8n;
  }
  field[0] = ((field[0] ?? 0) & 0x7f) | 0x80;
  return field;
}

function number(block: Buffer, at: number, length: number, value: number | Bytes): void {
  if (typeof value !== 'number') put(block, at, length, bytes(value));
  else block.write(value.toString(8).padStart(length - 1, '0'), at, length, 'latin1');
}

function put(block: Buffer, at: number, length: number, value: Uint8Array): void {
  if (value.length > length) throw new Error(`${value.length} bytes do not fit into a field of ${length}`);
  block.set(value, at);
}

function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((BLOCK - (content.length % BLOCK)) % BLOCK)]);
}
