/** A Diego cell as far as images go: a store, configuration files, and graft called as Garden and operators do. */
import { mkdirSync, writeFileSync } from 'node:fs';
import type { RegistriesFile } from '../../../lib/registry/policy/settings.ts';
import { executable } from '../graft.ts';
import { cleanEnv, type Ran, run } from '../shell.ts';
import { type TempDir, tempDir } from '../temp.ts';

export interface CellCall {
  readonly env?: Readonly<Record<string, string>>;
  /** Words before the command: a network namespace, strace. */
  readonly before?: readonly string[];
  readonly stdin?: string;
}

/** What registries.conf of this machine says is none of a test's business; quick retries. */
const SETTINGS: RegistriesFile = { registries_conf: [], retries: { first_pause_ms: 1, longest_pause_ms: 4 } };

export class Cell implements AsyncDisposable {
  readonly dir: TempDir;
  readonly store: string;
  readonly config: string;
  #log = 0;

  private constructor(dir: TempDir) {
    this.dir = dir;
    this.store = dir.at('store');
    this.config = dir.at('graft.yml');
    mkdirSync(dir.at('graft.yml.d'));
    mkdirSync(dir.at('home'));
    this.settings({});
  }

  static async make(): Promise<Cell> {
    const cell = new Cell(tempDir());
    const made = await cell.graft(['init-store']);
    if (made.code !== 0) throw new Error(`init-store exits ${made.code}: ${made.stdout}${made.stderr}`);
    return cell;
  }

  /** The `registries:` part of graft's settings. JSON is YAML. */
  settings(registries: RegistriesFile): void {
    const all = {
      registries: { ...SETTINGS, ...registries, retries: { ...SETTINGS.retries, ...registries.retries } },
    };
    writeFileSync(this.config, `store: ${this.store}\nlog_level: debug\n`);
    writeFileSync(this.dir.at('graft.yml.d/registries.yml'), JSON.stringify(all));
  }

  graft(args: readonly string[], { env = {}, before = [], stdin }: CellCall = {}): Promise<Ran> {
    const [command = '', ...rest] = [...before, executable(), '--config', this.config, ...args];
    return run(command, rest, {
      env: { ...cleanEnv(), HOME: this.dir.at('home'), ...env },
      cwd: this.dir.path,
      ...(stdin === undefined ? {} : { stdin }),
    });
  }

  pull(image: string, flags: readonly string[] = [], call: CellCall = {}): Promise<Ran> {
    return this.graft(['pull', ...flags, image], call);
  }

  /** A new container's id. */
  id(): string {
    this.#log += 1;
    return `container-${this.#log}`;
  }

  /** Forgets all images and layers. */
  async empty(): Promise<void> {
    await this.graft(['delete-store']);
    await this.graft(['init-store']);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.graft(['delete-store']);
    await this.dir.remove();
  }
}

/** The lines of a log whose event ends with `name`. */
export function logged(ran: Ran, name: string): Record<string, unknown>[] {
  return ran.stderr
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as { message: string; data: Record<string, unknown> })
    .filter(({ message }) => message.endsWith(`.${name}`))
    .map(({ data }) => data);
}
