/**
 * Turns an error into a sentence for a person on stdout, and an exit code. Garden shows the sentence to the owner of the
 * application, so it never holds a stack trace or a password. The file is loaded only after a failure.
 */
import {
  type ErrorCode,
  isPluginError,
  PluginError,
  type PluginErrors,
} from '../../lib/base/errors/error.ts';
import type { Logger } from '../../lib/base/log.ts';
import { maskFacts } from '../../lib/base/mask.ts';
import { oneLine } from '../../lib/base/text.ts';
import { sentences } from './index.ts';

export interface Report {
  readonly sentence: string;
  readonly exitCode: number;
}

/** The most characters of a sentence. Diego cuts at 1024; a terminal can show more. */
const MAX_SENTENCE = 2000;

/**
 * @param secrets of this call, which a registry may have repeated. They are masked in the facts of the error; the words of
 *   graft's sentences hold none
 */
export function explain(error: unknown, secrets: readonly string[]): Report {
  return {
    sentence: oneLine(sentenceOf(error, secrets), MAX_SENTENCE),
    exitCode: isPluginError(error, 'CLI_UNKNOWN_VERB') ? 3 : 1,
  };
}

function sentenceOf(error: unknown, secrets: readonly string[]): string {
  if (error instanceof PluginError) return sentenceForCode(error.code, maskFacts(error.subject, secrets));
  if (error instanceof AggregateError && error.errors.length > 0) return sentenceOf(error.errors[0], secrets);
  const { code, syscall, path, message } = (error ?? {}) as Record<string, unknown>;
  // A SysError, or an error of node:fs, which has the same fields.
  if (typeof code === 'string' && typeof syscall === 'string' && /^E[A-Z0-9]+$/.test(code))
    return sentenceForCode('STORE_IO', {
      step: syscall,
      path: maskFacts(String(path ?? ''), secrets),
      errno: code,
    });
  const words = maskFacts(typeof message === 'string' && message !== '' ? message : String(error), secrets);
  return `${words} (an error that graft does not expect; --log-level debug shows where it came from)`;
}

function sentenceForCode<C extends ErrorCode>(code: C, subject: PluginErrors[C]): string {
  return sentences[code](subject);
}

/**
 * Errors that normal calls cause, and that must not fill the log: Garden asks the unprivileged plugin for the stats of every
 * privileged container first.
 */
const EXPECTED: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['IMAGE_NOT_FOUND', 'CLI_UNKNOWN_VERB']);

/**
 * Logs a failure: at level error the sentence that the caller gets, which GrootFS logs too, with its code and facts; at
 * level debug its stack and causes.
 */
export function logFailure(log: Logger, error: unknown, sentence: string): void {
  if (!isPluginError(error)) log.error('failed', sentence);
  else if (!EXPECTED.has(error.code))
    log.error('failed', sentence, { code: error.code, facts: error.subject });
  const causes: string[] = [];
  for (let at: unknown = error; at instanceof Error && causes.length < 5; at = at.cause)
    causes.push(oneLine(at.stack ?? at.message, 600));
  log.debug('failed-at', {
    code: isPluginError(error) ? error.code : undefined,
    error: rootMessage(error),
    causes,
  });
}

/** The message of the first cause: the text of the kernel or of a library. */
function rootMessage(error: unknown): string {
  let root = error;
  for (let depth = 0; depth < 5 && root instanceof Error && root.cause instanceof Error; depth += 1)
    root = root.cause;
  if (isPluginError(root)) return explain(root, []).sentence;
  return oneLine(root instanceof Error ? root.message : String(root), 600);
}
