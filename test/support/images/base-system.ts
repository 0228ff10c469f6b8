import { lstatSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { must, sh } from '../shell.ts';

/** Directories that a merged /usr makes links; no package lists them. */
const TOP = ['/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32'];

/**
 * Copies packages of this machine's distribution into `rootfs`, as they are on its disk: owners, modes, times,
 * hard links. `priorities` says which (`required` alone is about 75 MB). Adds what a base system has too seldom
 * to test: a file capability, long and non-ASCII names, a FIFO, files of other owners.
 */
export async function baseSystem(rootfs: string, priorities: readonly string[]): Promise<void> {
  const installed = await must('dpkg-query', ['-W', '-f', `\${Priority} \${Package}\\n`]);
  const packages = installed.split('\n').map((line) => line.split(' '));
  const names = packages
    .filter(([priority = '']) => priorities.includes(priority))
    .map(([, name = '']) => name);
  const listed = await must('dpkg', ['-L', ...names]);
  const paths = new Set([...TOP, ...listed.split('\n')].flatMap((path) => realName(path)));
  await sh(
    `mkdir -p "$1"
     tar -C / --xattrs --xattrs-include='*' --no-recursion --null -T - -cf - | tar -C "$1" --xattrs --xattrs-include='*' -xpf -`,
    [rootfs],
    { stdin: [...paths].map((path) => `.${path}`).join('\0') },
  );
  await sh(EXTRAS, [], { cwd: rootfs });
}

/** A path with the links in its directories resolved, as packages may list /bin/ls where it is /usr/bin/ls. */
function realName(path: string): string[] {
  if (!path.startsWith('/') || path === '/.') return [];
  try {
    lstatSync(path);
    return [join(realpathSync(dirname(path)), basename(path))];
  } catch {
    // Listed, yet gone from this machine (documentation that was left out at installation).
    return [];
  }
}

export const EXTRAS = `
mkdir -p srv opt root tmp; chmod 1777 tmp; chmod 0700 root
cp bin/cat opt/capable; setcap cap_net_bind_service=ep opt/capable
long=$(printf 'n%.0s' $(seq 120)); mkdir -p "opt/$long/$long"; echo long > "opt/$long/$long/$long"
echo utf > 'opt/Größe'; mkfifo -m 600 opt/pipe
install -m 4711 -o 12345 -g 54321 bin/true opt/setuid; ln opt/setuid opt/setuid-too
truncate -s 5M opt/sparse; printf end >> opt/sparse
touch -d '1969-12-31 23:59:58 UTC' opt/before-the-epoch`;
