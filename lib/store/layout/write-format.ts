import { writeFileDurable } from '../../sys/files/durable.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { encodeFormat, type StoreFormat } from './format.ts';
import type { Layout } from './layout.ts';
import { trash } from './staging.ts';

/** Writes the marker, so that it outlives a power cut, and then its copy: one of them can always be read. */
export function writeFormat(layout: Layout, format: StoreFormat): void {
  const bytes = encodeFormat(format);
  for (const path of [layout.marker, layout.markerCopy]) write(layout, path, bytes);
}

function write(layout: Layout, path: string, bytes: Uint8Array): void {
  try {
    writeFileDurable(path, bytes, 0o600);
  } catch (error) {
    // A directory in its place, which no rename replaces.
    if (!hasCode(error, 'EISDIR')) throw error;
    trash(layout, path);
    writeFileDurable(path, bytes, 0o600);
  }
}
