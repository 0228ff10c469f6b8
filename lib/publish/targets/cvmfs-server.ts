/**
 * The release manager's tool of CernVM-FS: exactly `cvmfs_server <ingest|transaction|publish|abort|list>`. The repository's
 * name is always the last argument, since the tool takes the last one for it whatever comes before.
 *
 * A record of the call that runs now survives a killed publisher. The next one aborts the transaction that such a call left
 * open, and no other.
 */
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { oneLine } from '../../base/text.ts';
import { replaceFile } from '../../sys/files/durable.ts';
import { hasCode } from '../../sys/kernel/errno.ts';
import { close, unlinkAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { lookIfThere, readTextIfThere } from '../../sys/kernel/look.ts';
import { openPipe } from '../../sys/kernel/pipe.ts';
import { formatOwner, isAlive, ownerOf, parseOwner } from '../../sys/kernel/process.ts';
import { CutSafePipe } from './cut-safe-pipe.ts';

export interface ServerOptions {
  /** The repository's fully qualified name. */
  readonly repository: string;
  readonly program: string;
  /** The environment of the program. */
  readonly env: Readonly<Record<string, string>>;
  /** The file for the record of the running call. */
  readonly record: string;
  /** The server's own directory for the repository, in which a file marks an open transaction. */
  readonly spool: string;
}

/** Between the start of a call and the moment when its transaction is open, on a busy server. */
const OPENING_SECONDS = 30;
/** The tool puts them all into one argument of another program, of which Linux takes 128 KiB. */
const PATHS_AT_A_TIME = 200;
const MAX_SAID = 2000;
const MAX_RECORD = 4096;

interface Call {
  /** Seconds since 1970. */
  readonly started: number;
  /** The process of the tool, as `formatOwner` writes it. */
  readonly process: string;
}

export class CvmfsServer {
  readonly #options: ServerOptions;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /**
   * Aborts the transaction of a killed publisher. @throws PUBLISH_TRANSACTION for one of somebody else, PUBLISH_BUSY while the
   * call of a killed publisher goes on
   */
  async recover(): Promise<void> {
    const call = this.#readCall();
    const process = call && parseOwner(call.process);
    if (process !== undefined && isAlive(process))
      throw new PluginError('PUBLISH_BUSY', {
        target: `cvmfs:${this.#options.repository}`,
        pid: process.pid,
      });
    const { isOpen } = await this.list();
    if (isOpen && !(call !== undefined && this.#isTransactionOf(call)))
      throw new PluginError('PUBLISH_TRANSACTION', { repository: this.#options.repository });
    if (isOpen) await this.#run(['abort', '-f']);
    this.#forgetCall();
  }

  /** @throws PUBLISH_SERVER where the tool does not know the repository */
  async list(): Promise<{ readonly isOpen: boolean; readonly hasGateway: boolean }> {
    const { repository } = this.#options;
    const { said } = await this.#start(['list'], undefined);
    const line = said.split('\n').find((text) => text.startsWith(`${repository} `));
    if (line === undefined) throw this.#failed(['list'], 'exit status 0', `no repository ${repository}`);
    return { isOpen: line.includes(' - in transaction'), hasGateway: /\/ gw[ )]/.test(line) };
  }

  /**
   * Publishes the archive that `write` gives in one transaction. When `write` fails, the tool is killed before it sees the end
   * of its input. @throws PUBLISH_SERVER, and what `write` throws
   */
  async ingest(write: (pipe: CutSafePipe) => Promise<void>): Promise<void> {
    await this.#changing(() => this.#run(['ingest', '-t', '-', '-b', '/', '-k'], write));
  }

  /** Removes paths without a colon, which the tool takes for a separator. */
  async remove(paths: readonly string[]): Promise<void> {
    if (paths.length === 0) return;
    const { hasGateway } = await this.list();
    // A gateway takes one path at a time.
    const atATime = hasGateway ? 1 : PATHS_AT_A_TIME;
    for (let at = 0; at < paths.length; at += atATime) {
      const some = paths.slice(at, at + atATime);
      await this.#changing(() => this.#run(['ingest', ...some.flatMap((path) => ['-d', path])]));
    }
  }

  /** Runs `change` on the writable mount, and publishes what it did. */
  async transaction(change: () => void): Promise<void> {
    await this.#changing(async () => {
      await this.#run(['transaction']);
      try {
        change();
        await this.#run(['publish']);
      } catch (error) {
        await this.#abortOwn();
        throw error;
      }
    });
  }

  /** The record is there while `work` may have a transaction open. */
  async #changing(work: () => Promise<void>): Promise<void> {
    this.#remember({ started: Math.floor(Date.now() / 1000), process: '' });
    try {
      await work();
    } catch (error) {
      // A tool that ends by itself has aborted its transaction, or could not open one.
      if (!isPluginError(error, 'PUBLISH_SERVER') || !error.subject.ended) await this.#abortOwn();
      this.#forgetCall();
      throw error;
    }
    this.#forgetCall();
  }

  async #run(args: readonly string[], write?: (pipe: CutSafePipe) => Promise<void>): Promise<void> {
    await this.#start(args, write);
  }

  /** After a killed tool or a failed change. An error of the abort is less than the one that led to it. */
  async #abortOwn(): Promise<void> {
    try {
      const call = this.#readCall();
      if (call === undefined || !this.#isTransactionOf(call)) return;
      await this.#start(['abort', '-f'], undefined);
    } catch (error) {
      if (!isPluginError(error, 'PUBLISH_SERVER')) throw error;
    }
  }

  async #start(
    args: readonly string[],
    write: ((pipe: CutSafePipe) => Promise<void>) | undefined,
  ): Promise<{ readonly said: string }> {
    const { program, repository, env } = this.#options;
    const words = args[0] === 'list' ? [...args] : [...args, repository];
    const ends = write === undefined ? undefined : openPipe();
    let child: ReturnType<typeof spawnTool>;
    try {
      child = spawnTool([program, ...words], env, ends?.reader ?? 'ignore');
    } catch (error) {
      if (ends !== undefined) close(ends.writer);
      throw this.#failed(words, 'it does not start', error instanceof Error ? error.message : String(error));
    } finally {
      if (ends !== undefined) close(ends.reader);
    }
    this.#noteProcess(child.pid);
    const said = Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
    if (ends !== undefined && write !== undefined) await feed(new CutSafePipe(ends.writer), write, child.pid);
    const status = await child.exited;
    const [out, err] = await said;
    if (status === 0) return { said: out };
    const signal = child.signalCode;
    throw this.#failed(
      words,
      signal === null ? `exit status ${status}` : String(signal),
      err || out,
      signal === null,
    );
  }

  #failed(words: readonly string[], status: string, says: string, ended = true): PluginError {
    const command = ['cvmfs_server', ...words].join(' ');
    return new PluginError('PUBLISH_SERVER', {
      command: oneLine(command),
      status,
      says: oneLine(says.slice(-MAX_SAID)),
      ended,
    });
  }

  /** The mark of a transaction is made when it opens, and a foreign one would have been opened later. */
  #isTransactionOf({ started }: Call): boolean {
    const mark = lookIfThere(`${this.#options.spool}/in_transaction.lock`);
    if (mark === undefined) return false;
    return mark.mtime.sec >= started && mark.mtime.sec <= started + OPENING_SECONDS;
  }

  #noteProcess(pid: number): void {
    const call = this.#readCall();
    const process = ownerOf(pid);
    if (call !== undefined && process !== undefined)
      this.#remember({ ...call, process: formatOwner(process) });
  }

  #remember(call: Call): void {
    replaceFile(this.#options.record, Buffer.from(JSON.stringify(call)), 0o600);
  }

  #readCall(): Call | undefined {
    const text = readTextIfThere(this.#options.record, MAX_RECORD);
    if (text === undefined) return undefined;
    try {
      const { started, process } = JSON.parse(text) as Partial<Call>;
      return typeof started === 'number' && typeof process === 'string' ? { started, process } : undefined;
    } catch (error) {
      if (error instanceof SyntaxError) return undefined;
      throw error;
    }
  }

  #forgetCall(): void {
    try {
      unlinkAt(AT_FDCWD, this.#options.record);
    } catch (error) {
      if (!hasCode(error, 'ENOENT')) throw error;
    }
  }
}

function spawnTool(command: string[], env: Readonly<Record<string, string>>, stdin: number | 'ignore') {
  return Bun.spawn(command, {
    env,
    cwd: '/',
    stdin,
    stdout: 'pipe',
    stderr: 'pipe',
    // A process group of its own: a signal to the publisher must not stop the tool in the middle of a publication.
    detached: true,
  });
}

async function feed(
  pipe: CutSafePipe,
  write: (pipe: CutSafePipe) => Promise<void>,
  pid: number,
): Promise<void> {
  try {
    await write(pipe);
  } catch (error) {
    // EPIPE: the tool has ended, and its exit status says why.
    if (hasCode(error, 'EPIPE')) return;
    killGroup(pid);
    throw error;
  } finally {
    pipe.close();
  }
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // ESRCH: all processes of the group have ended.
  }
}
