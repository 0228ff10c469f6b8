import { isPluginError, PluginError } from '../base/errors/error.ts';
import { formatIdRange, type IdMappings, type IdRange } from '../base/id-mapping.ts';
import { AT_FDCWD } from '../sys/libc.ts';
import { exists, listNames } from '../sys/look.ts';
import { isMountRoot } from '../sys/mountinfo.ts';
import { statIfThere } from '../sys/stat.ts';
import { readMigratable, rootOwner, type StoreFormat, whyNoMarker } from './format.ts';
import type { Layout } from './layout.ts';
import type { StoreVersions } from './versions.ts';

export interface AgreedFormat {
  readonly format: StoreFormat;
  /** False where the marker is missing or damaged. */
  readonly isWritten: boolean;
}

/**
 * The format a store has, also an older one that can be migrated, or will have.
 * @param fresh its directory was made just now
 * @throws STORE_FOREIGN, STORE_NOT_MOUNTED, STORE_VERSION, STORE_TOO_OLD, STORE_MAPPING_MISMATCH
 */
export function agree(
  layout: Layout,
  mappings: IdMappings,
  fresh: boolean,
  versions: StoreVersions,
): AgreedFormat {
  const present = fresh ? undefined : presentFormat(layout, versions);
  if (present) {
    compare('UID', mappings.uids, present.mappings.uids);
    compare('GID', mappings.gids, present.mappings.gids);
    return { format: present, isWritten: true };
  }
  refuseOtherOwner(layout, mappings);
  const format = { version: versions.current, mappings, firstProjectId: firstProjectId(layout) };
  return { format, isWritten: false };
}

/** Undefined where there is none that can be read, and nothing speaks against making one. */
function presentFormat(layout: Layout, versions: StoreVersions): StoreFormat | undefined {
  if (!exists(layout.marker)) {
    const why = whyNoMarker(layout);
    if (why.code !== 'STORE_NOT_INITIALIZED') throw why;
    return undefined;
  }
  try {
    return readMigratable(layout, versions);
  } catch (error) {
    if (!isPluginError(error, 'STORE_MARKER_DAMAGED')) throw error;
    return undefined;
  }
}

function compare(kind: 'UID' | 'GID', wanted: readonly IdRange[], stored: readonly IdRange[]): void {
  const text = (ranges: readonly IdRange[]) => ranges.map(formatIdRange).sort().join(', ');
  if (text(wanted) === text(stored)) return;
  throw new PluginError('STORE_MAPPING_MISMATCH', { kind, wanted: text(wanted), stored: text(stored) });
}

/** The owner of a store's directories tells the mapping of its root, when nothing else does any more. */
function refuseOtherOwner(layout: Layout, mappings: IdMappings): void {
  const found = statIfThere(AT_FDCWD, layout.volumes);
  if (found === undefined || !holdsAnything(layout)) return;
  const root = rootOwner(mappings);
  const refuse = (kind: 'UID' | 'GID', wanted: number, stored: number) => {
    if (wanted === stored) return;
    const says = (id: number) => `its root is host id ${id}`;
    throw new PluginError('STORE_MAPPING_MISMATCH', { kind, wanted: says(wanted), stored: says(stored) });
  };
  refuse('UID', root.uid, found.uid);
  refuse('GID', root.gid, found.gid);
}

function holdsAnything(layout: Layout): boolean {
  return [layout.volumes, layout.images].some((path) => exists(path) && listNames(path).length > 0);
}

/**
 * Id 1 is left alone, as GrootFS does. A store with a filesystem of its own begins at 2; others begin far
 * apart, since quotas belong to the filesystem and two stores on one would count each other's files.
 */
function firstProjectId(layout: Layout): number {
  if (isMountRoot(layout.root)) return 2;
  return (1 + (Number(Bun.hash.xxHash32(layout.root)) % 30_000)) * 0x10000;
}
