/** Faults of the docker config.json that graft's settings name: what in it cannot be read, and helpers that are not there. */
import { accessSync, constants } from 'node:fs';
import { delimiter } from 'node:path';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import { printable } from '../../../lib/base/text.ts';
import { readDockerConfig } from '../../../lib/registry/auth/docker-config.ts';
import type { KeyPath } from './lines.ts';

const AT: KeyPath = ['registries', 'docker_config'];

/** @param directories in which helpers are looked for, colon-separated */
export function* dockerConfigThings(file: string, directories: string): Generator<[KeyPath, string]> {
  const helpers = helpersIn(file);
  if (typeof helpers === 'string') {
    yield [AT, `is ${JSON.stringify(printable(file))}; ${helpers}`];
    return;
  }
  for (const helper of helpers)
    if (!hasProgram(directories, `docker-credential-${helper}`))
      yield [
        AT,
        `is ${JSON.stringify(printable(file))}, which names the helper "${printable(helper)}"; ` +
          `docker-credential-${printable(helper)} is not in ${printable(directories)}`,
      ];
}

/** The helpers that the file names, or why it cannot be read. */
function helpersIn(file: string): readonly string[] | string {
  try {
    return readDockerConfig(file).helpers;
  } catch (error) {
    if (isPluginError(error, 'CONFIG_INVALID')) return error.subject.reason;
    throw error;
  }
}

export function hasProgram(directories: string, name: string): boolean {
  return directories.split(delimiter).some((directory) => {
    try {
      accessSync(`${directory}/${name}`, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
