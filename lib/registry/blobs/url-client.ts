/** GET of a layer's URL, as Go's HTTP client does it: Diego's blob stores were built for that one. */
import { PluginError } from '../../base/errors/error.ts';
import type { Logger } from '../../base/log.ts';
import { sleep } from '../../base/retry.ts';
import { oneLine } from '../../base/text.ts';
import { Failure } from '../../http/failure.ts';
import type { HttpPolicy, RootsPolicy } from '../../http/policy.ts';
import type { ProxySettings } from '../../http/proxy.ts';
import { type Answer, Transport } from '../../http/transport.ts';

export interface LayerUrlSettings {
  /** The setting `create.remote_layer_client_certificates_path`. */
  readonly certificates: string | undefined;
  readonly proxies: ProxySettings;
  readonly roots: RootsPolicy;
  readonly userAgent: string;
  /** Seconds without an answer or a byte after which a transfer counts as broken. */
  readonly idleSeconds: number;
  /** The pause before a request is repeated: this times the number of failures so far, with jitter. 250 by default. */
  readonly retryMilliseconds?: number;
}

const RETRY_MILLISECONDS = 250;

/** A droplet's URL redirects to the blob store. Go's client follows ten redirects. */
const MAX_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/**
 * Requests to the servers of a layout's layers. These are the operator's own, and Garden wrote their URLs, so addresses in
 * private networks are allowed, each server gets the client certificate, and the userinfo of a URL is sent.
 */
export class UrlClient {
  readonly #settings: LayerUrlSettings;
  readonly #transport: Transport;

  constructor(settings: LayerUrlSettings, log: Logger) {
    this.#settings = settings;
    this.#transport = new Transport(policyOf(settings), log);
  }

  /**
   * Follows redirects to an answer with `status`.
   * @throws Failure; IMAGE_CERTIFICATES, CONFIG_INVALID; the signal's reason when it aborts
   */
  async get(
    start: URL,
    headers: Readonly<Record<string, string>>,
    status: 200 | 206,
    signal: AbortSignal,
  ): Promise<Answer> {
    let url = start;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
      // The userinfo of the first URL goes to its own origin only.
      const authorization = basicAuth(url.origin === start.origin ? start : url);
      const answer = await this.#transport.send({
        method: 'GET',
        url: withoutUserinfo(url),
        headers: { ...headers, ...authorization },
        insecure: false,
        addresses: undefined,
        signal,
      });
      if (answer.status === status) return answer;
      await answer.body.discard();
      const location = answer.headers.get('location');
      if (!REDIRECTS.has(answer.status) || location === null) throw unexpected(url, answer.status);
      url = redirected(url, location);
    }
    throw badAnswer(start, `more than ${MAX_REDIRECTS} redirects`);
  }

  /** Waits after a failure, longer with each. @throws the signal's reason when it aborts */
  async backOff(failures: number, signal: AbortSignal): Promise<void> {
    const step = this.#settings.retryMilliseconds ?? RETRY_MILLISECONDS;
    await sleep(step * failures * (0.5 + Math.random()), signal);
  }
}

function policyOf({ certificates, proxies, roots, userAgent, idleSeconds }: LayerUrlSettings): HttpPolicy {
  const ms = idleSeconds * 1000;
  const deadlines = {
    connectMs: ms,
    answerMs: ms,
    idleMs: ms,
    slowWindowMs: Number.POSITIVE_INFINITY,
    slowBytesPerSecond: 0,
    totalMs: undefined,
  };
  return { userAgent, hosts: {}, certsDirs: [], roots, proxies, deadlines, layerServers: { certificates } };
}

function redirected(from: URL, location: string): URL {
  const url = URL.parse(location, from.href);
  if (url === null || !isWeb(url)) throw badAnswer(from, 'a redirect to something that is not http or https');
  return url;
}

export function isWeb(url: URL): boolean {
  return url.protocol === 'http:' || url.protocol === 'https:';
}

/** Another try may succeed after 408, 429 and the server's own errors, and not after any other status. */
function unexpected(url: URL, status: number): Failure {
  const kind = status === 408 || status === 429 || status >= 500 ? 'transient' : 'final';
  return new Failure(kind, new PluginError('REGISTRY_ERROR', { registry: url.host, status, reason: '' }));
}

/** An answer that the same request would get again. */
export function badAnswer(url: URL, reason: string): Failure {
  return new Failure('final', new PluginError('REGISTRY_BAD_RESPONSE', { registry: url.host, reason }));
}

function basicAuth(url: URL): Record<string, string> {
  if (url.username === '' && url.password === '') return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** `fetch` would make an Authorization header of the userinfo. */
function withoutUserinfo(url: URL): URL {
  const target = new URL(url);
  target.username = target.password = target.hash = '';
  return target;
}

/** The declared length of an answer in bytes. */
export function lengthOf({ headers }: Answer): number | undefined {
  const text = headers.get('content-length');
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** The reason of a failed request, for a sentence that names the URL itself. */
export function describe(error: unknown): string {
  if (!(error instanceof Failure))
    return oneLine(error instanceof Error ? error.message : String(error), 200);
  const { code } = error.error;
  const { status, seconds, reason } = error.error.subject as Readonly<Record<string, unknown>>;
  if (code === 'REGISTRY_ERROR') return `status ${status}`;
  if (code === 'REGISTRY_DEADLINE') return `nothing for ${seconds} s`;
  return oneLine(typeof reason === 'string' ? reason : code, 200);
}
