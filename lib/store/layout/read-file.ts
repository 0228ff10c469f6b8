import { PluginError } from '../../base/errors/error.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { readOwnFile } from '../../sys/kernel/read.ts';

/**
 * The error codes of reading a damaged file of the store, each with the damage in words. Reading opens a pipe without
 * waiting for a writer, and does not follow a link; graft makes neither in the store.
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
/** ENOTDIR means that a file replaces a parent directory: then the file that is looked for does not exist either. */
const ABSENT = ['ENOENT', 'ENOTDIR'];

const decoder = new TextDecoder();

/** Reads a file whose content graft can find out again: a damaged file counts as missing. @throws SysError */
export function readFact(path: string, limit: number): string | undefined {
  const bytes = readFactBytes(path, limit);
  return bytes && decoder.decode(bytes);
}

/** The same as `readFact`, as bytes. */
export function readFactBytes(path: string, limit: number): Uint8Array | undefined {
  try {
    return readOwnFile(path, limit);
  } catch (error) {
    if (hasCode(error, ...ABSENT, ...DAMAGED)) return undefined;
    throw error;
  }
}

/**
 * Reads a file whose content cannot be found out again; undefined when the file does not exist. @throws
 * STORE_DAMAGED, SysError
 */
export function readRecord(path: string, limit: number): string | undefined {
  const bytes = readRecordBytes(path, limit);
  return bytes && decoder.decode(bytes);
}

/** The same as `readRecord`, as bytes. */
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
