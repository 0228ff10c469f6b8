import { PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import { Failure } from '../../http/failure.ts';
import type { Answer } from '../../http/transport.ts';
import { badAnswer, describe, lengthOf, type UrlClient } from './url-client.ts';

/** The most failures in a row with less than `PROGRESS` bytes between them. */
const MAX_FAILURES = 5;
const PROGRESS = MiB;
/** RFC 9110, 8.8.2.2: a modification date is strong if it is this many seconds older than the answer's own date. */
const DATE_IS_STRONG = 60;

/** The facts that tell whether a later answer has the same bytes. */
interface Identity {
  readonly validator: string | undefined;
  readonly total: number | undefined;
}

/**
 * The bytes of an answer, resumed where the transfer breaks, but only if the server vouches for the same file, since
 * digests may be unchecked here: a `Download` of a registry's blob needs a digest and a size for that.
 * @param onResume gets the offset and the reason of each break
 * @throws Error with the reason and the number of bytes that came
 */
export async function* urlBody(
  transfer: {
    readonly client: UrlClient;
    readonly url: URL;
    readonly first: Answer;
    readonly signal: AbortSignal;
  },
  onResume: (at: number, reason: string) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { client, url, signal } = transfer;
  let answer: Answer | undefined = transfer.first;
  let identity = identityOf(answer);
  let at = 0;
  let failures = 0;
  for (let from = 0; ; from = at) {
    try {
      answer ??= await askAgain(client, url, at, identity, signal);
      if (at === 0) identity = identityOf(answer);
      for await (const chunk of answer.body.chunks()) {
        at += chunk.length;
        yield chunk;
      }
      if (identity.total === undefined || at === identity.total) return;
      throw endedEarly(url, at, identity.total);
    } catch (error) {
      signal.throwIfAborted();
      failures = at - from >= PROGRESS ? 1 : failures + 1;
      const isFinal = !(error instanceof Failure) || error.kind === 'final' || failures > MAX_FAILURES;
      if (isFinal || (at > 0 && identity.validator === undefined)) throw broken(error, at);
      onResume(at, describe(error));
      // The first retry comes at once, since most breaks are over by then.
      if (failures > 1) await client.backOff(failures, signal);
    } finally {
      answer = undefined;
    }
  }
}

function endedEarly({ host }: URL, at: number, total: number): Failure {
  const reason = `the end after ${at} of ${total} bytes`;
  return new Failure('transient', new PluginError('REGISTRY_UNREACHABLE', { registry: host, reason }));
}

function broken(error: unknown, at: number): Error {
  return new Error(`${describe(error)} after ${at} bytes`, { cause: error });
}

function identityOf(answer: Answer): Identity {
  return { validator: strongValidator(answer), total: lengthOf(answer) };
}

/** The value for If-Range (RFC 9110, 13.1.5): a strong entity tag, or a modification date of some age. */
function strongValidator({ headers }: Answer): string | undefined {
  const etag = headers.get('etag');
  if (etag !== null) return /^"[^"]*"$/.test(etag) ? etag : undefined;
  const modified = headers.get('last-modified');
  const age = (Date.parse(headers.get('date') ?? '') - Date.parse(modified ?? '')) / 1000;
  return modified !== null && age >= DATE_IS_STRONG ? modified : undefined;
}

/** Before the first byte any whole answer of the same length will do; after it only the rest of the same file. */
async function askAgain(
  client: UrlClient,
  url: URL,
  at: number,
  identity: Identity,
  signal: AbortSignal,
): Promise<Answer> {
  const { validator, total } = identity;
  if (at === 0 || validator === undefined) {
    const answer = await client.get(url, {}, 200, signal);
    return keepIf(lengthOf(answer) === total, answer, 'another length than before');
  }
  const answer = await client.get(url, { range: `bytes=${at}-`, 'if-range': validator }, 206, signal);
  return keepIf(isRest(answer, at, total), answer, 'another range than the one asked for');
}

async function keepIf(fits: boolean, answer: Answer, otherwise: string): Promise<Answer> {
  if (fits) return answer;
  await answer.body.discard();
  throw badAnswer(answer.url, otherwise);
}

function isRest(answer: Answer, at: number, total: number | undefined): boolean {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(
    answer.headers.get('content-range') ?? '',
  );
  if (!match) return false;
  const [start, end] = [Number(match[1]), Number(match[2])];
  const length = lengthOf(answer);
  if (length !== undefined && length !== end - start + 1) return false;
  if (match[3] !== '*' && Number(match[3]) !== end + 1) return false;
  return start === at && (total === undefined || end + 1 === total);
}
