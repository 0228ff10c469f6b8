import type { Digest } from '../../base/digest.ts';
import type { Grade } from '../../base/grade.ts';
import type { LayerOrigin } from '../../cvmfs/settings.ts';
import type { ImageConfig } from '../../oci/config.ts';
import type { Grant } from '../../store/records/grants.ts';
import type { TrustRecord } from '../../store/records/image-record.ts';
import type { ImageLayer } from './image-layer.ts';

export interface ResolvedImage {
  /** The reference without credentials, for logs and records. */
  readonly name: string;
  readonly manifestDigest: Digest | undefined;
  /** The outermost index that the image was chosen from; absent where the reference named the manifest itself. */
  readonly index?: Digest | undefined;
  /** Annotations of the manifest that say where the image comes from (lib/oci/origin-annotations.ts). */
  readonly annotations?: Readonly<Record<string, string>> | undefined;
  readonly config: ImageConfig | undefined;
  /** Bottom layer first. */
  readonly layers: readonly ImageLayer[];
  /** True when manifest or configuration do not match their digests, and the settings allow that. */
  readonly unverified?: true | undefined;
  /** The processor's level (`v3`, or empty) that chose this image of an index; undefined when it chose none. */
  readonly forLevel?: string | undefined;
  /** The source of the image, for a lookup of its layers on CVMFS by digest; undefined: no lookup. */
  readonly origin?: LayerOrigin | undefined;
  /** The place of its layers, as grants name it (lib/store/records/grants.ts); undefined: several places, or none. */
  readonly place?: string | undefined;
  /** The grade of the manifest and the configuration; undefined: no other caller may have them. */
  readonly grade?: Grade | undefined;
  /** Set for an image that its registry gave before, and could not answer for now. */
  readonly lastKnown?: { readonly resolved: string } | undefined;
  /** Why the image may run; undefined without a policy for signatures. */
  readonly trust?: TrustRecord | undefined;
  /** The names of the CVMFS repositories from which layers may be used in place; undefined: all of the settings. */
  readonly inPlaceFrom?: readonly string[] | undefined;
}

/** The facts of a blob that a grant has. */
export interface BlobOfPlace {
  readonly digest: Digest;
  readonly size: number;
}

/** The bytes of one layer's blob: a local file that the unpacker opens itself, or a stream. */
export type LayerBytes =
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly size: number;
      /** The offset of the blob in the file, for a member of an archive; undefined: the blob is the file. */
      readonly at?: number | undefined;
    }
  | {
      readonly kind: 'stream';
      readonly chunks: AsyncIterable<Uint8Array>;
      readonly size: number | undefined;
    };

/**
 * The source of an image. An object serves one create or one pull:
 *  - `resolve` is called once, before any lock and before any byte of a layer. The call turns the reference into
 *   manifest, configuration and layers, and checks all that can be checked without the layers. The guard (`ImageGuard`) refuses an
 *   image before its configuration is read.
 *  - `open` is called for each layer that the store lacks, several at a time. The unpacker verifies the bytes, not the
 *   source.
 *  - `delivered` tells, after the last byte, from which place and with which rights the bytes came.
 *  - `close` is called at the end, also after a failure. After it no request of the source is running.
 * For example:
 *
 *     const image = await source.resolve(signal);
 *     for (const layer of image.layers.filter(isMissing)) await unpack(await source.open(layer, signal));
 *     await source.close();
 *
 * Every implementation runs `test/suites/image-source.suite.ts`.
 */
export interface ImageSource {
  resolve(signal: AbortSignal): Promise<ResolvedImage>;
  open(layer: ImageLayer, signal: AbortSignal): Promise<LayerBytes>;
  /** The later `ResolvedImage.place`, where it is known before. */
  readonly place?: string | undefined;
  /**
   * The grade with which the caller may have a blob of the image's place that another caller got from there; undefined:
   * the caller may not have it, as where this method is missing. @throws REGISTRY_* where the place refuses, or cannot
   * be asked
   */
  mayRead?(blob: BlobOfPlace, signal: AbortSignal): Promise<Grade | undefined>;
  /** The grant for a layer whose bytes `open` gave, after they were read to the end. */
  delivered(layer: ImageLayer): Grant;
  /** The hosts that gave the bytes of a layer that was delivered (`LayerRecord.hosts`). Missing where none did. */
  hosts?(layer: ImageLayer): readonly string[] | undefined;
  /**
   * Checks a local tar, which has no digest: after the last byte of `layer` was read, and before the layer is renamed
   * into place. @throws IMAGE_SOURCE_CHANGED
   */
  verifyUnchanged?(layer: ImageLayer): Promise<void>;
  /**
   * Rejects the bytes that `open` gave (after any LAYER_… error of the unpacker). Returns true when another `open`
   * gives bytes from another server. Only then a second try makes sense.
   */
  reject?(layer: ImageLayer): boolean;
  close(): Promise<void>;
}
