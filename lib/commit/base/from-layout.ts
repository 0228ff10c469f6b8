import { type Digest, hexOf } from '../../base/digest.ts';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES } from '../../base/limits.ts';
import { readImageFile, unreadable } from '../../image/source/local-file.ts';
import { verifyDigest } from '../../oci/descriptor.ts';
import { FileRefused, readPieces, reasonOf } from '../../sys/files/regular-file.ts';
import { SysError } from '../../sys/kernel/errno.ts';
import type { BaseReader, BlobToRead } from './base-reader.ts';

/** The base image in a local OCI layout. Its names may have moved on, so that only digests are looked up. */
export class LayoutBase implements BaseReader {
  readonly #directory: string;

  constructor(directory: string) {
    this.#directory = directory;
  }

  async manifest(digest: Digest): Promise<Uint8Array> {
    return this.#document(digest, MAX_MANIFEST_BYTES);
  }

  async config({ digest }: BlobToRead): Promise<Uint8Array> {
    return this.#document(digest, MAX_CONFIG_BYTES);
  }

  layer({ digest }: BlobToRead): AsyncIterable<Uint8Array> {
    return bytesOfFile(this.#path(digest));
  }

  /** The file has these bytes and no others. */
  reject(): boolean {
    return false;
  }

  close(): void {}

  #document(digest: Digest, most: number): Uint8Array {
    const path = this.#path(digest);
    const bytes = told(path, () => readImageFile(path, most, 'refuse'));
    verifyDigest(bytes, digest);
    return bytes;
  }

  #path(digest: Digest): string {
    return `${this.#directory}/blobs/sha256/${hexOf(digest)}`;
  }
}

/** @throws IMAGE_SOURCE_UNREADABLE instead of a SysError */
export function told<T>(path: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw asUnreadable(path, error);
  }
}

function asUnreadable(path: string, error: unknown): unknown {
  return error instanceof SysError ? unreadable(path, reasonOf(error), error) : error;
}

/** The bytes of a regular file, in portions. @throws IMAGE_SOURCE_UNREADABLE */
export async function* bytesOfFile(path: string): AsyncGenerator<Uint8Array> {
  try {
    yield* readPieces(path, 'follow', 0);
  } catch (error) {
    if (error instanceof FileRefused) throw unreadable(path, error.message, error);
    throw asUnreadable(path, error);
  }
}
