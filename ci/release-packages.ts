/** Which npm packages are in the executable: asked of the bundler, since a list by hand would be wrong some day. */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { NpmPackage } from './sbom.ts';

const PROJECT = join(import.meta.dir, '..');
/** Its output is compiled in, not itself. */
const GENERATORS = ['ajv'];

interface Metafile {
  readonly outputs: Readonly<
    Record<string, { readonly inputs: Readonly<Record<string, { readonly bytesInOutput: number }>> }>
  >;
}

interface Lock {
  readonly packages: Readonly<
    Record<
      string,
      {
        version: string;
        integrity: string;
        license?: string;
        dependencies?: Readonly<Record<string, string>>;
      }
    >
  >;
}

export function readJson<T>(path: string): T {
  return JSON.parse(readFileSync(join(PROJECT, path), 'utf8')) as T;
}

/** @throws Error when the bundler fails. */
export function compiledPackages(): NpmPackage[] {
  const names = new Set(GENERATORS);
  for (const { inputs } of Object.values(bundle().outputs))
    for (const [path, { bytesInOutput }] of Object.entries(inputs)) {
      const name = /.*node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1];
      if (name !== undefined && bytesInOutput > 0) names.add(name);
    }
  return [...names].sort().map(npmPackage);
}

/**
 * The facts about a package in package-lock.json and in the package itself. @throws Error for a package that is not
 * installed.
 */
export function npmPackage(name: string): NpmPackage {
  const locked = readJson<Lock>('package-lock.json').packages[`node_modules/${name}`];
  if (locked?.license === undefined) throw new Error(`package-lock.json knows no licence of ${name}`);
  const { version, integrity, license: licence } = locked;
  return { name, version, licence, integrity, dependencies: Object.keys(locked.dependencies ?? {}) };
}

/** Paths of a package's own licence files. @throws Error when it has none. */
export function licenceFiles(name: string): string[] {
  const directory = join(PROJECT, 'node_modules', name);
  const files = readdirSync(directory).filter((file) => /^(licen[cs]e|notice|copying)([-.]|$)/i.test(file));
  if (!files.some((file) => !/^notice/i.test(file))) throw new Error(`${name} carries no licence text`);
  return files.map((file) => join(directory, file));
}

/** The same entries as ci/build compiles. */
function bundle(): Metafile {
  const out = mkdtempSync(join(tmpdir(), 'graft-bundle-'));
  try {
    const entries = readdirSync(join(PROJECT, 'cmd'))
      .filter((file) => file === 'graft.ts' || file.endsWith('-worker.ts'))
      .map((file) => join(PROJECT, 'cmd', file));
    const flags = ['--target=bun', '--format=esm', '--splitting', '--define', 'GRAFT_FAULTS=false'];
    const command = [process.execPath, 'build', ...flags, `--outdir=${out}`, `--metafile=${out}/meta.json`];
    const { exitCode, stderr } = Bun.spawnSync([...command, ...entries], { cwd: PROJECT });
    if (exitCode !== 0) throw new Error(`the bundler fails: ${stderr.toString()}`);
    return JSON.parse(readFileSync(join(out, 'meta.json'), 'utf8')) as Metafile;
  } finally {
    rmSync(out, { recursive: true, force: true });
  }
}
