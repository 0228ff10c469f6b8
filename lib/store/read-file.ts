import { PluginError } from '../base/errors/error.ts';
import { hasCode } from '../sys/errno.ts';
import { readTextIfThere } from '../sys/look.ts';

/** What reading answers where a file of the store is damaged, and what that is in words. */
const DAMAGE: Readonly<Record<string, string>> = {
  EISDIR: 'it is a directory',
  EIO: 'it cannot be read (input/output error)',
  EUCLEAN: 'the filesystem is damaged there',
  EFBIG: 'it is too large',
};

/** A file whose content can be found out again: a damaged one is as good as none. @throws SysError */
export function readFact(path: string, limit: number): string | undefined {
  try {
    return readTextIfThere(path, limit);
  } catch (error) {
    if (hasCode(error, ...Object.keys(DAMAGE))) return undefined;
    throw error;
  }
}

/** A file that nothing can replace; undefined when there is none. @throws STORE_DAMAGED, SysError */
export function readRecord(path: string, limit: number): string | undefined {
  try {
    return readTextIfThere(path, limit);
  } catch (error) {
    const reason = DAMAGE[(error as { code?: string }).code ?? ''];
    if (reason === undefined) throw error;
    throw new PluginError('STORE_DAMAGED', { path, reason }, { cause: error });
  }
}
