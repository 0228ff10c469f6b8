import { isPluginError } from '../../base/errors/error.ts';
import { SysError } from '../../sys/kernel/errno.ts';

/** A file or directory that should have been removed and could not be. */
export interface LeftOver {
  readonly path: string;
  /** The errno of the system call that failed. */
  readonly errno?: string | undefined;
}

/** Runs a step that removes `path`, and adds what it could not remove to `left`. @throws the errors of the step */
export async function noting(left: LeftOver[], path: string, step: () => unknown): Promise<void> {
  try {
    await step();
  } catch (error) {
    left.push(leftOver(path, error));
    throw error;
  }
}

/** The left-over of an error: with the error's own path, where it has a more exact one. */
export function leftOver(path: string, error: unknown): LeftOver {
  if (isPluginError(error, 'IMAGE_DELETE_FAILED'))
    return { path: error.subject.at, errno: error.subject.errno };
  if (error instanceof SysError)
    return { path: error.path.startsWith('/') ? error.path : path, errno: error.code };
  return { path };
}
