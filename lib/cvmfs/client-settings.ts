/** Settings of a CernVM-FS client whose mounts serve as root filesystems. */
import type { IdMappings, IdRange } from '../base/id-mapping.ts';
import { toHostId } from '../base/id-mapping.ts';
import type { Repository } from './settings.ts';

/**
 * Lines for `/etc/cvmfs/default.local` or `/etc/cvmfs/config.d/<repository>.local`, each with its reason. They undo
 * CVMFS_CLAIM_OWNERSHIP=yes, which default.conf of the packages has.
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
 * Settings of a second mount of the repository, for a store with a mapping. CernVM-FS allows no idmapped mounts:
 * mount_setattr(2) fails with EINVAL, since its FUSE server does not ask for FUSE_ALLOW_IDMAP. But the client itself
 * can map ids. An id that the map file does not name stays as it is.
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

/** Lines of a map file. The file's format has a line for each id, so of a long range only a comment is printed. */
function mapLines(ranges: readonly IdRange[]): string[] {
  const changing = ranges.filter(({ container, host }) => container !== host);
  const lines = changing.flatMap((range) => (range.size === 1 ? [`${range.container} ${range.host}`] : []));
  const wide = changing.filter(({ size }) => size > 1);
  return [
    ...lines,
    ...wide.map((range) => `# ${range.size} lines: ${range.container} ${range.host}, and so on`),
  ];
}

/** The host id of root in the store's containers. Files of a mapped mount must show it. */
export function mappedRoot(mappings: IdMappings): number {
  return toHostId(mappings.uids, 0) ?? 0;
}
