import { PluginError } from '../base/errors/error.ts';
import { settleLimited } from '../base/pool.ts';
import type { Progress } from '../base/progress.ts';
import type { LayoutImage } from '../image/push/layout-image.ts';
import { formatReference, type RegistryReference } from '../oci/reference.ts';
import type { BlobToPush } from '../registry/push/blob-to-push.ts';
import type { PushClient } from '../registry/push/push-client.ts';
import type { BlobOutcome } from '../registry/push/upload.ts';

export interface PushDeps {
  readonly image: LayoutImage;
  readonly target: RegistryReference;
  readonly client: PushClient;
  /** The number of blobs at a time. */
  readonly parallel: number;
  readonly progress: Progress;
  readonly signal: AbortSignal;
}

/** The answer of `push`. */
export interface Pushed {
  readonly image: string;
  readonly digest: string;
  readonly mediaType: string;
  /** Numbers of blobs. `foreign`: layers that stay at the URLs of their manifest. */
  readonly blobs: Readonly<Record<BlobOutcome | 'foreign', number>>;
  readonly manifests: { readonly pushed: number; readonly there: number };
  readonly uploadedBytes: number;
}

/**
 * Sends an image to a registry: blobs first, then the manifests, children before the index that lists them, and the name
 * last. So the name never means an image of which a part is missing.
 * @throws PUSH_OTHER_DIGEST, and what the client throws
 */
export async function pushImage(deps: PushDeps): Promise<Pushed> {
  const { image, target, client, signal } = deps;
  const root = image.manifests.at(-1);
  if (root === undefined) throw new Error('should never happen: an image without a manifest');
  if (target.digest !== undefined && target.digest !== root.digest)
    throw new PluginError('PUSH_OTHER_DIGEST', { reference: formatReference(target), digest: root.digest });
  const { outcomes, uploadedBytes } = await pushBlobs(deps);
  const manifests = { pushed: 0, there: 0 };
  for (const manifest of image.manifests) {
    const name = manifest === root ? (target.tag ?? root.digest) : manifest.digest;
    manifests[await client.manifest(manifest, name, signal)] += 1;
  }
  const count = (outcome: BlobOutcome) => outcomes.filter((one) => one === outcome).length;
  return {
    image: formatReference(target),
    digest: root.digest,
    mediaType: root.mediaType,
    blobs: {
      uploaded: count('uploaded'),
      mounted: count('mounted'),
      there: count('there'),
      foreign: image.foreign,
    },
    manifests,
    uploadedBytes,
  };
}

/** @throws the first failure, after all other blobs were stopped */
async function pushBlobs({ image, client, parallel, progress, signal }: PushDeps) {
  const stopping = new AbortController();
  const until = AbortSignal.any([signal, stopping.signal]);
  let uploadedBytes = 0;
  let first: unknown;
  const send = async (blob: BlobToPush): Promise<BlobOutcome> => {
    const shown = progress.layer(blob.digest.slice(7, 19), blob.size);
    let sent = 0;
    try {
      const onBytes = (bytes: number) => {
        sent += bytes;
        shown.advance(bytes);
      };
      const outcome = await client.blob(blob, onBytes, until);
      if (outcome === 'uploaded') uploadedBytes += blob.size;
      if (sent < blob.size) shown.advance(blob.size - sent);
      return outcome;
    } catch (error) {
      first ??= error;
      stopping.abort(error);
      throw error;
    } finally {
      shown.done();
    }
  };
  const results = await settleLimited(image.blobs, parallel, send);
  const outcomes = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (outcomes.length < results.length) throw first;
  return { outcomes, uploadedBytes };
}
