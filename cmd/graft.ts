/**
 * The program: reads the command line and the settings, loads the verb, and turns its error into a sentence and an exit
 * code. Only cmd touches argv, stdout, exit codes and the environment; lib never does.
 */
import { isPluginError, PluginError } from '../lib/base/errors/error.ts';
import type { Logger } from '../lib/base/log.ts';
import { Secret } from '../lib/base/secret.ts';
import { visible } from '../lib/base/text.ts';
import { Metrics } from '../lib/plugin/metrics/metrics.ts';
import { keepMemoryPrivate, openFilesLimit } from '../lib/sys/kernel/own-process.ts';
import { hearOfChildren } from '../lib/sys/kernel/signal-actions.ts';
import { readCommandLine } from './cli/cli.ts';
import type { Verb } from './cli/definitions.ts';
import type { Invocation } from './cli/parse.ts';
import { brokenArgument, type TakenSecrets, takeSecrets } from './program/arguments.ts';
import { ARCHIVE_VERB, PROBE_VERB } from './program/executable.ts';
import { Reported } from './program/reported.ts';
import { openReporting, type Reporting, reportSettings } from './program/reporting.ts';
import { listenForStop, type Stop, stopCodeOf } from './program/signals.ts';
import type { RunVerb, VerbContext } from './program/verb-context.ts';
import { takeEnvironment } from './settings/environment.ts';
import type { ExtraSettings } from './settings/extra.ts';
import { loadSettings } from './settings/settings.ts';
import type { Credentials, Environment, Settings } from './settings/types.ts';
import { lineWriter } from './terminal/logger.ts';
import { colouredMark, type Output, stdout } from './terminal/output.ts';
import { widthOf } from './terminal/terminal.ts';
import { verbModules } from './verbs/index.ts';

const STDOUT = 1;

/** The state of the call. The report of a failure uses the parts that are set by then. */
const call: {
  reporting?: Reporting;
  /** The secrets of the command line, which must not be in a report. */
  taken: TakenSecrets;
  verb?: Verb;
  /** The store's path, once the settings are read. */
  store?: string;
  /** Sends the metrics; defined once the verb may have some. */
  sendMetrics?: () => Promise<void>;
  failed: boolean;
} = { taken: { secrets: [], stderr: 2 }, failed: false };

/** Defined once a verb reads its signal. A signal ends any other verb at once, since it has no handler. */
let stop: Stop | undefined;
function stopSignal(): AbortSignal {
  stop ??= listenForStop((exitCode) => process.exit(exitCode));
  return stop.signal;
}

/** Removes the secrets from the list of processes before anything is read or written. */
async function start(argv: readonly string[]): Promise<void> {
  keepMemoryPrivate();
  hearOfChildren();
  const broken = brokenArgument(argv);
  call.taken = takeSecrets(argv);
  if (broken !== undefined) throw new PluginError('CLI_NOT_UTF8', { argument: broken });
  refuseFewDescriptors();
  await main(argv, takeEnvironment(process.env));
}

/** The runtime opens up to 12 for itself, and a create needs 30 in all (measured); what a parent left open counts too. */
const NEEDED_DESCRIPTORS = 64;

/** Where the runtime finds no descriptor for a thread of its own it ends the program, with words of its own. */
function refuseFewDescriptors(): void {
  const limit = openFilesLimit();
  if (limit < NEEDED_DESCRIPTORS)
    throw new PluginError('CLI_FEW_DESCRIPTORS', { limit, needed: NEEDED_DESCRIPTORS });
}

async function main(argv: readonly string[], env: Environment): Promise<void> {
  const invocation = await readCommandLine(argv, (verb) => {
    call.verb = verb;
  });
  const credentials = await credentialsOf(invocation);
  const settings = await settingsFor(invocation);
  call.store = settings.store;
  const reporting = await openReporting(invocation, settings, env.term, call.taken);
  call.reporting = reporting;
  reportSettings(invocation.verb, settings, reporting);
  const { run } = await verbModules[invocation.verb]();
  let loading: Promise<ExtraSettings> | undefined;
  const extra = () => (loading ??= extraSettings(invocation));
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
    out: clearingFirst(reporting, hasColours(env)),
    get width() {
      return widthOf(STDOUT);
    },
    stderr: call.taken.stderr,
    say: sayTo(call.taken.stderr),
    get signal() {
      return stopSignal();
    },
  };
  // verbModules maps each verb to its own module, but TypeScript cannot express that for a verb that is not constant.
  await (run as RunVerb)(context);
  await call.sendMetrics();
}

/** graft's own settings, which few of Garden's calls read. */
async function extraSettings({ globals }: Invocation): Promise<ExtraSettings> {
  const { loadExtraSettings } = await import('./settings/extra.ts');
  return loadExtraSettings(globals);
}

/** These verbs tell of settings that cannot be used, and so have to run without them. */
const TELLS_OF_SETTINGS: ReadonlySet<Verb> = new Set<Verb>(['config', 'doctor']);

