/**
 * The child that reads a layer of a CVMFS repository: `graft` started again with a verb for this purpose. The child reads
 * its request from descriptor 0 and writes an archive to descriptor 1.
 */
import { type ArchiveRequest, writeArchive } from '../lib/cvmfs/layer-archive.ts';
import { SysError } from '../lib/sys/kernel/errno.ts';
import { writeAll } from '../lib/sys/kernel/files.ts';
import { readToEnd } from '../lib/sys/kernel/read.ts';

/** A layer that has no entry for any of its directories names them all. */
const MAX_REQUEST = 64 * 1024 * 1024;

/** Answers a single request. @returns the exit status */
export async function runArchiveChild(): Promise<number> {
  const text = new TextDecoder().decode(readToEnd(0, MAX_REQUEST, 'stdin'));
  const request = JSON.parse(text) as ArchiveRequest;
  try {
    await writeArchive(request, (bytes) => writeAll(1, bytes));
    return 0;
  } catch (error) {
    // The parent sees the status alone: it says that the archive is not complete.
    if (error instanceof SysError) return 1;
    throw error;
  }
}
