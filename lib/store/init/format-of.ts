import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { formatIdRange, type IdMappings, type IdRange } from '../../base/id-mapping.ts';
import { AT_FDCWD } from '../../sys/kernel/libc.ts';
import { exists, listNames } from '../../sys/kernel/look.ts';
import { statIfThere } from '../../sys/kernel/stat.ts';
import { isMountRoot } from '../../sys/mounts/mountinfo.ts';
import { readCopy, readMigratable, rootOwner, type StoreFormat } from '../layout/format.ts';
import { DIRECTORIES } from '../layout/layer-form.ts';
import type { Layout } from '../layout/layout.ts';
import type { StoreVersions } from '../layout/versions.ts';

export interface FoundFormat {
  readonly format: StoreFormat;
  /** False where the marker is missing or damaged. */
  readonly isWritten: boolean;
}

/**
 * The format of the store: its present one, which may be an older one that can be migrated, or the one that a new
 * store gets.
 * @param fresh the store's directory was made by this call
 * @throws STORE_FOREIGN, STORE_NOT_MOUNTED, STORE_VERSION, STORE_TOO_OLD, STORE_MAPPING_MISMATCH
 */
export function formatOf(
  layout: Layout,
  mappings: IdMappings,
  fresh: boolean,
  versions: StoreVersions,
): FoundFormat {
  const present = fresh ? undefined : presentFormat(layout, versions);
  if (present) {
    compare('UID', mappings.uids, present.format.mappings.uids);
    compare('GID', mappings.gids, present.format.mappings.gids);
    return present;
  }
  refuseOtherOwner(layout, mappings);
  const format = {
    version: versions.current,
    mappings,
    firstProjectId: firstProjectId(layout),
    layers: DIRECTORIES,
  };
  return { format, isWritten: false };
}

interface Present {
  readonly format: StoreFormat;
  readonly isWritten: boolean;
}

/** The format in the marker, or in its copy; undefined when neither can be read and a new marker may be written. */
function presentFormat(layout: Layout, versions: StoreVersions): Present | undefined {
  try {
    return { format: readMigratable(layout, versions), isWritten: true };
  } catch (error) {
    if (!isPluginError(error, 'STORE_MARKER_DAMAGED') && !isPluginError(error, 'STORE_NOT_INITIALIZED'))
      throw error;
  }
  const copy = readCopy(layout, versions);
  return copy && { format: copy, isWritten: false };
}

function compare(kind: 'UID' | 'GID', wanted: readonly IdRange[], stored: readonly IdRange[]): void {
  const text = (ranges: readonly IdRange[]) => ranges.map(formatIdRange).sort().join(', ');
  if (text(wanted) === text(stored)) return;
  throw new PluginError('STORE_MAPPING_MISMATCH', { kind, wanted: text(wanted), stored: text(stored) });
}

/** Without marker and copy, only the group of `images/` tells the mapping: it is the group of the mapped root. */
function refuseOtherOwner(layout: Layout, mappings: IdMappings): void {
  const found = statIfThere(AT_FDCWD, layout.images);
  if (found === undefined || !holdsAnything(layout)) return;
  const { gid } = rootOwner(mappings);
  if (gid === found.gid) return;
  const says = (id: number) => `its root is host id ${id}`;
  throw new PluginError('STORE_MAPPING_MISMATCH', {
    kind: 'GID',
    wanted: says(gid),
    stored: says(found.gid),
  });
}

function holdsAnything(layout: Layout): boolean {
  return [layout.volumes, layout.images].some((path) => exists(path) && listNames(path).length > 0);
}

/**
 * Project id 1 is not used, as in GrootFS. A store with a filesystem of its own begins at 2. Other stores begin far
 * apart from each other: quotas belong to the filesystem, so with equal ids two stores would count each other's
 * files.
 */
function firstProjectId(layout: Layout): number {
  if (isMountRoot(layout.root)) return 2;
  return (1 + (Number(Bun.hash.xxHash32(layout.root)) % 30_000)) * 0x10000;
}
