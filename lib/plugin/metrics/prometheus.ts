/**
 * Metrics as Prometheus text, in a file that node_exporter's textfile collector reads (the collector needs a name
 * that ends in .prom). Every call of graft is a process of its own. So for each metric of each store the file keeps
 * the value of the latest call that measured it: a create keeps the values that a clean wrote about the store.
 */

import { PluginError } from '../../base/errors/error.ts';
import { replaceFile } from '../../sys/files/durable.ts';
import { errnoMeaning, hasCode, SysError } from '../../sys/kernel/errno.ts';
import { lookIfThere } from '../../sys/kernel/look.ts';
import { readText } from '../../sys/kernel/read.ts';
import { S } from '../../sys/kernel/stat.ts';
import type { Metric } from './metrics.ts';

/** The file has a few dozen lines for each store; a larger file is not one of graft. */
const MAX_BYTES = 1024 * 1024;
const FILE_MODE = 0o644;

/**
 * Replaces the values of earlier calls by those of this call. Readers see the old or the new file. When two calls end
 * at the same instant, the values of one may be missing until its next call.
 * @param store the `store` label
 * @throws CLI_METRICS_FILE
 */
export function writePrometheusFile(path: string, metrics: readonly Metric[], store: string): void {
  try {
    requirePlain(path);
    rewrite(path, metrics, store);
  } catch (error) {
    if (!(error instanceof SysError)) throw error;
    const reason = errnoMeaning(error.code);
    throw new PluginError('CLI_METRICS_FILE', { path, reason }, { cause: error });
  }
}

/**
 * Accepts only a regular file or a free path. Reading a FIFO waits for a writer that may never come, and the final
 * rename would replace /dev/null, or the link /dev/stdout, by a file.
 */
function requirePlain(path: string): void {
  const there = lookIfThere(path);
  if (there === undefined) return;
  const kind = KINDS[there.mode & S.IFMT];
  if (kind !== undefined) throw new PluginError('CLI_METRICS_FILE', { path, reason: `it is ${kind}` });
}
const KINDS: Readonly<Record<number, string>> = {
  [S.IFDIR]: 'a directory',
  [S.IFLNK]: 'a symbolic link',
  [S.IFIFO]: 'a named pipe',
  [S.IFSOCK]: 'a socket',
  [S.IFCHR]: 'a device',
  [S.IFBLK]: 'a device',
};

function rewrite(path: string, metrics: readonly Metric[], store: string): void {
  const lines = new Map<string, string>();
  for (const line of existing(path)) lines.set(seriesOf(line), line);
  for (const metric of metrics) {
    const series = `${prometheusName(metric)}{store="${label(store)}"}`;
    lines.set(series, `${series} ${metric.unit === 'nanos' ? metric.value / 1e9 : metric.value}`);
  }
  replaceFile(path, new TextEncoder().encode(render([...lines.values()])), FILE_MODE);
}

/** The Prometheus name: `ImageCreationTime` in nanos becomes `graft_image_creation_time_seconds`. */
export function prometheusName({ name, unit }: Metric): string {
  const words = name
    .replace(/In(Bytes|Nanos)$/, '')
    .replace(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toLowerCase();
  const suffix = { nanos: '_seconds', bytes: '_bytes', count: '' }[unit];
  return `graft_${words}${suffix}`;
}

function existing(path: string): string[] {
  let text: string;
  try {
    text = readText(path, MAX_BYTES);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return [];
    throw error;
  }
  return text.split('\n').filter((line) => /^graft_[a-z0-9_]+\{store="(?:[^"\\]|\\.)*"\} \S+$/.test(line));
}

function seriesOf(line: string): string {
  return line.slice(0, line.lastIndexOf(' '));
}

/** The exposition format needs all lines of one name together, after their type. */
function render(lines: readonly string[]): string {
  let text = '';
  let last = '';
  for (const line of [...lines].sort()) {
    const name = line.slice(0, line.indexOf('{'));
    if (name !== last) text += `# TYPE ${name} gauge\n`;
    last = name;
    text += `${line}\n`;
  }
  return text;
}

function label(value: string): string {
  return value.replace(/[\\"]/g, '\\$&').replaceAll('\n', '\\n');
}
