import { PluginError } from '../../lib/base/errors/error.ts';
import { readUpTo } from '../../lib/sys/kernel/read.ts';
import { isTerminal } from '../terminal/terminal.ts';

/** Tokens of registries have a few kilobytes. */
const MAX_BYTES = 64 * 1024;
const STDIN = 0;

/**
 * The password on standard input, without the newline at its end.
 * @param password of the command line, which would be a second one
 * @throws CLI_PASSWORD_STDIN
 */
export function passwordFromStdin(password: string | undefined): string {
  const refuse = (reason: string) => new PluginError('CLI_PASSWORD_STDIN', { reason });
  if (password !== undefined) throw refuse('--password gives another one');
  if (isTerminal(STDIN))
    throw refuse('standard input is a terminal, which would show it; use a pipe or a file');
  const text = new TextDecoder()
    .decode(readUpTo(STDIN, MAX_BYTES + 1, 'standard input'))
    .replace(/\r?\n$/, '');
  if (text === '') throw refuse('standard input is empty');
  if (text.length > MAX_BYTES || /[\r\n\0]/.test(text)) throw refuse('standard input has more than one line');
  return text;
}
