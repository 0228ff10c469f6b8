/** How the operator's walk reads the pages: their sections, and what is changed in their commands, with the reasons. */
import { cpSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreName } from '../bosh/diego-cell.ts';
import type { Operation, Yaml } from '../bosh/go-patch.ts';
import type { Properties } from '../bosh/release.ts';
import { readPage } from '../docs/page.ts';
import { PROJECT } from '../support/shell.ts';

/** What differs from machine to machine. */
export interface Surroundings {
  /** The kernel has project quotas. */
  readonly limits: boolean;
  /** Host of the registry that stands for those of the pages. */
  readonly registry: string;
}

/** As docs/getting-started.md says of a kernel that has none. */
const WITHOUT_LIMITS = [
  [/--disk-limit-size-bytes \d+ (--exclude-image-from-quota )?/g, ''],
  [/^graft doctor$/gm, "{ graft doctor || true; } | grep 'PROBLEM  disk limits'"],
] as const;

/** What stands in the pages, what is put there, and why. */
export function substituted(commands: string, { limits, registry }: Surroundings): string {
  const SUBSTITUTIONS: readonly (readonly [RegExp, string])[] = [
    // The packages that npm would fetch are those of the checkout that is tested.
    [/^npm ci\n/gm, ''],
    // A machine of the walk has directories of its own, and /var/tmp and /tmp are not among them.
    [/\/var\/tmp\/rootfs\.tar/g, '/srv/busybox.tar.gz'],
    [/\/etc\/graft\/graft\.yml/g, '/var/vcap/jobs/graft/config/privileged.yml'],
    [/registry\.example\.com/g, registry],
    // Without project quotas everything works except limits (README).
    ...(limits ? [] : WITHOUT_LIMITS),
  ];
  return SUBSTITUTIONS.reduce((text, [from, to]) => text.replace(from, to), commands);
}

/** What `git clone` and `npm ci` leave, as far as building and releasing take it. */
export function checkout(to: string): void {
  for (const name of ['bosh', 'ci', 'cmd', 'lib', 'package.json', 'package-lock.json', 'tsconfig.json'])
    cpSync(join(PROJECT, name), join(to, name), { recursive: true });
  for (const name of ['LICENSE', 'NOTICE', 'test/bench/empty.ts'])
    cpSync(join(PROJECT, name), join(to, name));
  symlinkSync(join(PROJECT, 'node_modules'), join(to, 'node_modules'));
}

/** The operator's own operations: small stores, the walk's registry, mounts below a directory that is the cell's. */
export function ownOperations(files: readonly string[], { limits, registry }: Surroundings): Operation[] {
  const set = (job: string, properties: Properties): Operation[] =>
    Object.entries(properties).map(([name, value]) => ({
      type: 'replace',
      path: `/instance_groups/name=diego-cell/jobs/name=${job}/properties?/${name.replaceAll('.', '/')}`,
      value,
    }));
  const graft = set('graft', {
    'graft.unprivileged_store.size_in_mb': 1024,
    'graft.privileged_store.size_in_mb': 1024,
    'graft.require_disk_limits': limits,
    'graft.insecure_docker_registry_list': [registry],
  });
  if (!files.some((file) => file.endsWith('use-graft-cvmfs.yml'))) return graft;
  const mounts = { 'cvmfs.mount_root': '/var/cvmfs', 'cvmfs.unprivileged_mount_root': '/var/cvmfs-mapped' };
  return [...graft, ...set('cvmfs-client', mounts)];
}

/** The blocks of commands of each section of a page. */
export function sectionsOf(page: string): Map<string, string[]> {
  return new Map(
    [...readPage(page).matchAll(/^## (.*)\n([\s\S]*?)(?=^## |$(?![\s\S]))/gm)].map(
      ([, title = '', text = '']) => [
        title,
        [...text.matchAll(/^```sh\n([\s\S]*?)^```$/gm)].map(([, block = '']) => block),
      ],
    ),
  );
}

/** Garden's call, from the table of docs/behind-garden.md, filled in. */
export function gardenCall(
  call: 'create' | 'stats' | 'delete',
  words: readonly string[],
  { limits }: Surroundings,
): string {
  const row = new RegExp(`^\\| [^|]+ \\| \`(${call} [^\`]+)\``, 'm').exec(readPage('docs/behind-garden.md'));
  const [reference = '', handle = ''] = words.length === 2 ? words : ['', words[0]];
  return (row?.[1] ?? '')
    .replace(/\[--username U --password P\] /, '')
    .replace(
      /\[--disk-limit-size-bytes N (\[--exclude-image-from-quota\])?\] /,
      limits ? '--disk-limit-size-bytes 67108864 ' : '',
    )
    .replace('IMAGE', reference)
    .replace('HANDLE', handle);
}

/** How Garden, told by the deployment, starts the plugin of a store. */
export function pluginOf(garden: Properties, store: StoreName): string {
  const name = store === 'privileged' ? 'privileged_image_plugin' : 'image_plugin';
  return [garden[name], ...(garden[`${name}_extra_args`] as Yaml[])].join(' ');
}
