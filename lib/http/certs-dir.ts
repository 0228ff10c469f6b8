import { readdirSync } from 'node:fs';
import { PluginError } from '../base/errors/error.ts';
import { hasCode } from '../sys/kernel/errno.ts';

/** The paths of the files in the directory of a host. */
export interface CertsDir {
  readonly directory: string;
  readonly ca: readonly string[];
  /** Sorted by the names of the certificates. */
  readonly pairs: readonly { readonly certificate: string; readonly key: string }[];
}

/**
 * Finds a host's directory, as certs.d(5) of containers and Docker describes it: `*.crt` are authorities, `NAME.cert` with
 * `NAME.key` is a client's pair. The first base directory with a directory of one of the host's names counts.
 * @throws CONFIG_INVALID for half a pair, and for a directory that cannot be read
 */
export function findCertsDir(bases: readonly string[], names: readonly string[]): CertsDir | undefined {
  for (const base of bases) {
    for (const name of names) {
      const directory = `${base}/${name}`;
      const files = listDirectory(directory);
      if (files !== undefined)
        return { directory, ca: authorities(directory, files), pairs: pairs(directory, files) };
    }
  }
  return undefined;
}

/** Sorted names; undefined where there is no such directory. @throws CONFIG_INVALID */
export function listDirectory(directory: string): string[] | undefined {
  try {
    return readdirSync(directory).sort();
  } catch (error) {
    if (hasCode(error, 'ENOENT', 'ENOTDIR')) return undefined;
    throw new PluginError('CONFIG_INVALID', { path: directory, reason: readingFails(error) });
  }
}

export function readingFails(error: unknown): string {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' ? `reading it fails with ${code}` : 'reading it fails';
}

function authorities(directory: string, files: readonly string[]): string[] {
  return files.filter((name) => name.endsWith('.crt')).map((name) => `${directory}/${name}`);
}

function pairs(directory: string, files: readonly string[]): CertsDir['pairs'] {
  const there = new Set(files);
  const other = (name: string, from: RegExp, to: string) => {
    const sought = name.replace(from, to);
    if (there.has(sought)) return `${directory}/${sought}`;
    const reason = `there is no ${to} of the same name beside it`;
    throw new PluginError('CONFIG_INVALID', { path: `${directory}/${name}`, reason });
  };
  for (const name of files) if (name.endsWith('.key')) other(name, /\.key$/, '.cert');
  return files
    .filter((name) => name.endsWith('.cert'))
    .map((name) => ({ certificate: `${directory}/${name}`, key: other(name, /\.cert$/, '.key') }));
}
