/** Where the blobs of a container's base image come from. */
import type { Digest } from '../../base/digest.ts';

export interface BlobToRead {
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  readonly mediaType: string;
}

export interface BaseReader {
  /** The verified bytes of the manifest. */
  manifest(digest: Digest, signal: AbortSignal): Promise<Uint8Array>;
  /** The verified bytes of the configuration. */
  config(blob: BlobToRead, signal: AbortSignal): Promise<Uint8Array>;
  /** A layer's bytes. The caller verifies them. */
  layer(blob: BlobToRead, signal: AbortSignal): AsyncIterable<Uint8Array>;
  /** The layer's bytes were wrong. True when another read may give others. */
  reject(digest: Digest): boolean;
  close(): void;
}
