/** What two readers make of the same bytes: ours, and tar-stream as the second opinion. */
import { extract, type Header } from 'tar-stream';
import { PluginError } from '../../lib/base/errors/error.ts';
import type { LayerEntry } from '../../lib/layer/tar/entry.ts';
import { TarReader } from '../../lib/layer/tar/reader.ts';
import { sha256 } from '../support/images/unpack.ts';

interface Read {
  readonly name: string;
  readonly kind: string;
  readonly link: string;
  readonly content: string;
}
/** The entries, or why there are none, or what tar-stream is known to read in its own way. */
export type Reading =
  | { readonly entries: readonly Read[] }
  | { readonly refused: string }
  | { readonly known: string };

const MAX_SIZE = 2 ** 40;

export function readOurs(archive: Buffer, chunk: number): Reading {
  const entries: Read[] = [];
  let open: { entry: LayerEntry; parts: Buffer[] } | undefined;
  const reader = new TarReader(
    {
      entry(entry) {
        if (entry.kind === 'file') open = { entry, parts: [] };
        else entries.push(toRead(entry, Buffer.alloc(0)));
      },
      content(bytes) {
        open?.parts.push(Buffer.from(bytes));
      },
      endOfContent() {
        if (open !== undefined) entries.push(toRead(open.entry, Buffer.concat(open.parts)));
        open = undefined;
      },
    },
    MAX_SIZE,
  );
  try {
    for (let at = 0; at < archive.length; at += chunk) reader.push(archive.subarray(at, at + chunk));
    reader.end();
  } catch (error) {
    if (error instanceof PluginError) return { refused: error.code };
    throw error;
  }
  return { entries };
}

function toRead(entry: LayerEntry, content: Buffer): Read {
  const link = entry.kind === 'symlink' || entry.kind === 'hardlink' ? entry.target : '';
  return { name: bare(entry.name), kind: entry.kind, link: bare(link), content: sha256(content) };
}

const KINDS: Readonly<Record<string, string>> = {
  file: 'file',
  'contiguous-file': 'file',
  directory: 'directory',
  symlink: 'symlink',
  link: 'hardlink',
  fifo: 'fifo',
  'character-device': 'device',
  'block-device': 'device',
};

/** Refused also means stuck: tar-stream waits for ever behind some sizes. */
export async function readTarStream(archive: Buffer): Promise<Reading> {
  const entries: Read[] = [];
  // The options have no types.
  const reader = extract({ filenameEncoding: 'latin1', allowUnknownFormat: true } as never);
  const { promise, resolve } = Promise.withResolvers<Reading>();
  reader.on('entry', (header, stream, next) => {
    const parts: Buffer[] = [];
    const known = ownReading(header);
    if (known !== undefined) resolve({ known });
    stream.on('error', () => {});
    stream.on('data', (part) => parts.push(part as Buffer));
    stream.on('end', () => {
      const kind = KINDS[header.type ?? ''] ?? `unknown ${header.type}`;
      const link = kind === 'symlink' || kind === 'hardlink' ? (header.linkname ?? '') : '';
      entries.push({
        name: bare(header.name),
        kind,
        link: bare(link),
        content: sha256(Buffer.concat(parts)),
      });
      next();
    });
  });
  reader.on('finish', () => resolve({ entries }));
  reader.on('error', (error) => resolve({ refused: error.message }));
  try {
    reader.end(archive);
  } catch (error) {
    resolve({ refused: String(error) });
  }
  const stuck = setTimeout(() => resolve({ refused: 'stuck' }), 1000);
  const reading = await promise;
  clearTimeout(stuck);
  reader.destroy();
  return reading;
}

/** Sizes and names may come from a PAX header or a long name, so they are judged where all of it is together. */
function ownReading({ type, name, size }: Header): string | undefined {
  const kind = KINDS[type ?? ''];
  // Go and we do not look for it; of a directory tar-stream waits for it for ever.
  if (kind !== 'file' && size !== 0) return 'content of what has none';
  // It means to make a directory of that, and forgets it; we do for old archives.
  if (kind === 'file' && name.endsWith('/')) return 'a file whose name ends in a slash';
  return undefined;
}

/** tar-stream takes a slash from the end of directories, and PAX for UTF-8: only the plain characters compare. */
function bare(name: string): string {
  return name.replace(/\/$/, '').replace(/[^\x20-\x7e]/g, '');
}
