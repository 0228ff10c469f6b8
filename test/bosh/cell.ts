/**
 * A machine that BOSH deploys to, in a scratch directory: jobs and packages where the agent puts them, and boots.
 * A boot is a mount and a process namespace whose /var is the scratch directory's, so scripts run unchanged with
 * their absolute paths; when it ends, every process is gone and every mount with it, as after pulling the plug.
 */
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { cleanEnv, type Ran } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { type RenderRequest, renderWell } from './release.ts';

const STEP_TIMEOUT_MS = 120_000;
/** The group vcap of a stemcell, and the directories that the agent gives to it. */
const VCAP = 1000;
const AGENTS: readonly (readonly [name: string, mode: number])[] = [
  ['data/jobs', 0o750],
  ['data/tmp', 0o770],
  ['sys', 0o750],
  ['sys/run', 0o750],
  ['sys/log', 0o750],
];

export class Cell implements AsyncDisposable {
  readonly dir: TempDir;
  /** Jobs and packages get a directory for each version; what the paths under /var/vcap lead to is switched. */
  #versions = 0;

  constructor(dir: TempDir = tempDir()) {
    this.dir = dir;
    for (const name of ['jobs', 'packages', 'data/jobs', 'data/packages', 'sys/run', 'sys/log', 'data/tmp']) {
      mkdirSync(this.at(name), { recursive: true });
    }
    for (const [name, mode] of AGENTS) {
      chownSync(this.at(name), 0, VCAP);
      chmodSync(this.at(name), mode);
    }
    for (const name of ['tmp', 'lib', 'cache', 'log']) mkdirSync(dir.at('var', name));
    symlinkSync('/run', dir.at('var/run'));
  }

  /** The path, outside, of a name below /var/vcap. */
  at(...names: string[]): string {
    return this.dir.at('var/vcap', ...names);
  }

  exists(name: string): boolean {
    return existsSync(this.at(name));
  }

  read(name: string): string {
    return readFileSync(this.at(name), 'utf8');
  }

  /** Renders a job and makes it the current version, as an agent does for every deployment. */
  async deployJob(job: string, request: RenderRequest = {}): Promise<void> {
    this.#versions += 1;
    const version = `data/jobs/${job}/${this.#versions}`;
    await renderWell(job, this.at(version), request);
    this.#switch(`jobs/${job}`, version);
  }

  /** Installs a package from a directory or from a map of file names to their texts. */
  installPackage(name: string, from: string | Readonly<Record<string, string>>): void {
    this.#versions += 1;
    const version = `data/packages/${name}/${this.#versions}`;
    mkdirSync(this.at(version), { recursive: true });
    if (typeof from === 'string') cpSync(from, this.at(version), { recursive: true });
    else
      for (const [file, text] of Object.entries(from)) {
        mkdirSync(dirname(this.at(version, file)), { recursive: true });
        writeFileSync(this.at(version, file), text, { mode: 0o755 });
      }
    this.#switch(`packages/${name}`, version);
  }

  /** What a link such as `packages/graft` leads to, below /var/vcap. */
  currentVersion(link: string): string {
    return readlinkSync(this.at(link)).replace('/var/vcap/', '');
  }

  #switch(link: string, version: string): void {
    rmSync(this.at(link), { force: true });
    symlinkSync(`/var/vcap/${version}`, this.at(link));
  }

  /** Starts the machine. Run files are on a tmpfs on real ones, so they do not survive. */
  boot(): Boot {
    rmSync(this.at('sys/run'), { recursive: true, force: true });
    mkdirSync(this.at('sys/run'), { mode: 0o750 });
    chownSync(this.at('sys/run'), 0, VCAP);
    return new Boot(this.dir);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dir.remove();
  }
}

/** Process 1: runs the script files that it is named on stdin, one after the other, and reports their status. */
const INIT = `
set -eu
# What is mounted on the machine of the tests is no business of this one's.
awk '$5 != "/" && / - (overlay|fuse) / { print $5 }' /proc/self/mountinfo | tac |
  while read -r point; do umount -l "$point" 2>/dev/null || true; done
mount --bind "$1/var" /var
export PATH=/usr/sbin:/usr/bin:/sbin:/bin TMPDIR=/var/tmp
echo up
while read -r script; do
  status=0
  bash -euo pipefail "$script" </dev/null >"$script.out" 2>"$script.err" || status=$?
  echo "$status"
done
`;

export class Boot implements AsyncDisposable {
  readonly #dir: TempDir;
  readonly #process;
  readonly #lines: AsyncIterator<string>;
  #steps = 0;

  constructor(dir: TempDir) {
    this.#dir = dir;
    const namespaces = [
      '--mount',
      '--propagation',
      'private',
      '--pid',
      '--fork',
      '--kill-child',
      '--mount-proc',
    ];
    // bash takes a socket at its stdin, which Bun makes, for a remote login and would read ~/.bashrc: seconds on some machines.
    const init = ['bash', '--norc', '-c', INIT, 'init', dir.path];
    this.#process = Bun.spawn(['unshare', ...namespaces, '--', ...init], {
      env: cleanEnv(),
      stdin: 'pipe',
      stdout: 'pipe',
      stderr: 'inherit',
    });
    this.#lines = linesOf(this.#process.stdout);
  }

  /** Runs lines of bash with `set -euo pipefail` on the machine, to their end. */
  async run(script: string, timeoutMs = STEP_TIMEOUT_MS): Promise<Ran> {
    if (this.#steps === 0) await this.#line('the boot', timeoutMs);
    this.#steps += 1;
    const file = this.#dir.at(`step${this.#steps}`);
    writeFileSync(file, script);
    this.#process.stdin.write(`${file}\n`);
    this.#process.stdin.flush();
    const code = Number(await this.#line(script, timeoutMs));
    const read = (name: string) => readFileSync(`${file}.${name}`, 'utf8');
    return { code, signal: undefined, stdout: read('out'), stderr: read('err') };
  }

  /** `run` for scripts that must succeed. @throws Error with all output otherwise. */
  async must(script: string, timeoutMs = STEP_TIMEOUT_MS): Promise<string> {
    const ran = await this.run(script, timeoutMs);
    if (ran.code !== 0) throw new Error(`exits ${ran.code}: ${script}\n${ran.stdout}${ran.stderr}`);
    return ran.stdout;
  }

  async #line(what: string, timeoutMs: number): Promise<string> {
    const { promise: late, resolve } = Promise.withResolvers<'late'>();
    const timer = setTimeout(resolve, timeoutMs, 'late' as const);
    const next = await Promise.race([this.#lines.next(), late]);
    clearTimeout(timer);
    if (next === 'late') {
      await this.pullPlug();
      throw new Error(`not finished after ${timeoutMs} ms: ${what}`);
    }
    if (next.done) throw new Error(`the machine went down during ${what}`);
    return next.value;
  }

  /** Ends the machine at once: nothing is asked to stop, nothing is unmounted. */
  async pullPlug(): Promise<void> {
    this.#process.kill('SIGKILL');
    await this.#process.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pullPlug();
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop() ?? '';
    yield* lines;
  }
}
