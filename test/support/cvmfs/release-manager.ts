/** A release manager: a repository behind the stand-in of `cvmfs_server`, and graft beside it in a mount namespace. */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { executable } from '../graft.ts';
import { cleanEnv, PROJECT, type Ran, runPrivately } from '../shell.ts';
import type { TempDir } from '../temp.ts';

export const REPOSITORY = 'images.example.org';

/** The repository where real ones are, and the spool directory of its server. */
const SCRIPT = `mkdir -p /cvmfs /var/spool/cvmfs
mount --bind "$1/cvmfs" /cvmfs; mount --bind "$1/spool" /var/spool/cvmfs; shift; exec "$@"`;

export class ReleaseManager {
  readonly state: string;
  readonly program: string;

  constructor(dir: TempDir, name = 'server') {
    this.state = dir.at(name);
    for (const path of ['revisions/1', 'cvmfs', `spool/${REPOSITORY}`, 'scratch'])
      mkdirSync(join(this.state, path), { recursive: true });
    symlinkSync(join(this.state, 'revisions/1'), join(this.state, 'cvmfs', REPOSITORY));
    this.program = join(this.state, 'cvmfs_server');
    const main = join(PROJECT, 'test/support/cvmfs/server-main.ts');
    writeFileSync(
      this.program,
      `#!/bin/sh\nGRAFT_TEST_SERVER='${this.state}' exec '${process.execPath}' '${main}' "$@"\n`,
    );
    chmodSync(this.program, 0o755);
  }

  /** graft with the options for this server in front of the arguments. */
  command(verb: string, args: readonly string[], program: 'graft' | 'graft-faults' = 'graft'): string[] {
    const server = ['--cvmfs-server', this.program, '--scratch', join(this.state, 'scratch')];
    return ['-euc', SCRIPT, 'sh', this.state, executable(program), verb, ...server, ...args];
  }

  graft(verb: string, args: readonly string[]): Promise<Ran> {
    return runPrivately('/bin/sh', this.command(verb, args), { env: cleanEnv() });
  }

  /** The tool itself. */
  tool(...args: string[]): Promise<Ran> {
    return runPrivately('/bin/sh', ['-euc', SCRIPT, 'sh', this.state, this.program, ...args]);
  }

  setFault(fault: string): void {
    writeFileSync(join(this.state, 'fault'), fault);
  }

  /** The calls so far, as the tool saw them. */
  calls(): string[][] {
    const path = join(this.state, 'calls');
    if (!existsSync(path)) return [];
    return readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as string[]);
  }

  get revision(): number {
    return Math.max(...readdirSync(join(this.state, 'revisions')).map(Number));
  }

  /** The tree that clients see. */
  get tree(): string {
    return join(this.state, 'revisions', String(this.revision));
  }

  get isOpen(): boolean {
    return existsSync(join(this.state, 'spool', REPOSITORY, 'in_transaction.lock'));
  }
}