async function settingsFor(invocation: Invocation): Promise<Settings> {
  try {
    return loadSettings(invocation);
  } catch (error) {
    if (!TELLS_OF_SETTINGS.has(invocation.verb) || !isPluginError(error)) throw error;
    const { config = '', ...globals } = invocation.globals;
    const { storeIn } = await import('./settings/check/groot-findings.ts');
    const store = globals.store ?? storeIn(config);
    return {
      ...loadSettings({ globals: store === undefined ? globals : { ...globals, store }, options: {} }),
      configFile: config,
    };
  }
}

/** Colours are for a terminal that has them, unless the person wants none (no-color.org). Asked at the first mark. */
function hasColours({ noColor, term }: Environment): () => boolean {
  return () => !noColor && term !== undefined && term !== 'dumb' && widthOf(STDOUT) !== undefined;
}

/** An output that clears the progress line first, so that the answer starts on a line of its own. */
function clearingFirst({ clear }: Reporting, inColour: () => boolean): Output {
  return {
    json: (value) => {
      clear();
      stdout.json(value);
    },
    jsonList: (values) => {
      clear();
      stdout.jsonList(values);
    },
    text: (line) => {
      clear();
      stdout.text(line);
    },
    mark: (kind, word, rest) => {
      clear();
      (inColour() ? colouredMark : stdout.mark)(kind, word, rest);
    },
    row: (values) => {
      clear();
      stdout.row(values);
    },
    page: (lines) => {
      clear();
      stdout.page(lines);
    },
  };
}

async function credentialsOf({ options }: Invocation): Promise<Credentials | undefined> {
  const given = options as { username?: string; password?: string; 'password-stdin'?: boolean };
  const { username, password } = given;
  if (given['password-stdin'] === true) {
    const { passwordFromStdin } = await import('./program/password-stdin.ts');
    const read = passwordFromStdin(password);
    call.taken = { ...call.taken, secrets: [...call.taken.secrets, read] };
    return { username: username ?? '', password: new Secret(read) };
  }
  if (!username && !password) return undefined;
  return { username: username ?? '', password: new Secret(password ?? '') };
}

/** Sends the metrics. Without any, the module that sends them is not loaded. */
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

/** Writes the sentence to stdout and the facts to the log, and exits. */
async function fail(error: unknown): Promise<void> {
  // A second failure must not interrupt the report of the first.
  if (call.failed) return;
  call.failed = true;
  try {
    process.exit(await report(error));
  } catch {
    // stdout has no reader any more (EPIPE), so the caller gets the exit code only.
    process.exit(1);
  }
}

async function report(thrown: unknown): Promise<number> {
  const stopped = stop?.exitCode();
  if (thrown instanceof Reported) {
    await call.sendMetrics?.();
    return thrown.exitCode;
  }
  const { namingFullDisk } = await import('../lib/plugin/full-store.ts');
  const error = call.store === undefined ? thrown : namingFullDisk(call.store, thrown);
  const { explain, logFailure } = await import('./sentences/report.ts');
  const { sentence, exitCode } = explain(
    stopped === undefined ? error : stop?.signal.reason,
    call.taken.secrets,
  );
  call.reporting?.clear();
  if (call.reporting && !call.reporting.plain) logFailure(call.reporting.log, error, sentence);
  // The stdout of `run` belongs to its process, and so do exit codes below 125.
  if (call.verb === 'run') sayTo(call.taken.stderr)(`graft: ${sentence}`);
  else stdout.text(sentence);
  await call.sendMetrics?.();
  return stopped ?? (call.verb === 'run' ? ownFailure(error) : exitCode);
}

/** The exit codes with which shells and other engines tell a failure of their own from that of a process. */
function ownFailure(error: unknown): number {
  if (isPluginError(error, 'CLI_INTERRUPTED')) return stopCodeOf(error.subject.signal);
  if (isPluginError(error, 'RUN_COMMAND_MISSING')) return 127;
  return isPluginError(error, 'RUN_COMMAND_NOT_EXECUTABLE') ? 126 : 125;
}

function sayTo(fd: number): (sentence: string) => void {
  return (sentence) => lineWriter(fd)(`${visible(sentence)}\n`);
}

/** Runs as the child that touches CVMFS, before anything else is set up: it needs no settings and no log. */
async function probe(): Promise<void> {
  const { runProbeChild } = await import('./probe.ts');
  process.exit(runProbeChild());
}

/** Runs as the child that reads a layer of CVMFS. */
async function archive(): Promise<void> {
  const { runArchiveChild } = await import('./archive.ts');
  process.exit(await runArchiveChild());
}

process.on('uncaughtException', fail);
process.on('unhandledRejection', fail);
// The event loop is empty although the verb has not answered: that is a failure and must not exit with 0.
process.on('beforeExit', () => fail(new Error('it stopped without an answer')));
if (process.argv[2] === PROBE_VERB) {
  probe();
} else if (process.argv[2] === ARCHIVE_VERB) {
  archive();
} else {
  start(process.argv.slice(2)).then(() => process.exit(0), fail);
}
