import type { Digest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { Grade } from '../../base/grade.ts';
import { Failure } from '../../http/failure.ts';
import type { Answer } from '../../http/transport.ts';

/** A server of blobs: a registry, or a URL that a manifest has for a foreign layer. */
export interface BlobServer {
  /** `host[:port]`, for messages. */
  readonly host: string;
  /** The grade of all content that it has given so far. */
  readonly grade: Grade;
  /** Sends a single request. The status of the answer is 200, or in `accepts`. @throws Failure */
  getBlob(
    digest: Digest,
    headers: Readonly<Record<string, string>>,
    accepts: readonly number[],
    signal: AbortSignal,
  ): Promise<Answer>;
}

export interface BlobDescriptor {
  readonly digest: Digest;
  /** Bytes, from the manifest. Every server has to give this size. */
  readonly size: number;
}

/** A part of a blob: the bytes from `start` up to, not including, `end`. */
export interface Part {
  readonly start: number;
  readonly end: number;
  /** Strong validator of the copy that the bytes before `start` came from, for `If-Range`. */
  readonly etag: string | undefined;
}

/** The answer of a server that gives a part of a blob, or more. */
export interface OpenedBlob {
  readonly answer: Answer;
  /** The number of bytes to drop first, from a server that ignores the range and begins before `start`. */
  readonly skip: number;
  /** The number of bytes after those. */
  readonly length: number;
  /** Strong validator of this server's copy (RFC 9110 8.8.3). */
  readonly etag: string | undefined;
}

/**
 * Sends a GET for a part of a blob. The answer's range is compared with the request, since wrongly joined bytes cost a
 * whole layer: the start must be the requested one, and the total the manifest's size. A server whose range is wrong is
 * asked once for the whole blob.
 * @throws Failure
 */
export async function openBlob(
  server: BlobServer,
  blob: BlobDescriptor,
  part: Part,
  signal: AbortSignal,
): Promise<OpenedBlob> {
  if (part.start > 0 || part.end < blob.size) {
    const ranged = await askForPart(server, blob, part, signal);
    if (ranged !== undefined) return ranged;
  }
  const answer = await server.getBlob(blob.digest, {}, [], signal);
  return whole(answer, blob, part);
}

async function askForPart(
  server: BlobServer,
  blob: BlobDescriptor,
  part: Part,
  signal: AbortSignal,
): Promise<OpenedBlob | undefined> {
  const { start, end, etag } = part;
  const range = `bytes=${start}-${end < blob.size ? end - 1 : ''}`;
  const headers = { range, ...(etag !== undefined && { 'if-range': etag }) };
  const answer = await server.getBlob(blob.digest, headers, [206, 416], signal);
  if (answer.status === 200) return whole(answer, blob, part);
  const length = answer.status === 206 ? lengthOf(answer, blob, part) : undefined;
  if (length !== undefined) return { answer, skip: 0, length, etag: etagOf(answer) };
  await answer.body.discard();
  return undefined;
}

/**
 * The number of bytes that the answer has of the part (`Content-Range: bytes 100-199/200`, RFC 9110 14.4); undefined when
 * its range is another. The total `*` is valid and means that the server does not know it.
 */
function lengthOf(answer: Answer, blob: BlobDescriptor, { start, end }: Part): number | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(answer.headers.get('content-range') ?? '');
  if (!match) return undefined;
  const [first, last, total] = [Number(match[1]), Number(match[2]), match[3]];
  const right =
    first === start && last >= first && last < end && (total === '*' || Number(total) === blob.size);
  return right ? last - first + 1 : undefined;
}

/** Compares `Content-Length` with the manifest's size before the body is read, as GrootFS does, and names both. */
async function whole(answer: Answer, blob: BlobDescriptor, { start }: Part): Promise<OpenedBlob> {
  const length = answer.headers.get('content-length');
  if (length !== null && Number(length) !== blob.size) {
    await answer.body.discard();
    const subject = { expected: blob.size, actual: Number(length), when: 'reported' as const };
    throw new Failure('final', new PluginError('LAYER_SIZE_MISMATCH', subject));
  }
  return { answer, skip: start, length: blob.size - start, etag: etagOf(answer) };
}

/** Weak validators (`W/…`) promise the same meaning, not the same bytes. */
function etagOf(answer: Answer): string | undefined {
  const etag = answer.headers.get('etag');
  return etag !== null && /^"[\x21\x23-\x7e]*"$/.test(etag) ? etag : undefined;
}
