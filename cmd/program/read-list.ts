/** Reads a list that a person wrote: images of a pull, wishes of a publication. */
import { PluginError } from '../../lib/base/errors/error.ts';
import { MiB } from '../../lib/base/limits.ts';
import { printable } from '../../lib/base/text.ts';
import { SysError } from '../../lib/sys/kernel/errno.ts';
import { readFile } from '../../lib/sys/kernel/read.ts';

const MAX_LIST_BYTES = 8 * MiB;

/**
 * The text of the file.
 * @throws `code`, with the path and the reason, where the file cannot be read, is larger than 8 MiB or is not UTF-8
 */
export function readList(path: string, code: 'CACHE_LIST' | 'PUBLISH_WISH_LIST'): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(readFile(path, MAX_LIST_BYTES));
  } catch (error) {
    if (!(error instanceof SysError) && !(error instanceof TypeError)) throw error;
    const reason = error instanceof SysError ? printable(error.message) : 'it is not UTF-8';
    throw new PluginError(code, { path, reason }, { cause: error });
  }
}
