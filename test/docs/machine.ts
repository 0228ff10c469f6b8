/**
 * An operator's machine for the commands of a page: a mount namespace in which /etc, /srv, /usr/local, /var/lib
 * and /var/log are its own and graft is installed. Everything else is the machine's.
 */
import { expect } from 'bun:test';
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { executable } from '../support/graft.ts';
import { cleanEnv, must, type Ran, run, sh } from '../support/shell.ts';
import type { TempDir } from '../support/temp.ts';
import type { Block } from './page.ts';

const OWN = ['etc', 'srv', 'usr/local', 'var/lib', 'var/log'] as const;
/** What programs look up there, whatever machine it is. */
const ETC = [
  'passwd',
  'group',
  'hosts',
  'nsswitch.conf',
  'resolv.conf',
  'ld.so.cache',
  'mke2fs.conf',
  'os-release',
];

export interface Machine extends AsyncDisposable {
  /** Runs a script of `bash -eu` there; stderr goes where stdout goes, as on a terminal. */
  run(script: string): Promise<Ran>;
  /** The same; it must succeed. Returns what it wrote. */
  must(script: string): Promise<string>;
  /** A path on it, as it is seen from outside. */
  at(path: string): string;
}

/** @param dir on a filesystem that can carry stores. @param installed whether graft is there from the start. */
export async function machine(dir: TempDir, installed = true): Promise<Machine> {
  for (const path of OWN) mkdirSync(dir.at(path), { recursive: true });
  await sh('for name in $1; do [ ! -e "/etc/$name" ] || cp "/etc/$name" "$2/"; done', [
    ETC.join(' '),
    dir.at('etc'),
  ]);
  // The directory of certificates that docs/examples/graft.yml names.
  mkdirSync(dir.at('etc/graft/layers'), { recursive: true });
  mkdirSync(dir.at('etc/bash_completion.d'));
  mkdirSync(dir.at('usr/local/bin'), { recursive: true });
  mkdirSync(dir.at('usr/local/share/zsh/site-functions'), { recursive: true });
  if (installed) symlinkSync(executable(), dir.at('usr/local/bin/graft'));
  const holder = Bun.spawn(
    ['unshare', '--mount', '--propagation', 'private', 'sh', '-euc', BIND, 'sh', dir.path, OWN.join(' ')],
    { stdin: 'pipe', stdout: 'pipe', stderr: 'inherit', env: cleanEnv() },
  );
  const reader = holder.stdout.getReader();
  const { value } = await reader.read();
  if (new TextDecoder().decode(value) !== 'ready\n')
    throw new Error('the namespace of the machine did not come up');
  const enter = ['--mount', '--target', String(holder.pid), '--wdns=/srv', '--'];
  const start = (script: string) => [
    'nsenter',
    ...enter,
    'bash',
    '-euo',
    'pipefail',
    '-c',
    `exec 2>&1\n${script}`,
  ];
  const env = cleanEnv({
    PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: '/srv',
  });
  return {
    run: (script) => run('env', start(script), { env, timeoutMs: 170_000 }),
    must: (script) => must('env', start(script), { env, timeoutMs: 170_000 }),
    at: (path) => dir.at(path),
    async [Symbol.asyncDispose]() {
      // Its standard input is what it lives on; the mounts go with it.
      holder.stdin.end();
      await holder.exited;
    },
  };
}

const BIND = 'for path in $2; do mount --bind "$1/$path" "/$path"; done; echo ready; read -r _ || true';

/** Lets the names of public registries lead to one that runs here, by the operator's own means. */
export function redirectRegistries({ at }: Machine, host: string, names: readonly string[]): void {
  mkdirSync(at('etc/containers'), { recursive: true });
  const table = (name: string) => `[[registry]]\nprefix = "${name}"\nlocation = "${host}"\ninsecure = true\n`;
  writeFileSync(at('etc/containers/registries.conf'), names.map(table).join('\n'));
}

/** A block of commands of a page, and what the page says they print, if it says so. */
export interface Step {
  readonly commands: string;
  readonly prints: string | undefined;
}

/** `sh` blocks in order; a `text` block that follows one is what it prints. */
export function stepsOf(all: readonly Block[]): Step[] {
  return all.flatMap(({ language, text }, at) => {
    if (language !== 'sh') return [];
    const next = all[at + 1];
    return [{ commands: text, prints: next?.language === 'text' ? next.text : undefined }];
  });
}

/** Runs a block; it must succeed and print what the page shows. */
export async function tryStep({ run }: Machine, { commands, prints }: Step): Promise<void> {
  const { stdout, code } = await run(commands);
  expect([stdout, code]).toEqual([stdout, 0]);
  if (prints !== undefined && !looksLike(prints, stdout)) expect(stdout).toBe(prints);
}

/** Whether `said` is what a page shows: `…` stands for anything, and blanks may be more or fewer. */
export function looksLike(shown: string, said: string): boolean {
  const tidy = (text: string) =>
    text
      .trim()
      .replace(/[ \t]+/g, ' ')
      .replace(/ $/gm, '');
  const pattern = tidy(shown)
    .split('…')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[\\s\\S]*');
  return new RegExp(`^${pattern}$`).test(tidy(said));
}
