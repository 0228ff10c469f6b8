import { writeFileDurable } from '../../sys/files/durable.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { encodeFormat, type StoreFormat } from './format.ts';
import type { Layout } from './layout.ts';
import { trash } from './staging.ts';

/**
 * Writes the marker so that it survives a power cut, and then its copy: at any moment at least one of them can be
 * read.
 */
export function writeFormat(layout: Layout, format: StoreFormat): void {
  const bytes = encodeFormat(format);
  for (const path of [layout.marker, layout.markerCopy]) write(layout, path, bytes);
}

function write(layout: Layout, path: string, bytes: Uint8Array): void {
  try {
    writeFileDurable(path, bytes, 0o600);
  } catch (error) {
    // A directory is at the marker's path: a rename cannot replace it.
    if (!hasCode(error, 'EISDIR')) throw error;
    trash(layout, path);
    writeFileDurable(path, bytes, 0o600);
  }
}
