/** Finds the container runtime and runs a container with it until its process ends. */
import { spawn, spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, statSync } from 'node:fs';
import { constants as system } from 'node:os';
import { delimiter } from 'node:path';
import { PluginError } from '../base/errors/error.ts';
import { discardStaged, stageDirectory, writeSmall } from '../store/layout/staging.ts';
import type { Store } from '../store/store.ts';
import { bytesOfText } from '../sys/kernel/utf8.ts';

/** Where the runtime of Cloud Foundry's cells lies, which is in no PATH. */
const CELL_DIRECTORIES = ['/var/vcap/packages/runc/bin', '/var/vcap/packages/guardian/bin'];
const DEFAULT_RUNTIMES = ['runc', 'crun'];

/** The path of the runtime. @param path directories, colon-separated. @throws RUN_NO_RUNTIME */
export function findRuntime(named: string | undefined, path: string): string {
  const directories = [...path.split(delimiter).filter(Boolean), ...CELL_DIRECTORIES];
  if (named?.includes('/')) {
    if (isProgram(named)) return named;
    throw new PluginError('RUN_NO_RUNTIME', { runtime: named, searched: 'this path' });
  }
  for (const name of named === undefined ? DEFAULT_RUNTIMES : [named])
    for (const directory of directories) if (isProgram(`${directory}/${name}`)) return `${directory}/${name}`;
  throw new PluginError('RUN_NO_RUNTIME', { runtime: named, searched: directories.join(delimiter) });
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

export interface RunRequest {
  readonly runtime: string;
  /** The container's name for the runtime. */
  readonly name: string;
  readonly spec: { readonly [key: string]: unknown };
  /** The process has the terminal of this call: its runtime stays in the foreground process group. */
  readonly terminal: boolean;
  /** The descriptor for messages. */
  readonly stderr: number;
  readonly env: Readonly<Record<string, string>>;
}

/** A container that runs. */
export interface Running {
  /** Sends a signal to the process. */
  readonly send: (signal: NodeJS.Signals) => void;
  /** Ends the container, whatever its process does with signals. */
  readonly end: () => void;
  /** The exit code of the process; 128 and the number of the signal that ended it. @throws RUN_NOT_STARTED */
  readonly ended: Promise<number>;
}

/**
 * Starts a container. Without a terminal the runtime gets a session of its own, so that a Ctrl-C reaches this process only,
 * which passes it on: otherwise the process would get each signal twice. With a terminal, the runtime sets it to raw mode,
 * and Ctrl-C is a byte that the container's own terminal turns into a signal.
 */
export function startContainer(store: Store, request: RunRequest): Running {
  const { runtime, name, spec, terminal, stderr, env } = request;
  const bundle = stageDirectory(store.layout, 'bundle');
  const started = `${bundle}/pid`;
  writeSmall(`${bundle}/config.json`, bytesOfText(JSON.stringify(spec)));
  const end = () => {
    spawnSync(runtime, ['delete', '--force', name], { env, stdio: 'ignore', timeout: END_MS });
  };
  const child = spawn(runtime, ['run', '--bundle', bundle, '--pid-file', started, name], {
    stdio: ['inherit', 'inherit', stderr],
    env,
    detached: !terminal,
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.on('error', reject);
    child.on('exit', (code, signal) => {
      // The runtime itself was killed, and its container may still run.
      if (signal !== null) end();
      const exitCode = code ?? 128;
      if (signal !== null || existsSync(started))
        resolve(signal === null ? exitCode : 128 + system.signals[signal]);
      else reject(new PluginError('RUN_NOT_STARTED', { runtime, exitCode }));
    });
  }).finally(() => discardStaged(bundle));
  return { send: (signal) => child.kill(signal), end, ended };
}

/** The time in which a runtime kills and deletes a container. */
const END_MS = 30_000;
