import { PluginError } from '../../base/errors/error.ts';
import { oneLine } from '../../base/text.ts';
import { Failure } from '../../http/failure.ts';
import type { Answer } from '../../http/transport.ts';

/** A registry's explanation has some hundred bytes; the title of a proxy's error page is within this limit too. */
const MAX_ERROR_BODY = 16 * 1024;

/** The identity of a request: anonymous, with a password, or with a token that was got for credentials. */
export type AskedAs = 'anonymous' | 'password' | 'token';

type Mask = (text: string) => string;

export interface AskedFor {
  readonly registry: string;
  readonly repository: string;
  /** Tag or digest, for messages. */
  readonly reference: string;
  readonly what: string;
  readonly askedAs: AskedAs;
  /** Why credentials that exist were not sent. */
  readonly withheld?: string | undefined;
  /** Removes the credentials of the request from a text, since a server may repeat them. */
  readonly mask?: Mask;
}

/** Makes a failure of an answer with an unexpected status. The registry's own text is the reason. */
export async function statusFailure(answer: Answer, asked: AskedFor): Promise<Failure> {
  const said = await saidBy(answer, asked.mask ?? ((text) => text));
  const { registry, repository, reference } = asked;
  switch (answer.status) {
    case 401:
      return unauthorized(said, asked);
    case 403: {
      const reason = said || 'requested access to the resource is denied';
      return new Failure(
        'final',
        new PluginError('REGISTRY_DENIED', { registry, repository, reason: noting(reason, asked) }),
      );
    }
    case 404: {
      const what = asked.what === 'a manifest' ? 'manifest' : 'blob';
      const reason = said || (what === 'manifest' ? 'manifest unknown' : 'blob unknown to registry');
      return new Failure(
        'final',
        new PluginError('REGISTRY_NOT_FOUND', { registry, repository, reference, what, reason }),
      );
    }
    case 429:
      return limited(answer, registry, said);
    default:
      return otherStatus(answer, registry, said);
  }
}

function unauthorized(said: string, asked: AskedFor): Failure {
  const { registry, repository } = asked;
  const reason = noting(said || 'authentication required', asked);
  switch (asked.askedAs) {
    case 'password':
      return new Failure('final', new PluginError('REGISTRY_BAD_CREDENTIALS', { registry, reason }));
    case 'token':
      return new Failure('final', new PluginError('REGISTRY_DENIED', { registry, repository, reason }));
    case 'anonymous':
      return new Failure('final', new PluginError('REGISTRY_UNAUTHORIZED', { registry, repository, reason }));
  }
}

function noting(reason: string, { withheld }: AskedFor): string {
  return withheld === undefined ? reason : `${reason}; ${withheld}`;
}

function limited(answer: Answer, registry: string, said: string): Failure {
  const retryAfterMs = retryAfter(answer.headers.get('retry-after'));
  const subject = {
    registry,
    reason: said || 'too many requests',
    limit: limitOf(answer.headers),
    retryAfterSeconds: retryAfterMs === undefined ? undefined : Math.ceil(retryAfterMs / 1000),
  };
  return new Failure('limited', new PluginError('REGISTRY_RATE_LIMITED', subject), retryAfterMs);
}

/** Object stores answer 500 for a moment; gateways answer 502, 503 or 504 while a registry restarts. */
const TRANSIENT = new Set([408, 425, 500, 502, 503, 504]);

function otherStatus(answer: Answer, registry: string, said: string): Failure {
  const subject = { registry, status: answer.status, reason: said || 'no explanation' };
  const kind = TRANSIENT.has(answer.status) ? 'transient' : 'final';
  return new Failure(
    kind,
    new PluginError('REGISTRY_ERROR', subject),
    retryAfter(answer.headers.get('retry-after')),
  );
}

/** `Retry-After` in milliseconds from now: seconds or a date (RFC 9110 10.2.3). Undefined when it is neither. */
function retryAfter(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Docker Hub's `ratelimit-limit: 100;w=21600` in words. */
function limitOf(headers: Headers): string | undefined {
  const match = /^(\d{1,9})(?:;w=(\d{1,9}))?/.exec(headers.get('ratelimit-limit') ?? '');
  if (!match) return undefined;
  const seconds = Number(match[2] ?? 0);
  if (seconds === 0) return `${match[1]} pulls`;
  const hours = seconds / 3600;
  return `${match[1]} pulls in ${hours >= 1 ? `${Math.round(hours * 10) / 10} hours` : `${seconds} seconds`}`;
}

/** The text of an error's body; empty where the body is no text. The body of a success is content and is not read. */
async function saidBy(answer: Answer, mask: Mask): Promise<string> {
  if (answer.status < 300) {
    await answer.body.discard();
    return 'it sends something else than what was asked for';
  }
  const text = await answer.body.excerpt(MAX_ERROR_BODY);
  return text.includes('\ufffd') ? '' : explain(text, mask);
}

/** The messages of a registry's error list (distribution-spec, "Error Codes"), or the first of other text. */
function explain(body: string, mask: Mask): string {
  const errors = errorsOf(body);
  if (errors.length > 0) return oneLine(mask(errors.join('; ')));
  // The title of an error page is enough.
  const title = /<title>([^<]{1,200})<\/title>/i.exec(body)?.[1];
  return oneLine(mask(title ?? (body.trimStart().startsWith('<') ? '' : body)), 200);
}

function errorsOf(body: string): string[] {
  let value: unknown;
  try {
    value = JSON.parse(body);
  } catch {
    return [];
  }
  const { errors, message, details } = (value ?? {}) as {
    errors?: unknown;
    message?: unknown;
    details?: unknown;
  };
  if (!Array.isArray(errors)) {
    // Token servers and Docker Hub's front end answer with a single message.
    const single = typeof message === 'string' ? message : details;
    return typeof single === 'string' && single !== '' ? [single] : [];
  }
  return errors.slice(0, 3).flatMap((error) => {
    const { code, message: text } = (error ?? {}) as { code?: unknown; message?: unknown };
    if (typeof text === 'string' && text !== '') return [text];
    return typeof code === 'string' ? [code.toLowerCase().replaceAll('_', ' ')] : [];
  });
}
