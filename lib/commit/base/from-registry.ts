import type { Digest } from '../../base/digest.ts';
import { asPluginError } from '../../http/failure.ts';
import type { RegistryClient } from '../../registry/client.ts';
import type { BaseReader, BlobToRead } from './base-reader.ts';

/** The base image in a registry and its mirrors, by digest. */
export class RegistryBase implements BaseReader {
  readonly #client: RegistryClient;

  constructor(client: RegistryClient) {
    this.#client = client;
  }

  async manifest(digest: Digest, signal: AbortSignal): Promise<Uint8Array> {
    return (await plain(this.#client.byDigest(digest, signal))).bytes;
  }

  async config(blob: BlobToRead, signal: AbortSignal): Promise<Uint8Array> {
    return (await plain(this.#client.smallBlob(blob, 'an image configuration', signal))).bytes;
  }

  layer({ digest, size }: BlobToRead, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return this.#client.blob({ digest, size }, signal);
  }

  reject(digest: Digest): boolean {
    return this.#client.reject(digest);
  }

  close(): void {
    this.#client.close();
  }
}

async function plain<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw asPluginError(error);
  }
}
