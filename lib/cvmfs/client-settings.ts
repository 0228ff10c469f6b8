/** What the CernVM-FS client must be told so that its mounts can be root filesystems. */
import type { IdMappings, IdRange } from '../base/id-mapping.ts';
import { toHostId } from '../base/id-mapping.ts';
import type { Repository } from './settings.ts';

/**
 * Lines for `/etc/cvmfs/default.local`, or `/etc/cvmfs/config.d/<repository>.local`, with the reason of each. The
 * shipped default.conf has CVMFS_CLAIM_OWNERSHIP=yes.
 */
export function clientSettings(repository: Repository): string[] {
  return [
    `# /etc/cvmfs/config.d/${repository.name}.local`,
    '# every file belongs to whom the image says, not to the client',
    'CVMFS_CLAIM_OWNERSHIP=no',
    '# attributes of the client that files list would be copied up into containers',
    'CVMFS_MAGIC_XATTRS_VISIBILITY=rootonly',
    '# access is checked by the kernel, with the ids of the container',
    'CVMFS_CHECK_PERMISSIONS=yes',
    ...(repository.revision === 'follow'
      ? []
      : ['# nothing changes below running containers', rootHash(repository)]),
  ];
}

function rootHash({ revision }: Repository): string {
  return `CVMFS_ROOT_HASH=${typeof revision === 'object' ? revision.rootHash : '<root hash>'}`;
}

/**
 * A second mount of the repository for a store with a mapping: CernVM-FS allows no idmapped mounts (mount_setattr(2)
 * says EINVAL, since its FUSE server does not ask for FUSE_ALLOW_IDMAP), but the client can map ids itself. Ids that a map
 * file does not name stay what they are.
 */
export function mappedMountSettings(repository: Repository, mappings: IdMappings, path: string): string[] {
  const base = `/etc/cvmfs/graft-${repository.name}`;
  return [
    `# ${base}.uid.map`,
    ...mapLines(mappings.uids),
    `# ${base}.gid.map`,
    ...mapLines(mappings.gids),
    `# ${base}.conf, beside the settings of the other mount`,
    `CVMFS_UID_MAP=${base}.uid.map`,
    `CVMFS_GID_MAP=${base}.gid.map`,
    'CVMFS_CLAIM_OWNERSHIP=no',
    '# mount it with:',
    `mkdir -p ${path} && cvmfs2 -o config=${base}.conf,allow_other,nodev ${repository.name} ${path}`,
  ];
}

/** Ids that change; a range of one line for each id is what the client's file format has. */
function mapLines(ranges: readonly IdRange[]): string[] {
  const changing = ranges.filter(({ container, host }) => container !== host);
  const lines = changing.flatMap((range) => (range.size === 1 ? [`${range.container} ${range.host}`] : []));
  const wide = changing.filter(({ size }) => size > 1);
  return [
    ...lines,
    ...wide.map((range) => `# ${range.size} lines: ${range.container} ${range.host}, and so on`),
  ];
}

/** The id that root of a store's containers has, which files of a mapped mount must show. */
export function mappedRoot(mappings: IdMappings): number {
  return toHostId(mappings.uids, 0) ?? 0;
}
