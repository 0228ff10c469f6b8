/** What volumes take on the disk, by the small files that were written with them: nothing is walked. */
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

/** XFS's default since 2014 (mkfs.xfs(8)). They lie outside of what du(1) counts, and fill the disk like blocks. */
const INODE_BYTES = 512;

/** Bytes that the disk is short of by the volume. */
export function sizeOf({ diskBytes, inodes }: VolumeSize): number {
  return diskBytes + inodes * INODE_BYTES;
}

/** The same of a layer by its record. */
export function layerSize({ diskBytes, entries }: Pick<LayerRecord, 'diskBytes' | 'entries'>): number {
  return diskBytes + entries * INODE_BYTES;
}

/** Records of layers, as `Layers` reads them. */
interface LayerRecords {
  /** Undefined for a record that is damaged. */
  recordIfReadable(key: LayerKey): LayerRecord | undefined;
}

const UNKNOWN: VolumeSize = { fileBytes: 0, diskBytes: 0, inodes: 0 };

/** Of a layer, a shim or a mask; zeros where its record is damaged, which `check` tells about. */
export function volumeSize(
  { layers, layout }: { readonly layers: LayerRecords; readonly layout: Layout },
  volume: VolumeName,
): VolumeSize {
  const key = layerKeyOrUndefined(volume);
  if (key === undefined) return { ...UNKNOWN, diskBytes: shimBytes(layout, volume) };
  const record = layers.recordIfReadable(key);
  if (record === undefined) return UNKNOWN;
  // Entries are a few more than inodes: links have none of their own.
  return { fileBytes: record.fileBytes, diskBytes: record.diskBytes, inodes: record.entries };
}

/** Layers, shims and masks under their own names; what is set aside is not among them. */
export function listVolumes(layout: Layout): VolumeName[] {
  return listNames(layout.volumes).filter(isVolume);
}

const FILE = 'size';

/** Before a shim or a mask is published. They are small, so that looking at each name costs little. */
export function writeShimSize(directory: string): void {
  writeSmall(`${directory}/${FILE}`, bytesOfText(String(walked(directory) + BLOCK)));
}

/** Of the file itself. */
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
