import { PluginError } from './errors/error.ts';

/** `sha256:<64 lower-case hex digits>`: of a blob as stored, a manifest or a configuration. */
export type Digest = string & { readonly __brand: 'Digest' };
/** The digest of a layer's uncompressed tar (image-spec, config.md, `rootfs.diff_ids`). */
export type DiffId = Digest & { readonly __diffId: true };

const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Turns text from outside into a Digest. @throws BAD_DIGEST for other algorithms, lengths or upper case. */
export function parseDigest(text: string): Digest {
  if (!DIGEST.test(text)) throw new PluginError('BAD_DIGEST', { digest: text.slice(0, 100) });
  return text as Digest;
}

export function parseDiffId(text: string): DiffId {
  return parseDigest(text) as DiffId;
}

/** The 64 hex digits without `sha256:`, for file names. */
export function hexOf(digest: Digest): string {
  return digest.slice('sha256:'.length);
}

export function digestFromHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`);
}

/** The sha256 as 64 hex digits. `Bun.CryptoHasher` makes it, since `node:crypto` costs 5 ms at start (measured). */
export function sha256Hex(data: string | Uint8Array): string {
  return new Bun.CryptoHasher('sha256').update(data).digest('hex');
}

export function digestOf(data: string | Uint8Array): Digest {
  return `sha256:${sha256Hex(data)}` as Digest;
}
