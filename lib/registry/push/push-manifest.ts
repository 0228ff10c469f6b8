import type { Digest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { MANIFEST_ACCEPT } from '../../oci/media-types.ts';
import { type Endpoint, encodeReference } from '../endpoint.ts';
import { statusOf } from './upload-answers.ts';

export interface ManifestToPush {
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  readonly digest: Digest;
}

/**
 * Puts a manifest under a name, unless it has that name already. A HEAD comes first, so that a push of what is there
 * changes nothing, not even the time of a tag. @throws Failure, PUSH_NOT_KEPT
 */
export async function pushManifest(
  endpoint: Endpoint,
  manifest: ManifestToPush,
  name: string,
  attempts: number,
  signal: AbortSignal,
): Promise<'there' | 'pushed'> {
  if (await endpoint.retrying(attempts, signal, () => hasManifest(endpoint, manifest, name, signal)))
    return 'there';
  const { bytes, digest, mediaType } = manifest;
  const answer = await endpoint.retrying(attempts, signal, async () => {
    const put = await endpoint.write(
      {
        method: 'PUT',
        to: `manifests/${encodeReference(name)}`,
        headers: { 'content-type': mediaType },
        body: { length: bytes.length, chunks: () => once(bytes) },
        kind: 'manifests',
        reference: name,
        accepts: [201, 200, 202, 204],
      },
      signal,
    );
    await put.body.discard();
    return put;
  });
  const named = answer.headers.get('docker-content-digest');
  const notKept = (reason: string) =>
    new PluginError('PUSH_NOT_KEPT', { registry: endpoint.host, what: `the manifest ${name}`, reason });
  if (named !== null && named !== digest) throw notKept(`calls it ${named.slice(0, 100)} and not ${digest}`);
  if (answer.status !== 201 && !(await hasManifest(endpoint, manifest, name, signal)))
    throw notKept(`does not have it (it answers ${answer.status})`);
  return 'pushed';
}

async function hasManifest(
  endpoint: Endpoint,
  { digest, mediaType }: ManifestToPush,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const accept = [mediaType, ...MANIFEST_ACCEPT].join(', ');
  try {
    const ask = {
      method: 'HEAD',
      kind: 'manifests',
      reference: name,
      headers: { accept },
      accepts: [],
    } as const;
    return (await endpoint.once(ask, signal)).headers.get('docker-content-digest') === digest;
  } catch (error) {
    const status = statusOf(error);
    // A refusal is no answer to the question; the PUT gets the registry's own sentence.
    if (status !== undefined && status < 500) return false;
    throw error;
  }
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array, void, undefined> {
  yield bytes;
}
