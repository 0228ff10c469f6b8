/** Runs gpgv, which verifies one OpenPGP message with the keys of given keyrings. */
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import { PluginError } from '../../base/errors/error.ts';

/** The answer of gpgv. */
export interface Verified {
  readonly payload: Uint8Array;
  /** The lines that gpgv writes for programs, without their prefix. */
  readonly status: readonly string[];
  readonly code: number;
}

export interface GpgvOptions {
  /** Directories with programs, colon-separated. */
  readonly path: string;
  /** The most bytes of the message's content. A compressed message of a megabyte can hold a gigabyte. */
  readonly maxPayload: number;
}

const PROGRAM = 'gpgv';
/** gpgv needs some ten milliseconds for a signature, and seconds on a machine under load. */
const TIME_LIMIT_MS = 60_000;
/** Some twenty lines; user ids are in them, which a key may have many of. */
const MAX_STATUS = 256 * 1024;
const PREFIX = '[GNUPG:] ';
/** No home directory: there could be keys in one. */
const OPTIONS = ['--homedir', '/nonexistent', '--status-fd', '2', '--logger-fd', '3'];

/** The message holds more than `maxPayload` bytes, or makes gpgv say more than it can have to say. */
export class TooMuch extends Error {}

/** Whether gpgv is there: its path, or undefined. */
export function findGpgv(path: string): string | undefined {
  for (const directory of path.split(':')) {
    // A relative entry would run a program from the working directory, as root.
    if (!directory.startsWith('/')) continue;
    try {
      accessSync(`${directory}/${PROGRAM}`, constants.X_OK);
      return `${directory}/${PROGRAM}`;
    } catch {
      // The next directory may have it.
    }
  }
  return undefined;
}

/**
 * Verifies a message. gpgv gets no environment and no home directory, so that only the keyrings decide.
 * @param keyrings paths of keyrings without armour
 * @throws TRUST_GPGV when gpgv is not there or does not end in time; TooMuch
 */
export async function runGpgv(
  message: Uint8Array,
  keyrings: readonly string[],
  { path, maxPayload }: GpgvOptions,
  signal: AbortSignal,
): Promise<Verified> {
  signal.throwIfAborted();
  const program = findGpgv(path);
  if (program === undefined) throw failed(`it is not in ${path}`);
  const rings = keyrings.flatMap((ring) => ['--keyring', ring]);
  const child = spawn([program, ...OPTIONS, ...rings, '--output', '-', '--', '-'], message);
  const { promise: stopped, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => reject(failed(`it does not end in ${TIME_LIMIT_MS / 1000} s`)),
    TIME_LIMIT_MS,
  );
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  try {
    const work = Promise.all([
      collect(child.stdout, maxPayload),
      collect(child.stderr, MAX_STATUS),
      child.exited,
    ]);
    const [payload, status, code] = await Promise.race([work, stopped]);
    return { payload, status: linesOf(status), code };
  } catch (error) {
    killGroup(child.pid);
    throw error;
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', onAbort);
  }
}

/**
 * Starts gpgv with its lines for people on a descriptor of their own: in a stream with those for programs, a name in a
 * message could be taken for one of them.
 */
function spawn(command: string[], message: Uint8Array): Bun.Subprocess<Uint8Array, 'pipe', 'pipe'> {
  const nowhere = openSync('/dev/null', 'w');
  try {
    return Bun.spawn(command, {
      env: { LC_ALL: 'C' },
      cwd: '/',
      stdio: [message, 'pipe', 'pipe', nowhere],
      // A process group of its own, which is killed at a limit.
      detached: true,
    });
  } finally {
    closeSync(nowhere);
  }
}

async function collect(stream: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of stream) {
    size += chunk.length;
    if (size > limit) throw new TooMuch();
    chunks.push(chunk);
  }
  return Buffer.concat(chunks, size);
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: all processes of the group have ended.
  }
}

function linesOf(status: Uint8Array): string[] {
  return Buffer.from(status)
    .toString('utf8')
    .split('\n')
    .filter((line) => line.startsWith(PREFIX))
    .map((line) => line.slice(PREFIX.length));
}

function failed(reason: string): PluginError<'TRUST_GPGV'> {
  return new PluginError('TRUST_GPGV', { reason });
}
