/** The base of a container that was made from the tar of a root filesystem: one layer, which is the file itself. */

import { inflate } from '../../image/source/decompressor.ts';
import { fileFormat } from '../../image/source/packed-file.ts';
import type { LayerRecord } from '../../store/records/layer-record.ts';
import { close, openAt } from '../../sys/kernel/files.ts';
import { AT_FDCWD, O } from '../../sys/kernel/libc.ts';
import { readUpTo } from '../../sys/kernel/read.ts';
import type { BaseDocuments } from '../image/document.ts';
import { layerType } from './base-image.ts';
import type { BaseReader } from './base-reader.ts';
import { bytesOfFile, told } from './from-layout.ts';

/** A tar has no documents. */
const none = async (): Promise<never> => {
  throw new Error('a tar has no manifest');
};

/** @param programs where xz and bzip2 are looked for, as in PATH */
export function tarReader(path: string, programs: string): BaseReader {
  return {
    manifest: none,
    config: none,
    layer: () => {
      const format = told(path, () => fileFormat(path));
      return format === 'xz' || format === 'bzip2' ? inflate(path, format, programs) : bytesOfFile(path);
    },
    reject: () => false,
    close: () => {},
  };
}

/**
 * @param record of the layer that the store made from the file
 * @throws IMAGE_SOURCE_UNREADABLE
 */
export function tarDocuments(
  path: string,
  { digest, diffId, compressedBytes }: Pick<LayerRecord, 'digest' | 'diffId' | 'compressedBytes'>,
): BaseDocuments {
  return {
    config: {},
    diffIds: [diffId],
    layers: [{ mediaType: layerType(compressionOf(path)), digest, size: compressedBytes }],
    shown: path,
    annotations: {},
  };
}

function compressionOf(path: string): 'gzip' | 'zstd' | 'none' {
  const first = told(path, () => {
    const fd = openAt(AT_FDCWD, path, O.RDONLY | O.NONBLOCK | O.NOCTTY);
    try {
      return Buffer.from(readUpTo(fd, 4, path)).toString('hex');
    } finally {
      close(fd);
    }
  });
  if (first.startsWith('1f8b')) return 'gzip';
  return first === '28b52ffd' ? 'zstd' : 'none';
}
