import { Failure } from '../../http/failure.ts';
import type { BlobDescriptor } from '../blobs/blob-request.ts';
import type { Endpoint } from '../endpoint.ts';
import { statusOf } from './upload-answers.ts';

/** The statuses with which registries answer for a blob that they do not have, or do not tell of. */
const NOT_THERE: ReadonlySet<number | undefined> = new Set([400, 404, 405]);

/**
 * Asks once by HEAD whether a repository has a blob. An answer about other bytes counts as no: the blob is then sent, and
 * the registry keeps what it has. @throws Failure
 */
export async function hasBlob(
  endpoint: Endpoint,
  { digest, size }: BlobDescriptor,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    const ask = { method: 'HEAD', kind: 'blobs', reference: digest, headers: {}, accepts: [] } as const;
    const { headers } = await endpoint.once(ask, signal);
    const named = headers.get('docker-content-digest');
    if (named !== null && named !== digest) return false;
    const length = headers.get('content-length');
    return length === null ? named !== null : Number(length) === size;
  } catch (error) {
    // Some registries hide what is not there behind 401 or 403; the upload then shows whether the account may push.
    if (
      NOT_THERE.has(statusOf(error)) ||
      (error instanceof Failure && error.error.code === 'REGISTRY_DENIED')
    )
      return false;
    throw error;
  }
}
