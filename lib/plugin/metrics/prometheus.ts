/**
 * Metrics as Prometheus text, in a file that node_exporter's textfile collector reads (its name has to end in
 * .prom for that). Every call of graft is a process of its own, so the file holds for each metric of each store
 * the value of the latest call that measured it: a create leaves what a clean wrote about the store.
 */

import { PluginError } from '../../base/errors/error.ts';
import { replaceFile } from '../../sys/files/durable.ts';
import { errnoMeaning, hasCode, SysError } from '../../sys/kernel/errno.ts';
import { lookIfThere } from '../../sys/kernel/look.ts';
import { readText } from '../../sys/kernel/read.ts';
import { S } from '../../sys/kernel/stat.ts';
import type { Metric } from './metrics.ts';

/** The file is ours and holds a few dozen lines a store; what is larger is not it. */
const MAX_BYTES = 1024 * 1024;
const FILE_MODE = 0o644;

/**
 * Writes the metrics of one call over those of earlier ones. Readers see the old or the new file. Of two calls
 * that end in the same instant one may be missing, until the next.
 * @param store the `store` label. @throws CLI_METRICS_FILE
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
 * Only a file, or nothing yet: reading a FIFO waits for a writer who may never come, and the rename at the end would
 * put a file in the place of /dev/null, or of the link that /dev/stdout is.
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

/** `ImageCreationTime` in nanos: `graft_image_creation_time_seconds`, as Prometheus names things. */
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

/** exposition format: all lines of one name together, behind its type. */
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
