/** The sizes of volumes on the disk, from small files that were written with them: no directory is walked. */
import { diskUsage } from '../../sys/files/disk-usage.ts';
import { close, openDir } from '../../sys/kernel/files.ts';
import { listNames } from '../../sys/kernel/look.ts';
import { bytesOfText } from '../../sys/kernel/utf8.ts';
import { MAX_NUMBER_BYTES } from '../layout/ceilings.ts';
import { isVolume, type LayerKey, layerKeyOrUndefined, type VolumeName } from '../layout/layer-key.ts';
import type { Layout } from '../layout/layout.ts';
import { isCount } from '../layout/own-json.ts';
import { readFact } from '../layout/read-file.ts';
import { writeSmall } from '../layout/staging.ts';
import type { LayerRecord } from './layer-record.ts';

export interface VolumeSize {
  /** Sum of the files, as GrootFS counts a volume; 0 for a shim. */
  readonly fileBytes: number;
  /** Blocks of all that is in the volume, as du(1) counts them. */
  readonly diskBytes: number;
  readonly inodes: number;
}

/**
 * The default inode size of XFS since 2014 (mkfs.xfs(8)). du(1) does not count inodes, but they fill the disk like
 * blocks.
 */
const INODE_BYTES = 512;

/** Bytes of a volume on the disk: blocks and inodes. */
export function sizeOf({ diskBytes, inodes }: VolumeSize): number {
  return diskBytes + inodes * INODE_BYTES;
}

/** The same bytes for a layer, from the layer's record. */
export function layerSize(record: Pick<LayerRecord, 'diskBytes' | 'entries' | 'image'>): number {
  return record.diskBytes + inodesOf(record) * INODE_BYTES;
}

/** The directory of a layer, fs/, and four files. */
const INODES_OF_IMAGE = 6;

/** Entries are a few more than inodes: a hard link has no inode of its own. The entries of an image are in its file. */
function inodesOf({ entries, image }: Pick<LayerRecord, 'entries' | 'image'>): number {
  return image === undefined ? entries : INODES_OF_IMAGE;
}

/** A reader of layer records: `Layers`. */
interface LayerRecords {
  /** Undefined for a damaged record. */
  recordIfReadable(key: LayerKey): LayerRecord | undefined;
}

const UNKNOWN: VolumeSize = { fileBytes: 0, diskBytes: 0, inodes: 0 };

/** The size of a layer, a shim or a mask; zeros when its record is damaged, which `check` reports. */
export function volumeSize(
  { layers, layout }: { readonly layers: LayerRecords; readonly layout: Layout },
  volume: VolumeName,
): VolumeSize {
  const key = layerKeyOrUndefined(volume);
  if (key === undefined) return { ...UNKNOWN, diskBytes: shimBytes(layout, volume) };
  const record = layers.recordIfReadable(key);
  if (record === undefined) return UNKNOWN;
  return { fileBytes: record.fileBytes, diskBytes: record.diskBytes, inodes: inodesOf(record) };
}

/** The layers, shims and masks below volumes/, without volumes that are being deleted. */
export function listVolumes(layout: Layout): VolumeName[] {
  return listNames(layout.volumes).filter(isVolume);
}

const FILE = 'size';

/**
 * Writes the size of a shim or a mask before it is published. Shims and masks are small, so that a stat of each entry
 * is cheap.
 */
export function writeShimSize(directory: string): void {
  writeSmall(`${directory}/${FILE}`, bytesOfText(String(walked(directory) + BLOCK)));
}

/** The block of the size file itself. */
const BLOCK = 4096;

function shimBytes(layout: Layout, volume: VolumeName): number {
  const path = layout.volume(volume);
  const known = Number(readFact(`${path}/${FILE}`, MAX_NUMBER_BYTES) ?? Number.NaN);
  return isCount(known) && known > 0 ? known : walked(path);
}

function walked(path: string): number {
  const fd = openDir(path);
  try {
    return listNames(path).reduce((sum, name) => sum + diskUsage(fd, name), 0);
  } finally {
    close(fd);
  }
}
