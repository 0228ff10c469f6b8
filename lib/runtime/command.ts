/** Looks for the command of a process in its root filesystem, so that a mistake has a sentence and an exit code. */
import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { hasCode } from '../sys/kernel/errno.ts';
import { close, openAt, openat2, RESOLVE } from '../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../sys/kernel/libc.ts';
import { S, statFd } from '../sys/kernel/stat.ts';
import { DEFAULT_PATH } from './spec.ts';

export interface StartedProcess {
  readonly args?: readonly string[];
  readonly env?: readonly string[];
  readonly cwd: string;
}

/**
 * Checks that the first argument is a file that can be executed, with the root filesystem as `/`: links stay inside.
 * @param image for the sentence where there is no command
 * @throws RUN_NO_COMMAND, RUN_COMMAND_MISSING, RUN_COMMAND_NOT_EXECUTABLE
 */
export function requireCommand(rootfs: string, started: StartedProcess, image: string): void {
  const [command] = started.args ?? [];
  if (command === undefined || command === '') throw new PluginError('RUN_NO_COMMAND', { image });
  const path = (started.env ?? []).findLast((entry) => entry.startsWith('PATH='))?.slice('PATH='.length);
  const searched = command.includes('/') ? [started.cwd] : (path ?? DEFAULT_PATH).split(':');
  const root = openAt(AT_FDCWD, rootfs, O.PATH | O.DIRECTORY);
  try {
    let reason: string | undefined;
    for (const directory of searched) {
      const found = look(root, command.startsWith('/') ? command : `${directory}/${command}`);
      if (found === 'executable') return;
      reason ??= found;
    }
    const shown = printable(command);
    if (reason !== undefined) throw new PluginError('RUN_COMMAND_NOT_EXECUTABLE', { command: shown, reason });
    throw new PluginError('RUN_COMMAND_MISSING', { command: shown, searched: printable(searched.join(':')) });
  } finally {
    close(root);
  }
}

/** `executable`, the reason why it is not, or undefined where nothing has the name. */
function look(root: number, path: string): string | undefined {
  try {
    const fd = openat2(root, path, O.PATH, 0, RESOLVE.IN_ROOT | RESOLVE.NO_MAGICLINKS);
    try {
      const { mode } = statFd(fd);
      if ((mode & S.IFMT) === S.IFDIR) return 'it is a directory';
      if ((mode & S.IFMT) !== S.IFREG) return 'it is not a file';
      return (mode & 0o111) === 0 ? 'its mode has no execute permission' : 'executable';
    } finally {
      close(fd);
    }
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    if (hasCode(error, 'ELOOP')) return 'it is a loop of symbolic links';
    if (hasCode(error, 'ENAMETOOLONG')) return 'its name is too long';
    throw error;
  }
}
