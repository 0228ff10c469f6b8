import { type Digest, digestOf, parseDigest } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';

/** A descriptor names a blob (image-spec, descriptor.md). */
export interface Descriptor {
  readonly mediaType: string;
  readonly digest: Digest;
  /** Bytes of the blob. */
  readonly size: number;
  readonly urls: readonly string[];
  readonly annotations: ReadonlyMap<string, string>;
}

/** A descriptor as its schema lets it through (schemas/image-manifest.json). */
export interface RawDescriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  readonly urls?: readonly string[] | null;
  readonly annotations?: Readonly<Record<string, string>> | null;
}

/** @throws BAD_DIGEST for anything but sha256 with 64 lower-case digits. */
export function toDescriptor(raw: RawDescriptor): Descriptor {
  return {
    mediaType: raw.mediaType,
    digest: parseDigest(raw.digest),
    size: raw.size,
    urls: raw.urls ?? [],
    annotations: new Map(Object.entries(raw.annotations ?? {})),
  };
}

/** Compares the digest of bytes with the expected one. @throws IMAGE_DIGEST_MISMATCH */
export function verifyDigest(bytes: Uint8Array, expected: Digest): void {
  const actual = digestOf(bytes);
  if (actual !== expected) throw new PluginError('IMAGE_DIGEST_MISMATCH', { expected, actual });
}
