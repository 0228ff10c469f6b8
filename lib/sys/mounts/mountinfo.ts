import { AT_FDCWD, AT_SYMLINK_NOFOLLOW, check, cpath, nr, type PathBytes, syscall } from '../kernel/libc.ts';
import { readFile } from '../kernel/read.ts';

/** A line of /proc/self/mountinfo (proc_pid_mountinfo(5)). */
export interface Mount {
  readonly id: number;
  /** Id of the parent mount; the mount's own id at the top of the tree. */
  readonly parent: number;
  readonly major: number;
  readonly minor: number;
  /** The directory of the filesystem that is mounted: `/`, except for bind mounts. */
  readonly root: string;
  /**
   * Bytes that are not UTF-8 become lone surrogates (U+DC80…U+DCFF), so that no two paths become equal; see
   * `mountPathBytes`.
   */
  readonly mountPoint: string;
  /** Options of this mount: `rw`, `nosuid`, `noatime` and others. */
  readonly options: readonly string[];
  readonly fsType: string;
  readonly source: string;
  /** Options of the filesystem: `prjquota`, `lowerdir=…`. */
  readonly superOptions: readonly string[];
}

const LF = 10;
const SPACE = 32;

/**
 * Every mount of this mount namespace, in the kernel's order. With hundreds of overlay mounts the file has a megabyte.
 * Verbs that Garden calls often use `isMountRoot` or `mountOf` instead.
 */
export function readMountinfo(): Mount[] {
  return parseMountinfo(readTable());
}

/**
 * Returns a check whether a text stands in a line of the table of mounts that has `among` too. Of hundreds of mounts, none
 * is parsed.
 */
export function mountLines(among: string): (text: string) => boolean {
  const lines = [...linesOf(readTable())].filter((line) => line.includes(among));
  return (text) => lines.some((line) => line.includes(text));
}

/** Leaves out lines that do not follow the format: they come from a kernel that graft does not know. */
export function parseMountinfo(bytes: Uint8Array): Mount[] {
  const mounts: Mount[] = [];
  for (const line of linesOf(bytes)) {
    const mount = parseLine(line);
    if (mount) mounts.push(mount);
  }
  return mounts;
}

/** Returns true when something is mounted exactly at `path`. A link at the end of `path` is not followed. */
export function isMountRoot(path: PathBytes): boolean {
  return statMount(path).isRoot;
}

/** The mount at the mount point `path`, the topmost where several are stacked. Undefined where nothing is mounted. */
export function mountAt(path: string): Mount | undefined {
  let found: { id: number; isRoot: boolean };
  try {
    found = statMount(path);
  } catch {
    // The path is missing or cannot be reached, so no process can use a mount there.
    return undefined;
  }
  return found.isRoot ? byId(found.id) : undefined;
}

/** The mount that holds `path`. Undefined only when the mount was removed in between. @throws SysError ENOENT */
export function mountOf(path: string): Mount | undefined {
  return byId(statMount(path).id);
}

/** The raw bytes of the mount point, for calls that take paths. */
export function mountPathBytes(mount: Mount): Uint8Array {
  return encode(mount.mountPoint);
}

/**
 * Size limit for the table. 500 overlays with 500 lowers each have 15 MB of lines; the kernel allows 100,000 mounts
 * (fs.mount-max).
 */
const MAX_TABLE_BYTES = 1 << 30;

function readTable(): Uint8Array {
  return readFile('/proc/self/mountinfo', MAX_TABLE_BYTES);
}

function byId(id: number): Mount | undefined {
  const start = `${id} `;
  for (const line of linesOf(readTable())) {
    if (line.toString('latin1', 0, start.length) === start) return parseLine(line);
  }
  return undefined;
}

/**
 * AT_STATX_DONT_SYNC: the kernel does not ask a FUSE daemon, which may hang. AT_NO_AUTOMOUNT: the call mounts nothing.
 */
const LOOK = AT_SYMLINK_NOFOLLOW | 0x4000 | 0x800;
const STATX_MNT_ID = 0x1000;
const STATX_ATTR_MOUNT_ROOT = 0x2000n;
const statxBytes = new Uint8Array(256);
const statxView = new DataView(statxBytes.buffer);

/**
 * The mount's id, and whether `path` is its root, from statx(2): both since Linux 5.8, and cheaper than parsing
 * mountinfo.
 */
