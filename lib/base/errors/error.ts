import type { CliErrors } from './cli.ts';
import type { CvmfsErrors } from './cvmfs.ts';
import type { ImageErrors } from './image.ts';
import type { LayerErrors } from './layer.ts';
import type { RegistryErrors } from './registry.ts';
import type { StoreErrors } from './store.ts';

/** Every error of graft: its code, and the facts its sentence is made of. One interface per area. */
export type PluginErrors = CliErrors & ImageErrors & LayerErrors & RegistryErrors & StoreErrors & CvmfsErrors;

export type ErrorCode = keyof PluginErrors;

/**
 * An error somebody outside graft can act on. The library throws codes and facts; `cmd/sentences/report.ts`
 * alone turns them into a sentence, so nothing is ever matched by message.
 */
export class PluginError<C extends ErrorCode = ErrorCode> extends Error {
  readonly code: C;
  readonly subject: PluginErrors[C];

  constructor(code: C, subject: PluginErrors[C], options?: { cause?: unknown }) {
    super(code, options);
    this.name = 'PluginError';
    this.code = code;
    this.subject = subject;
  }
}

export function isPluginError<C extends ErrorCode>(error: unknown, code?: C): error is PluginError<C> {
  return error instanceof PluginError && (code === undefined || error.code === code);
}
