import type { CacheErrors } from './cache.ts';
import type { CliErrors } from './cli.ts';
import type { CommitErrors } from './commit.ts';
import type { CvmfsErrors } from './cvmfs.ts';
import type { ExportErrors } from './export.ts';
import type { ImageErrors } from './image.ts';
import type { LayerErrors } from './layer.ts';
import type { PublishErrors } from './publish.ts';
import type { PublisherErrors } from './publisher.ts';
import type { PushErrors } from './push.ts';
import type { RegistryErrors } from './registry.ts';
import type { RunErrors } from './run.ts';
import type { StoreErrors } from './store.ts';
import type { TrustErrors } from './trust.ts';

/** Every error of graft: a code, and the facts from which its sentence is made. Each area has an interface. */
export type PluginErrors = CacheErrors &
  CliErrors &
  ImageErrors &
  LayerErrors &
  RegistryErrors &
  PushErrors &
  StoreErrors &
  CvmfsErrors &
  PublishErrors &
  PublisherErrors &
  ExportErrors &
  TrustErrors &
  CommitErrors &
  RunErrors;

export type ErrorCode = keyof PluginErrors;

/**
 * An error that a user or an operator can act on. The library throws codes and facts, and only
 * `cmd/sentences/report.ts` turns them into a sentence. Code compares codes and never messages.
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
