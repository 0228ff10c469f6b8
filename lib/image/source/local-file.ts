/** Reads files of image sources on this machine, with the errors of images. */
import { PluginError } from '../../base/errors/error.ts';
import {
  type FileFacts,
  FileRefused,
  type FinalLink,
  readSmallFile,
  regularFile,
} from '../../sys/files/regular-file.ts';

/** Facts of a regular file that can be read. @throws IMAGE_SOURCE_UNREADABLE; SysError of statx(2) and openat(2), EISDIR */
export function imageFile(path: string, link: FinalLink): FileFacts {
  return orImageError(path, () => regularFile(path, link));
}

/** The bytes of a small file. @throws as `imageFile`; IMAGE_SOURCE_CHANGED */
export function readImageFile(path: string, maxBytes: number, link: FinalLink): Uint8Array {
  return orImageError(path, () => readSmallFile(path, maxBytes, link));
}

function orImageError<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof FileRefused)) throw error;
    if (error.kind === 'changed') throw new PluginError('IMAGE_SOURCE_CHANGED', { path });
    throw unreadable(path, error.message);
  }
}

export function unreadable(path: string, reason: string, cause?: unknown): PluginError {
  return new PluginError('IMAGE_SOURCE_UNREADABLE', { path, reason }, { cause });
}

/** A name for the content of a file: a write to the file changes its time. */
export function identityOf({ devMajor, devMinor, ino, size, mtime }: FileFacts): string {
  return `${devMajor}:${devMinor}-${ino}-${size}-${mtime.sec}.${mtime.nsec}`;
}
