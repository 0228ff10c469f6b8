/**
 * Asks a repository, with a deadline. A process in a system call on a hung FUSE mount may not end even by SIGKILL, and
 * a thread in such a call would keep its process from ending. So a child process asks. The child has no descriptor of
 * ours (Garden reads our pipes to their end), has a session of its own, and nobody waits for it. Its answers come line
 * by line, so answers from before the deadline count.
 */
import { hasCode } from '../sys/kernel/errno.ts';
import type { ProbeLine, ProbeRequest, RepositoryAnswer, StepAnswer } from './probe-protocol.ts';

export interface ProbeOptions {
  /** The program and its first arguments: graft itself with the hidden verb. */
  readonly command: readonly string[];
  /** Milliseconds for all answers together. */
  readonly deadlineMs: number;
  /** Milliseconds without any line, for requests that may take long. */
  readonly stallMs: number;
}

export interface ProbeOutcome {
  /**
   * `answered`: every step has an answer. `late`: a deadline passed. `died`: the child ended early, or its answer makes
   * no sense.
   */
  readonly ended: 'answered' | 'late' | 'died';
  readonly repository: RepositoryAnswer | undefined;
  /** In the order of the request's steps; undefined where no answer came. */
  readonly steps: readonly (StepAnswer | undefined)[];
  /** The process id of a child that was killed and perhaps does not end; undefined where none was left. */
  readonly leftBehind: number | undefined;
  readonly milliseconds: number;
}

/** A child that waits for its request, and ends when this process ends without sending one. */
export type ReadyChild = Bun.Subprocess<'pipe', 'pipe', 'ignore'>;

/**
 * Starts a child ahead. Half of a probe's time is the start of the runtime, during which the caller can do other work.
 */
export function startProbe(command: readonly string[]): ReadyChild {
  const child = Bun.spawn([...command], {
    cwd: '/',
    env: {},
    stdin: 'pipe',
    stdout: 'pipe',
    stderr: 'ignore',
    detached: true,
  });
  child.unref();
  return child;
}

/**
 * Sends the request and reads the answers. A fault of the repository is an answer, not an error, and the call returns
 * at the deadline, whatever the child does.
 * @param ready a child that was started ahead and has no request yet
 */
export async function probe(
  request: ProbeRequest,
  options: ProbeOptions,
  ready?: ReadyChild,
): Promise<ProbeOutcome> {
  const started = performance.now();
  const child = ready ?? startProbe(options.command);
  tell(child, request);
  const answers = new Answers(request.steps.length);
  const late = await readLines(child.stdout, answers, options);
  if (!answers.complete) child.kill('SIGKILL');
  return {
    ended: answers.complete ? 'answered' : late ? 'late' : 'died',
    repository: answers.repository,
    steps: answers.steps,
    leftBehind: late && !answers.complete ? child.pid : undefined,
    milliseconds: performance.now() - started,
  };
}

/** Writes the request. EPIPE is no error here: a dead child gives no answer. */
function tell({ stdin }: ReadyChild, request: ProbeRequest): void {
  try {
    stdin.write(JSON.stringify(request));
    Promise.resolve(stdin.end()).catch(() => undefined);
  } catch (error) {
    if (!hasCode(error, 'EPIPE')) throw error;
  }
}

/** Reads until every step has an answer, the child ends or a deadline passes. Returns true for a deadline. */
async function readLines(
  stream: ReadableStream<Uint8Array>,
  answers: Answers,
  options: ProbeOptions,
): Promise<boolean> {
  const reader = stream.getReader();
  const deadline = performance.now() + options.deadlineMs;
  try {
    while (!answers.complete) {
      const wait = Math.min(options.stallMs, deadline - performance.now());
      const chunk = await within(reader.read(), Math.max(0, wait));
      if (chunk === undefined) return true;
      if (chunk.done) return false;
      if (!answers.take(chunk.value)) return false;
    }
    return false;
  } finally {
    // The cancellation is not awaited: it ends when the child's end of the pipe closes, which may never happen.
    reader.cancel().catch(() => undefined);
  }
}

/** The result of `work`; undefined when `ms` pass first. */
async function within<T>(work: Promise<T>, ms: number): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, ms, undefined);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

/** Collects the child's lines as answers. */
class Answers {
  repository: RepositoryAnswer | undefined;
  readonly steps: (StepAnswer | undefined)[];
  readonly #decoder = new TextDecoder();
  #rest = '';

  constructor(count: number) {
    this.steps = new Array<StepAnswer | undefined>(count).fill(undefined);
  }

  /** True when no more answers come. A repository that cannot be opened has no answers to steps. */
  get complete(): boolean {
    if (this.repository === undefined) return false;
    return !this.repository.ok || this.steps.every((step) => step !== undefined);
  }

  /**
   * Takes the next bytes; returns false when they are no answer. Bytes after the last newline wait for the next call.
   */
  take(bytes: Uint8Array): boolean {
    let from = 0;
    for (let end = bytes.indexOf(0x0a); end >= 0; end = bytes.indexOf(0x0a, from)) {
      const line = this.#rest + this.#decoder.decode(bytes.subarray(from, end));
      this.#rest = '';
      from = end + 1;
      if (!this.#put(line)) return false;
    }
    this.#rest += this.#decoder.decode(bytes.subarray(from), { stream: true });
    return true;
  }

  #put(text: string): boolean {
    let line: ProbeLine;
    try {
      line = JSON.parse(text) as ProbeLine;
    } catch {
      return false;
    }
    if (line.line === 'repository') this.repository = line.answer;
    else if (line.line === 'step') this.steps[line.index] = line.answer;
    return true;
  }
}
