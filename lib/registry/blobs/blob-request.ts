import type { Digest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import type { Grade } from '../../base/grade.ts';
import { Failure } from '../../http/failure.ts';
import type { Answer } from '../../http/transport.ts';

/** Somebody who has blobs: a registry, or a URL that a manifest gives for a foreign layer. */
export interface BlobServer {
  /** `host[:port]`, for messages. */
  readonly host: string;
  /** Who may have what it has given so far. */
  readonly grade: Grade;
  /** One try. Answers 200, or one of `accepts`. @throws Failure */
  getBlob(
    digest: Digest,
    headers: Readonly<Record<string, string>>,
    accepts: readonly number[],
    signal: AbortSignal,
  ): Promise<Answer>;
}

export interface WantedBlob {
  readonly digest: Digest;
  /** From the manifest; every server is held to it. */
  readonly size: number;
}

/** Which part is wanted: from `start` up to, not including, `end`. */
export interface Part {
  readonly start: number;
  readonly end: number;
  /** Strong validator of the copy that the bytes before `start` came from, for `If-Range`. */
  readonly etag: string | undefined;
}

/** A part of a blob, or more, as one server gives it. */
export interface OpenedBlob {
  readonly answer: Answer;
  /** Bytes to drop first: what came before `start`, from a server that would not begin in the middle. */
  readonly skip: number;
  /** Bytes that come after those. */
  readonly length: number;
  /** Strong validator of this server's copy (RFC 9110 8.8.3). */
  readonly etag: string | undefined;
}

/**
 * One GET for a blob, in the middle where some of it is here already. What a server says about ranges is checked
 * against what was asked, since bytes put together wrongly cost a whole layer: the start must be ours, the total
 * must be the manifest's. A server that gets it wrong is asked for the whole blob, once.
 * @throws Failure
 */
export async function openBlob(
  server: BlobServer,
  blob: WantedBlob,
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
  blob: WantedBlob,
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
 * How much of the part comes, or undefined when it is not the part: `Content-Range: bytes 100-199/200`
 * (RFC 9110 14.4). A total of `*` is legal: the server does not know it.
 */
function lengthOf(answer: Answer, blob: WantedBlob, { start, end }: Part): number | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+|\*)$/i.exec(answer.headers.get('content-range') ?? '');
  if (!match) return undefined;
  const [first, last, total] = [Number(match[1]), Number(match[2]), match[3]];
  const right =
    first === start && last >= first && last < end && (total === '*' || Number(total) === blob.size);
  return right ? last - first + 1 : undefined;
}

/** GrootFS holds `Content-Length` against the manifest before it reads a byte, and names both. */
async function whole(answer: Answer, blob: WantedBlob, { start }: Part): Promise<OpenedBlob> {
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
