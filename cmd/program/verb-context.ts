import type { Logger } from '../../lib/base/log.ts';
import type { Progress } from '../../lib/base/progress.ts';
import type { Metrics } from '../../lib/plugin/metrics/metrics.ts';
import type { Verb, VerbValues } from '../cli/definitions.ts';
import type { ExtraSettings } from '../settings/extra.ts';
import type { Credentials, Environment, Settings } from '../settings/types.ts';
import type { Output } from '../terminal/output.ts';

/** All inputs and outputs of a verb, which itself touches neither argv nor stdout nor the environment. */
export interface VerbContext<V extends Verb = Verb> {
  readonly verb: V;
  /** The command line. Values that a configuration file may also have are in `settings`, which knows the precedence. */
  readonly args: { readonly options: VerbValues<V>; readonly positionals: readonly string[] };
  readonly settings: Settings;
  /** graft's own settings, which are read and checked at the first call, so that other verbs do not pay for them. */
  readonly extra: () => Promise<ExtraSettings>;
  /** From `--username` and `--password`; undefined when neither was given. */
  readonly credentials: Credentials | undefined;
  readonly env: Environment;
  readonly log: Logger;
  readonly progress: Progress;
  /** The metrics, which are sent when the verb has ended, also after a failure. */
  readonly metrics: Metrics;
  readonly out: Output;
  /** The columns of the terminal that `out` writes to; undefined on a pipe or a file, where nothing is shortened. */
  readonly width: number | undefined;
  /** The descriptor for messages, which a child gets as its stderr. */
  readonly stderr: number;
  /** Writes a sentence for a person to that descriptor, for a verb whose stdout belongs to another program. */
  readonly say: (sentence: string) => void;
  /** Aborted by SIGTERM and SIGINT; the verb then cleans up and rejects. */
  readonly signal: AbortSignal;
}

/** The type of `run` in each `cmd/verbs/<verb>.ts`. */
export type RunVerb<V extends Verb = Verb> = (context: VerbContext<V>) => Promise<void>;
