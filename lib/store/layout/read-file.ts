import { PluginError } from '../../base/errors/error.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { readOwnFile } from '../../sys/kernel/read.ts';

/**
 * What reading answers where a file of the store is damaged, and what that is in words. A pipe is opened without waiting
 * for a writer, and a link is not followed: graft makes neither.
 */
const DAMAGE: Readonly<Record<string, string>> = {
  EISDIR: 'it is a directory',
  ELOOP: 'it is a symbolic link',
  EAGAIN: 'it is a pipe',
  ENXIO: 'it is a socket or a device',
  ENODEV: 'it is a device',
  EIO: 'it cannot be read (input/output error)',
  EUCLEAN: 'the filesystem is damaged there',
  EFBIG: 'it is too large',
};
const DAMAGED = Object.keys(DAMAGE);
/** The only writer is root's own: such a file is missing, whatever stands in a directory's place above it. */
const ABSENT = ['ENOENT', 'ENOTDIR'];

const decoder = new TextDecoder();

/** A file whose content can be found out again: a damaged one is as good as none. @throws SysError */
export function readFact(path: string, limit: number): string | undefined {
  const bytes = readFactBytes(path, limit);
  return bytes && decoder.decode(bytes);
}

/** As `readFact`. */
export function readFactBytes(path: string, limit: number): Uint8Array | undefined {
  try {
    return readOwnFile(path, limit);
  } catch (error) {
    if (hasCode(error, ...ABSENT, ...DAMAGED)) return undefined;
    throw error;
  }
}

/** A file that nothing can replace; undefined when there is none. @throws STORE_DAMAGED, SysError */
export function readRecord(path: string, limit: number): string | undefined {
  const bytes = readRecordBytes(path, limit);
  return bytes && decoder.decode(bytes);
}

/** As `readRecord`. */
export function readRecordBytes(path: string, limit: number): Uint8Array | undefined {
  try {
    return readOwnFile(path, limit);
  } catch (error) {
    if (hasCode(error, ...ABSENT)) return undefined;
    const reason = DAMAGE[(error as { code?: string }).code ?? ''];
    if (reason === undefined) throw error;
    throw new PluginError('STORE_DAMAGED', { path, reason }, { cause: error });
  }
}
