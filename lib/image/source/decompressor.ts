/**
 * xz and bzip2, which the runtime cannot read: the system's own programs inflate such files. Every distribution has both,
 * since its packages need them.
 */
import { closeSync, openSync } from 'node:fs';
import { PluginError } from '../../base/errors/error.ts';
import { oneLine } from '../../base/text.ts';
import { hasCode } from '../../sys/kernel/errno.ts';

/** A format that a program of this name reads. */
export type ProgramFormat = 'xz' | 'bzip2';

/** The formats by their first bytes (xz-file-format.txt, 2.1.1.1; bzip2 has only this in its manual). */
const MAGIC: readonly (readonly [ProgramFormat, readonly number[]])[] = [
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00]],
  ['bzip2', [0x42, 0x5a, 0x68]],
];

/**
 * `xz -9` needs 65 MiB to inflate, and a file may ask for 4 GiB. The bound is for the program, whose memory counts beside
 * that of graft.
 */
const XZ_MEMORY = '--memlimit-decompress=128MiB';
const ARGUMENTS: Readonly<Record<ProgramFormat, readonly string[]>> = {
  xz: ['--decompress', '--stdout', '--no-warn', XZ_MEMORY],
  bzip2: ['--decompress', '--stdout'],
};
/** A program says in a line what is wrong. */
const MAX_MESSAGE = 1024;

/** The format of a file that needs a program. @param first its first bytes, six or more */
export function programFormat(first: Uint8Array): ProgramFormat | undefined {
  return MAGIC.find(([, magic]) => magic.every((byte, at) => first[at] === byte))?.[0];
}

/**
 * Inflates a file from its start. The program runs as long as the iteration, which ends it.
 * @param path where the program is looked for
 * @throws IMAGE_NEEDS_PROGRAM, LAYER_BAD_COMPRESSION with what the program says, SysError of open(2)
 */
export async function* inflate(
  file: string,
  format: ProgramFormat,
  path: string,
): AsyncGenerator<Uint8Array> {
  const child = start(file, format, path);
  const message = beginningOf(child.stderr);
  const reader = child.stdout.getReader();
  try {
    for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) yield chunk.value;
    if ((await child.exited) !== 0) throw refused(format, await message);
  } finally {
    child.kill('SIGKILL');
    await child.exited;
  }
}

function start(file: string, format: ProgramFormat, path: string) {
  const input = openSync(file, 'r');
  try {
    return Bun.spawn([format, ...ARGUMENTS[format]], {
      env: { LC_ALL: 'C', PATH: path },
      cwd: '/',
      stdio: [input, 'pipe', 'pipe'],
    });
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'EACCES'))
      throw new PluginError('IMAGE_NEEDS_PROGRAM', { path: file, program: format });
    throw error;
  } finally {
    closeSync(input);
  }
}

async function beginningOf(stream: ReadableStream<Uint8Array>): Promise<string> {
  let text = '';
  const decoder = new TextDecoder();
  for await (const chunk of stream) if (text.length < MAX_MESSAGE) text += decoder.decode(chunk);
  return text.slice(0, MAX_MESSAGE);
}

/** The program calls its input `(stdin)`, which says nothing to a reader. */
function refused(format: ProgramFormat, message: string): PluginError {
  const [first = ''] = message.trim().split('\n', 1);
  const said = oneLine(first.replace(/^(xz|bzip2): (\(stdin\): )?/, '').replace(/;$/, ''));
  const reason = said === '' ? `${format} refuses it` : `${format} says: ${said}`;
  return new PluginError('LAYER_BAD_COMPRESSION', { kind: format, reason });
}
