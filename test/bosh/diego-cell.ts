/** A Diego cell as far as graft sees it: its package and job, an image to run, and Garden's calls. */
import { copyFileSync, linkSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { executable } from '../support/graft.ts';
import { type Ran, sh } from '../support/shell.ts';
import { type Boot, Cell } from './cell.ts';
import { type Properties, properties, put, type RenderRequest } from './release.ts';

export const BIN = '/var/vcap/jobs/graft/bin';
export const STORES = ['unprivileged', 'privileged'] as const;
export type StoreName = (typeof STORES)[number];

/** Small stores, and whatever the kernel can do; everything else as a cell has it. */
export const SMALL: Properties = properties({
  'graft.unprivileged_store.size_in_mb': 1024,
  'graft.privileged_store.size_in_mb': 1024,
  'graft.require_disk_limits': false,
  'graft.metron_port': 0,
});

/** The small stores with more properties set, by dotted name. */
export function small(more: Parameters<typeof properties>[0] = {}): Properties {
  return Object.entries(more).reduce((all, [name, value]) => put(all, name, value), structuredClone(SMALL));
}

export const storePath = (store: StoreName) => `/var/vcap/data/graft/store/${store}`;

/** Garden's call of the plugin, with the extra arguments that use-graft.yml gives it. */
export const plugin = (store: StoreName, words: string) =>
  `/var/vcap/packages/graft/bin/graft --config /var/vcap/jobs/graft/config/${store}.yml ${words}`;

/** A cell with graft's package, its job and a stack to make containers of; nothing has run yet. */
export async function diegoCell(request: RenderRequest = { properties: SMALL }): Promise<Cell> {
  const cell = new Cell();
  installGraft(cell);
  await cell.deployJob('graft', request);
  await makeStack(cell.at('data/stack.tar'));
  return cell;
}

/** Installs the executable under test as a new version of the package. */
export function installGraft(cell: Cell): void {
  cell.installPackage('graft', {});
  const file = cell.at(cell.currentVersion('packages/graft'), 'bin/graft');
  mkdirSync(dirname(file), { recursive: true });
  // One file of a hundred megabytes for all cells, where they are on its filesystem.
  try {
    linkSync(executable(), file);
  } catch {
    copyFileSync(executable(), file);
  }
}

/** A root filesystem with a static busybox, as a stack's tar is one with a distribution. */
async function makeStack(tar: string): Promise<void> {
  const script = `
    work=$(mktemp -d)
    mkdir -p "$work/bin" "$work/etc" "$work/tmp"
    cp "$(command -v busybox)" "$work/bin/busybox"
    for name in sh cat dd sleep; do ln -s busybox "$work/bin/$name"; done
    echo 'root:x:0:0::/:/bin/sh' >"$work/etc/passwd"
    tar -cf "$1" --owner=0 --group=0 -C "$work" .
    rm -r "$work"`;
  await sh(script, [tar]);
}

export interface Spec {
  readonly root: { readonly path: string };
}

/** Creates a container as Garden does and returns the fragment that it would read. */
export async function create(boot: Boot, store: StoreName, id: string, options = ''): Promise<Spec> {
  return JSON.parse(
    await boot.must(plugin(store, `create ${options} /var/vcap/data/stack.tar ${id}`)),
  ) as Spec;
}

/** Starts a process that lives in a container's root filesystem, as an application's does. */
export async function startProcess(boot: Boot, store: StoreName, id: string): Promise<void> {
  const rootfs = `${storePath(store)}/images/${id}/rootfs`;
  await boot.must(`setsid unshare --mount chroot ${rootfs} /bin/sleep 100000 </dev/null >/dev/null 2>&1 &
    for i in $(seq 100); do pgrep -f '^/bin/sleep 100000' >/dev/null && exit 0; sleep 0.1; done; exit 1`);
}

/** What a refusing script says, without its time. */
export function refusal(ran: Ran): [code: number, sentence: string] {
  const line = ran.stderr.split('\n').find((each) => each.includes(' refused: ')) ?? ran.stderr;
  return [ran.code, line.replace(/^\S+ \S+ refused: /, '')];
}

/** Polls on the machine until a condition of bash holds, for a minute and a half. */
export async function waitFor(boot: Boot, condition: string): Promise<void> {
  await boot.must(`for i in $(seq 900); do if ${condition}; then exit 0; fi; sleep 0.1; done; exit 1`);
}
