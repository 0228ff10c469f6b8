import type { Logger } from '../../lib/base/log.ts';
import type { Progress } from '../../lib/base/progress.ts';
import type { Metrics } from '../../lib/plugin/metrics/metrics.ts';
import type { Verb, VerbValues } from '../cli/definitions.ts';
import type { ExtraSettings } from '../settings/extra.ts';
import type { Credentials, Environment, Settings } from '../settings/types.ts';
import type { Output } from '../terminal/output.ts';

/** Everything a verb works with; it touches neither argv nor stdout nor the environment itself. */
export interface VerbContext<V extends Verb = Verb> {
  readonly verb: V;
  /** For what a configuration file can say too, read `settings`: precedence is decided there. */
  readonly args: { readonly options: VerbValues<V>; readonly positionals: readonly string[] };
  readonly settings: Settings;
  /** graft's own settings, read and checked at the first call: verbs that need none do not pay for them. */
  readonly extra: () => Promise<ExtraSettings>;
  /** From `--username` and `--password`; undefined when neither was given. */
  readonly credentials: Credentials | undefined;
  readonly env: Environment;
  readonly log: Logger;
  readonly progress: Progress;
  /** Collected here, sent when the verb has ended, also when it failed. */
  readonly metrics: Metrics;
  readonly out: Output;
  /** Aborted by SIGTERM and SIGINT; the verb then cleans up and rejects. */
  readonly signal: AbortSignal;
}

/** What every `cmd/verbs/<verb>.ts` exports as `run`. */
export type RunVerb<V extends Verb = Verb> = (context: VerbContext<V>) => Promise<void>;
