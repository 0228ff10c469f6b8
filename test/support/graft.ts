import { accessSync, constants } from 'node:fs';
import { join } from 'node:path';
import { cleanEnv, must, PROJECT, type Ran, type RunOptions, run } from './shell.ts';

/** The executables under test. GRAFT_DIST names another directory to take them from. */
export function executable(name: 'graft' | 'graft-faults' | 'empty' = 'graft'): string {
  const path = join(process.env['GRAFT_DIST'] ?? join(PROJECT, 'dist'), name);
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Error(`${path} is not there: run npm run build`);
  }
  return path;
}

/** Runs dist/graft as Garden does: a process with its own arguments, environment and descriptors. */
export function graft(args: readonly string[], options: RunOptions = {}): Promise<Ran> {
  return run(executable(), args, { env: cleanEnv(), ...options });
}

/** `graft` that must succeed; returns its stdout. */
export function graftMust(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return must(executable(), args, { env: cleanEnv(), ...options });
}
