import type { CliErrors } from '../../lib/base/errors/cli.ts';
import { printable } from '../../lib/base/text.ts';

const quoted = (text: string) => JSON.stringify(printable(text));
const didYouMean = (suggestion: string | undefined) => (suggestion ? ` Did you mean ${suggestion}?` : '');
const optionsFirst = (word: string | undefined) =>
  word === undefined ? '' : ` (options go before the arguments: ${printable(word)} came after one)`;

/** The sentences of the command line. Each begins with the words of GrootFS, which scripts and its tests look for. */
export const cliSentences: { [C in keyof CliErrors]: (s: CliErrors[C]) => string } = {
  CLI_UNKNOWN_VERB: (s) =>
    `No help topic for '${printable(s.verb)}'${s.suggestion ? `.${didYouMean(s.suggestion)}` : '. `graft help` lists the verbs.'}`,
  CLI_UNKNOWN_FLAG: (s) =>
    `Incorrect Usage: flag provided but not defined: -${printable(s.flag)}.` +
    (s.place
      ? ` It is an option of ${s.place}; put it there.`
      : `${didYouMean(s.suggestion)} \`graft help${s.verb ? ` ${s.verb}` : ''}\` lists the options.`),
  CLI_BAD_FLAG_SYNTAX: (s) =>
    `Incorrect Usage: bad flag syntax: ${printable(s.argument)}. Options look like --name value or --name=value.`,
  CLI_BAD_VALUE: (s) =>
    `Incorrect Usage: invalid ${s.type === 'boolean' ? 'boolean ' : ''}value ${quoted(s.value)} for ` +
    `${s.type === 'boolean' ? '' : 'flag '}-${s.flag}: ${s.reason}.${expected(s.type)}`,
  CLI_MISSING_VALUE: (s) => `Incorrect Usage: flag needs an argument: -${s.flag}`,
  CLI_BAD_ARGUMENTS: (s) => `invalid arguments - usage: ${s.usage}${optionsFirst(s.misplaced)}`,
  CLI_BAD_FIELD: (s) => `--format has no field ${quoted(s.field)}; its fields are ${s.known.join(', ')}`,
  CLI_ID_MISSING: (s) => `id was not specified - usage: delete <id|image path>${optionsFirst(s.misplaced)}`,
  CLI_CLEAN_CONFLICT: () => 'with-clean and without-clean cannot be used together',
  CLI_PASSWORD_STDIN: (s) => `--password-stdin cannot be used: ${s.reason}`,
  CLI_NOT_CONFIRMED: (s) =>
    `nothing was deleted: ${printable(s.store)} is as it was; the answer has to be yes`,
  CLI_LOG_FILE: (s) => `the log file ${printable(s.path)} cannot be written: ${s.reason}`,
  CLI_METRICS_FILE: (s) =>
    `the metrics file ${printable(s.path)} cannot be written: ${s.reason}; --metrics-file and metrics.file name a ` +
    'plain file, which is replaced each time',
  CLI_NO_MACHINE_CODE: () =>
    'graft cannot run here: this process may not make executable memory, which its runtime needs; start it without ' +
    'MemoryDenyWriteExecute= and without a limit on its address space (LimitAS=, ulimit -v)',
  CLI_WORKING_DIRECTORY: (s) =>
    `${printable(s.path)} is a relative path, and the working directory was deleted, lies too deep to be named or has a ` +
    'name that is not UTF-8; give the whole path, or start graft in another directory',
  CLI_NOT_UTF8: (s) =>
    `argument ${s.argument} of the command line is not UTF-8, which graft needs for names, paths and everything else; ` +
    'rename the file or directory that it names, or give another id',
  CLI_FEW_DESCRIPTORS: (s) =>
    `graft cannot run here: this process may hold ${s.limit} files open, and graft needs ${s.needed}; raise the limit of ` +
    'open files (ulimit -n, LimitNOFILE=)',
  CLI_INTERRUPTED: (s) => `stopped by ${s.signal} before it was done`,
  CONFIG_MISSING: (s) => `invalid config path: open ${printable(s.path)}: ${s.reason}`,
  CONFIG_SYNTAX: (s) => `invalid config file: yaml: ${s.reason} (${printable(s.path)})`,
  CONFIG_INVALID: (s) =>
    `invalid config file: ${s.reason} (${printable(s.path)}${s.line === undefined ? '' : `, line ${s.line}`})`,
  CONFIG_UNKNOWN_KEYS: (s) =>
    `${printable(s.path)} has keys that nothing reads: ${s.keys.map(printable).join(', ')}; graft --config ${printable(s.path)} ` +
    'config check says what may be meant',
  CONFIG_NEGATIVE: (s) => `invalid argument: ${s.what} cannot be negative`,
};

function expected(type: 'boolean' | 'int64' | 'text'): string {
  if (type === 'boolean') return ' Give true or false.';
  return type === 'int64'
    ? ' Give a number of bytes, at most 9223372036854775807, or a size such as 10M or 8GiB.'
    : '';
}
