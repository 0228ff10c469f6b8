import { isPluginError } from '../../base/errors/error.ts';
import { SysError } from '../../sys/kernel/errno.ts';

/** Something that should be gone and would not go. */
export interface LeftOver {
  readonly path: string;
  /** Why, as a system call answered. */
  readonly errno?: string | undefined;
}

/** Runs a step that removes `path`, and adds what it could not remove to `left`. @throws what the step throws */
export async function noting(left: LeftOver[], path: string, step: () => unknown): Promise<void> {
  try {
    await step();
  } catch (error) {
    left.push(leftOver(path, error));
    throw error;
  }
}

/** Named as exactly as the error does it. */
export function leftOver(path: string, error: unknown): LeftOver {
  if (isPluginError(error, 'IMAGE_DELETE_FAILED'))
    return { path: error.subject.at, errno: error.subject.errno };
  if (error instanceof SysError)
    return { path: error.path.startsWith('/') ? error.path : path, errno: error.code };
  return { path };
}
