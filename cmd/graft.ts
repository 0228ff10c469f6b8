/**
 * The program: reads the command line and the settings, loads the verb, and turns what it throws into one
 * sentence and an exit code. argv, stdout, exit codes and the environment are touched here and beside, never
 * in lib.
 */
import type { Logger } from '../lib/base/log.ts';
import { Secret } from '../lib/base/secret.ts';
import { Metrics } from '../lib/plugin/metrics/metrics.ts';
import { hearOfChildren } from '../lib/sys/kernel/child-signal.ts';
import { keepMemoryPrivate } from '../lib/sys/kernel/own-process.ts';
import { readCommandLine } from './cli/cli.ts';
import type { Invocation } from './cli/parse.ts';
import { type TakenSecrets, takeSecrets } from './program/arguments.ts';
import { PROBE_VERB } from './program/probe-command.ts';
import { Reported } from './program/reported.ts';
import { openReporting, type Reporting, reportSettings } from './program/reporting.ts';
import { listenForStop, type Stop } from './program/signals.ts';
import type { RunVerb, VerbContext } from './program/verb-context.ts';
import { takeEnvironment } from './settings/environment.ts';
import { type ExtraSettings, loadExtraSettings } from './settings/extra.ts';
import { loadSettings } from './settings/settings.ts';
import type { Credentials, Environment, Settings } from './settings/types.ts';
import { type Output, stdout } from './terminal/output.ts';
import { verbModules } from './verbs/index.ts';

/** The call as far as it got; a report of its failure uses what is there. */
const call: {
  reporting?: Reporting;
  /** The secrets of the command line, which no report may show. */
  taken: TakenSecrets;
  /** Tells the metrics, once there can be some. */
  sendMetrics?: () => Promise<void>;
  failed: boolean;
} = { taken: { secrets: [], stderr: 2 }, failed: false };

/** Only a verb that looks at its signal is asked to stop; any other is ended by it, as a program without a handler. */
let stop: Stop | undefined;
function stopSignal(): AbortSignal {
  stop ??= listenForStop((exitCode) => process.exit(exitCode));
  return stop.signal;
}

/** Nothing is read or said before the arguments' secrets are out of sight. */
async function start(argv: readonly string[]): Promise<void> {
  keepMemoryPrivate();
  hearOfChildren();
  call.taken = takeSecrets(argv);
  await main(argv, takeEnvironment(process.env));
}

async function main(argv: readonly string[], env: Environment): Promise<void> {
  const invocation = await readCommandLine(argv);
  const credentials = credentialsOf(invocation);
  const settings = loadSettings(invocation);
  const reporting = openReporting(invocation, settings, env.term, call.taken);
  call.reporting = reporting;
  reportSettings(invocation.verb, settings, reporting);
  const { run } = await verbModules[invocation.verb]();
  let loading: Promise<ExtraSettings> | undefined;
  const extra = () => (loading ??= loadExtraSettings(invocation.globals));
  const metrics = new Metrics();
  call.sendMetrics = () => sendCollected(metrics, settings, extra, reporting.log);
  const { password: _, ...options } = invocation.options as { password?: string };
  const context: VerbContext = {
    verb: invocation.verb,
    args: { options, positionals: invocation.positionals },
    settings,
    extra,
    credentials,
    env,
    log: reporting.log,
    progress: reporting.progress,
    metrics,
    out: clearingFirst(reporting),
    get signal() {
      return stopSignal();
    },
  };
  // verbModules has for each verb that verb's module; the type of one of them, unknown which, cannot say so.
  await (run as RunVerb)(context);
  await call.sendMetrics();
}

/** On a terminal the answer must not land behind half a progress line. */
function clearingFirst({ clear }: Reporting): Output {
  return {
    json: (value) => {
      clear();
      stdout.json(value);
    },
    text: (line) => {
      clear();
      stdout.text(line);
    },
    page: (lines) => {
      clear();
      stdout.page(lines);
    },
  };
}

function credentialsOf({ options }: Invocation): Credentials | undefined {
  const { username, password } = options as { username?: string; password?: string };
  if (!username && !password) return undefined;
  return { username: username ?? '', password: new Secret(password ?? '') };
}

/** Calls with nothing to tell do not even load what would send it. */
async function sendCollected(
  metrics: Metrics,
  { store, metronEndpoint, metricsFile }: Settings,
  extra: () => Promise<ExtraSettings>,
  log: Logger,
): Promise<void> {
  if (metrics.isEmpty) return;
  const { sendMetrics } = await import('./program/send-metrics.ts');
  await sendMetrics(metrics, { store, metronEndpoint, metricsFile, extra }, log);
}

/** One sentence on stdout, the facts in the log, and out. */
async function fail(error: unknown): Promise<void> {
  // A second failure while the first is being reported adds nothing, and must not cut it short.
  if (call.failed) return;
  call.failed = true;
  try {
    process.exit(await report(error));
  } catch {
    // Nobody reads stdout any more (EPIPE); the exit code is all that is left to say.
    process.exit(1);
  }
}

async function report(error: unknown): Promise<number> {
  const stopped = stop?.exitCode();
  if (error instanceof Reported) {
    await call.sendMetrics?.();
    return error.exitCode;
  }
  const { explain, logFailure } = await import('./sentences/report.ts');
  const { sentence, exitCode } = explain(
    stopped === undefined ? error : stop?.signal.reason,
    call.taken.secrets,
  );
  call.reporting?.clear();
  if (call.reporting && !call.reporting.plain) logFailure(call.reporting.log, error, sentence);
  stdout.text(sentence);
  await call.sendMetrics?.();
  return stopped ?? exitCode;
}

/** Before anything else is set up: it answers for no verb, and its parent does not wait for it. */
async function probe(): Promise<void> {
  const { runProbeChild } = await import('./probe.ts');
  process.exit(runProbeChild());
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
// Whatever keeps waiting for something that nobody will do: no answer is no success.
process.on('beforeExit', () => fail(new Error('it stopped without an answer')));
if (process.argv[2] === PROBE_VERB) {
  probe();
} else {
  start(process.argv.slice(2)).then(() => process.exit(0), fail);
}
