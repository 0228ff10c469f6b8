/** A container in a user namespace of its own that rearranges its root filesystem as long as it runs. */
import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { cleanEnv, must, run } from '../support/shell.ts';
import { MAPS } from '../support/stores/garden-mapping.ts';

const APPLETS = ['sh', 'mkdir', 'mv', 'ln', 'rm', 'mount', 'umount', 'sleep', 'touch', 'dd'];

/** A tar with busybox in it, and nothing else that a container needs. */
export async function busyboxTar(work: string): Promise<string> {
  const root = `${work}/busybox-root`;
  for (const name of ['bin', 'proc', 'dev', 'etc', 'mnt']) mkdirSync(`${root}/${name}`, { recursive: true });
  copyFileSync('/bin/busybox', `${root}/bin/busybox`);
  for (const name of APPLETS) symlinkSync('busybox', `${root}/bin/${name}`);
  writeFileSync(`${root}/etc/hosts`, '');
  await must('tar', ['-C', root, '-cf', `${work}/busybox.tar`, '.']);
  return `${work}/busybox.tar`;
}

/**
 * Two processes without a pause: files in the root directory, and directories that change their places and types. A mount
 * and a link out of the tree stand where they are in the way. `$1` is a directory of the host's, by the host's name.
 */
const RAGE = `
mount -t tmpfs none /mnt && mkdir /mnt/inner && mount --bind /etc /mnt/inner
mkdir -p /work/a/b/c /work/d/e
mount --bind /bin /work/d/e
ln -s "$1" /outside; ln -s /proc/1/root /work/host; ln -s ../../../../../../../.. /work/up
(i=0; while :; do i=$(((i+1) % 500)); : > /f$i; : > /work/a/b/f$i; done) 2>/dev/null &
: > /raging
while :; do
  mkdir -p /work/a/b/c; mv /work/a/b /work/moved; ln -s "$1" /work/a/b; mv /work/moved /moved
  rm -rf /work/a/b; mkdir /work/a/b; ln -s / /work/a/b/c; rm -rf /moved /work/a; : > /work/a; rm -f /work/a
done 2>/dev/null`;

export interface Hostile {
  /** Ends all its processes and waits for that. */
  stop(): Promise<void>;
}

/**
 * Starts the container by runc(8), as Garden does, and comes back as soon as it rages.
 * @param fragment what `create` printed
 * @param outside a directory of the host's that it makes links to
 */
export async function startHostile(
  work: string,
  id: string,
  fragment: string,
  outside: string,
): Promise<Hostile> {
  const bundle = `${work}/bundle-${id}`;
  const { root, mounts = [] } = JSON.parse(fragment) as { root: { path: string }; mounts?: unknown[] };
  mkdirSync(bundle);
  await must('runc', ['spec'], { cwd: bundle });
  const spec = await Bun.file(`${bundle}/config.json`).json();
  const mappings = MAPS.map((map) => map.split(':').map(Number)).map(([containerID, hostID, size]) => {
    return { containerID, hostID, size };
  });
  const capabilities = ['CAP_SYS_ADMIN', 'CAP_DAC_OVERRIDE', 'CAP_FOWNER', 'CAP_CHOWN', 'CAP_MKNOD'];
  const kinds = ['bounding', 'effective', 'permitted'];
  const proc = spec.mounts.filter(({ destination }: { destination: string }) => destination === '/proc');
  const merged = {
    ...spec,
    root: { path: root.path },
    mounts: [...mounts, ...proc],
    process: {
      ...spec.process,
      terminal: false,
      args: ['/bin/sh', '-c', RAGE, 'sh', outside],
      capabilities: Object.fromEntries(kinds.map((kind) => [kind, capabilities])),
    },
    linux: {
      ...spec.linux,
      resources: undefined,
      namespaces: ['pid', 'ipc', 'uts', 'mount', 'user'].map((type) => ({ type })),
      uidMappings: mappings,
      gidMappings: mappings,
    },
  };
  writeFileSync(`${bundle}/config.json`, JSON.stringify(merged));
  const name = `graft-${crypto.randomUUID()}`;
  const runc = (...args: string[]) => run('runc', ['--root', `${work}/runc`, ...args]);
  // The least share of the processor: a cell's containers have limits for that, and the plugin stands outside of them.
  const child = Bun.spawn(
    ['nice', '-n', '19', 'runc', '--root', `${work}/runc`, 'run', '--bundle', bundle, name],
    { env: cleanEnv(), stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const said = new Response(child.stderr).text();
  const stop = async () => {
    await runc('delete', '--force', name);
    await child.exited;
    rmSync(bundle, { recursive: true });
  };
  // Not below `rootfs`: where runc mounts the overlay the host sees nothing there.
  const raging = `${dirname(root.path)}/diff/raging`;
  while (!(await Bun.file(raging).exists())) {
    if (child.exitCode !== null) throw new Error(`the container ended: ${await said}`);
    await Bun.sleep(5);
  }
  return { stop };
}
