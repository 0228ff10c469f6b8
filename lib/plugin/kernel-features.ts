import { existsSync, readFileSync } from 'node:fs';
import { release } from 'node:os';

/** The parts of a kernel on which graft's abilities depend. A filesystem that is a module counts once it is loaded. */
export interface KernelFeatures {
  readonly release: string;
  readonly openat2: boolean;
  readonly overlayfs: boolean;
  readonly xfs: boolean;
  /** Quotas of XFS, without which there are no disk limits; undefined while XFS is not loaded. */
  readonly xfsQuotas: boolean | undefined;
  readonly idmappedOverlay: boolean;
  readonly erofs: boolean;
  readonly fuse: boolean;
}

export function kernelFeatures(): KernelFeatures {
  const filesystems = readFileSync('/proc/filesystems', 'latin1').split('\n');
  const has = (name: string) => filesystems.some((line) => line.endsWith(`\t${name}`));
  const [major = 0, minor = 0] = release().split('.').map(Number.parseFloat);
  const since = (wanted: number, least: number) => major > wanted || (major === wanted && minor >= least);
  return {
    release: release(),
    openat2: since(5, 6),
    overlayfs: has('overlay'),
    xfs: has('xfs'),
    // The file that XFS makes where it was built with quotas (fs/xfs/xfs_stats.c).
    xfsQuotas: has('xfs') ? existsSync('/proc/fs/xfs/xqmstat') : undefined,
    // overlayfs takes idmapped layers since 5.19 (fs/overlayfs, "support idmapped layers").
    idmappedOverlay: since(5, 19),
    erofs: has('erofs'),
    fuse: has('fuse'),
  };
}
