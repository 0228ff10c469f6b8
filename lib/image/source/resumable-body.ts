import { MiB } from '../../base/limits.ts';
import { type Answer, isFinal, type LayerHttp, lengthOf, Refused } from './layer-http.ts';

/** Failures in a row, with less than `PROGRESS` in between, after which a transfer is given up. */
const MAX_FAILURES = 5;
const PROGRESS = MiB;
/** RFC 9110, 8.8.2.2: from this distance to the answer's own date on, a modification date is strong. Seconds. */
const DATE_IS_STRONG = 60;

/** What tells that a later answer is about the same bytes. */
interface Identity {
  readonly validator: string | undefined;
  readonly total: number | undefined;
}

/**
 * The bytes of an answer, picked up where the transfer breaks: only if the server vouches that the rest
 * belongs to the same file, since nothing else would tell where digests are not checked.
 * @param onResume is told where, and why.
 * @throws Error with the reason and the bytes that came
 */
export async function* resumableBody(
  transfer: {
    readonly http: LayerHttp;
    readonly url: URL;
    readonly first: Answer;
    readonly signal: AbortSignal;
  },
  onResume: (at: number, reason: unknown) => void,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { http, url, signal } = transfer;
  let answer: Answer | undefined = transfer.first;
  let identity = identityOf(answer.response);
  let at = 0;
  let failures = 0;
  for (let from = 0; ; from = at) {
    try {
      answer ??= await askAgain(http, url, at, identity, signal);
      if (at === 0) identity = identityOf(answer.response);
      for await (const chunk of http.body(answer)) {
        at += chunk.length;
        yield chunk;
      }
      if (identity.total === undefined || at === identity.total) return;
      throw new Refused(`the end after ${at} of ${identity.total} bytes`, true);
    } catch (error) {
      signal.throwIfAborted();
      failures = at - from >= PROGRESS ? 1 : failures + 1;
      const hopeless = isFinal(error) || failures > MAX_FAILURES;
      if (hopeless || (at > 0 && identity.validator === undefined)) throw broken(error, at);
      onResume(at, error);
      // The first time at once: most breaks are over by then.
      if (failures > 1) await http.backOff(failures, signal);
    } finally {
      answer?.abort.abort();
      answer = undefined;
    }
  }
}

function broken(error: unknown, at: number): Error {
  const reason = error instanceof Error ? error.message : String(error);
  return new Error(`${reason} after ${at} bytes`, { cause: error });
}

function identityOf(response: Response): Identity {
  return { validator: strongValidator(response), total: lengthOf(response) };
}

/** What If-Range takes (RFC 9110, 13.1.5): a strong entity tag, or a modification date of some age. */
function strongValidator({ headers }: Response): string | undefined {
  const etag = headers.get('etag');
  if (etag !== null) return /^"[^"]*"$/.test(etag) ? etag : undefined;
  const modified = headers.get('last-modified');
  const age = (Date.parse(headers.get('date') ?? '') - Date.parse(modified ?? '')) / 1000;
  return modified !== null && age >= DATE_IS_STRONG ? modified : undefined;
}

/** Before the first byte a new answer will do, if it promises as much; after it only the rest of the same file. */
async function askAgain(
  http: LayerHttp,
  url: URL,
  at: number,
  identity: Identity,
  signal: AbortSignal,
): Promise<Answer> {
  const { validator, total } = identity;
  if (at === 0 || validator === undefined) {
    const answer = await http.get(url, {}, 200, signal);
    return keepIf(lengthOf(answer.response) === total, answer, 'another length than before');
  }
  const answer = await http.get(url, { range: `bytes=${at}-`, 'if-range': validator }, 206, signal);
  return keepIf(isRest(answer.response, at, total), answer, 'another range than the one asked for');
}

function keepIf(fits: boolean, answer: Answer, otherwise: string): Answer {
  if (fits) return answer;
  answer.abort.abort();
  throw new Refused(otherwise, false);
}

function isRest(response: Response, at: number, total: number | undefined): boolean {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15}|\*)$/.exec(
    response.headers.get('content-range') ?? '',
  );
  if (!match) return false;
  const [start, end] = [Number(match[1]), Number(match[2])];
  const length = lengthOf(response);
  if (length !== undefined && length !== end - start + 1) return false;
  if (match[3] !== '*' && Number(match[3]) !== end + 1) return false;
  return start === at && (total === undefined || end + 1 === total);
}
