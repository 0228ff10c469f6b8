import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { hasCode } from '../sys/kernel/errno.ts';

/** Turns an error of a full disk into one that names the result. @throws EXPORT_NO_SPACE, and what `work` throws */
export async function withoutRoom<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!hasCode(error, 'ENOSPC', 'EDQUOT')) throw error;
    throw new PluginError('EXPORT_NO_SPACE', { path: printable(path) }, { cause: error });
  }
}