function statMount(path: PathBytes): { id: number; isRoot: boolean } {
  check(syscall(nr.statx, AT_FDCWD, cpath(path), LOOK, STATX_MNT_ID, statxBytes), 'statx', path);
  return {
    id: Number(statxView.getBigUint64(144, true)),
    isRoot: (statxView.getBigUint64(8, true) & STATX_ATTR_MOUNT_ROOT) !== 0n,
  };
}

function* linesOf(bytes: Uint8Array): Generator<Buffer> {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let at = 0; at < buffer.length; ) {
    const found = buffer.indexOf(LF, at);
    const end = found < 0 ? buffer.length : found;
    if (end > at) yield buffer.subarray(at, end);
    at = end + 1;
  }
}

/**
 * `36 35 98:0 /root /mnt rw,noatime master:1 - ext3 /dev/sda rw,errors=continue`. Any number of fields may stand before
 * `-`.
 */
function parseLine(line: Buffer): Mount | undefined {
  const fields = fieldsOf(line);
  const dash = fields.findIndex((field, at) => at >= 6 && field.length === 1 && field[0] === 0x2d);
  const [id, parent, device, root, mountPoint, options] = fields;
  const [fsType, source, superOptions] = dash < 0 ? [] : fields.slice(dash + 1);
  if (!id || !parent || !device || !root || !mountPoint || !options || !fsType || !source) return undefined;
  const numbers = /^(\d+) (\d+) (\d+):(\d+)$/.exec(`${id} ${parent} ${device}`);
  if (!numbers) return undefined;
  return {
    id: Number(numbers[1]),
    parent: Number(numbers[2]),
    major: Number(numbers[3]),
    minor: Number(numbers[4]),
    root: decode(root),
    mountPoint: decode(mountPoint),
    options: decode(options).split(','),
    fsType: decode(fsType),
    source: decode(source),
    superOptions: superOptions ? decode(superOptions).split(',') : [],
  };
}

/** Splits the line at single blanks. An empty source gives an empty field, and the kernel escapes blanks in names. */
function fieldsOf(line: Buffer): Buffer[] {
  const fields: Buffer[] = [];
  let from = 0;
  for (let at = 0; at <= line.length; at += 1) {
    if (at !== line.length && line[at] !== SPACE) continue;
    fields.push(line.subarray(from, at));
    from = at + 1;
  }
  return fields;
}

let decoder: TextDecoder | undefined;
function strictly(bytes: Uint8Array): string {
  decoder ??= new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  return decoder.decode(bytes);
}

/** Undoes the kernel's octal escapes (blank, tab, newline, backslash, `#`). Every byte stays distinct. */
function decode(field: Buffer): string {
  const bytes = field.includes(0x5c) ? unescapeOctal(field) : field;
  try {
    return strictly(bytes);
  } catch {
    return decodeLossless(bytes);
  }
}

function unescapeOctal(field: Buffer): Buffer {
  const text = field.toString('latin1');
  const plain = text.replace(/\\([0-3][0-7]{2})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
  return Buffer.from(plain, 'latin1');
}

/**
 * Valid UTF-8 becomes text, and every other byte becomes U+DC00 + byte. UTF-8 cannot encode those, so no two inputs
 * give the same text.
 */
function decodeLossless(bytes: Buffer): string {
  let text = '';
  for (let at = 0; at < bytes.length; ) {
    const length = sequenceLength(bytes, at);
    text +=
      length === 0
        ? String.fromCharCode(0xdc00 + (bytes[at] ?? 0))
        : strictly(bytes.subarray(at, at + length));
    at += Math.max(1, length);
  }
  return text;
}

function sequenceLength(bytes: Buffer, at: number): number {
  for (let length = 1; length <= 4 && at + length <= bytes.length; length += 1) {
    try {
      strictly(bytes.subarray(at, at + length));
      return length;
    } catch {
      // A longer sequence, or no valid sequence.
    }
  }
  return 0;
}

function encode(text: string): Uint8Array {
  const parts = text
    .split(/([\udc80-\udcff]+)/u)
    .map((part, at) =>
      at % 2 === 0 ? Buffer.from(part) : Buffer.from([...part].map((c) => c.charCodeAt(0) - 0xdc00)),
    );
  return Buffer.concat(parts);
}
