import { expect } from 'bun:test';
import { sha256Hex } from '../../../lib/base/digest.ts';
import { type ErrorCode, isPluginError, type PluginErrors } from '../../../lib/base/errors/error.ts';
import type { LogData, Logger } from '../../../lib/base/log.ts';

/** Bytes of a JSON document. */
export function json(document: unknown): Uint8Array {
  return Buffer.from(JSON.stringify(document));
}

/** A digest that stands for some content. */
export function digest(content: string | number): string {
  return `sha256:${sha256Hex(String(content))}`;
}

/** Runs what must fail with a code, and returns the facts of the error. */
export function refusal<C extends ErrorCode>(code: C, run: () => unknown): PluginErrors[C] {
  try {
    run();
  } catch (error) {
    if (isPluginError(error, code)) return error.subject;
    throw error;
  }
  return expect.unreachable(`no ${code}`);
}

export async function rejection<C extends ErrorCode>(
  code: C,
  promise: Promise<unknown>,
): Promise<PluginErrors[C]> {
  const outcome = await promise.then(
    () => () => undefined,
    (error: unknown) => () => {
      throw error;
    },
  );
  return refusal(code, outcome);
}

/** A logger that remembers what it was told. */
export function recordingLog(): Logger & { readonly events: { event: string; data: LogData | undefined }[] } {
  const events: { event: string; data: LogData | undefined }[] = [];
  const add = (event: string, data?: LogData) => void events.push({ event, data });
  return { events, debug: add, info: add, error: (event, _error, data) => add(event, data) };
}
