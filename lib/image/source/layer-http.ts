import type { Logger } from '../../base/log.ts';
import { checkNames } from '../../http/peer-names.ts';
import { loadTlsMaterial } from './client-certificates.ts';

export interface RemoteLayerSettings {
  /** `create.remote_layer_client_certificates_path`. */
  readonly certificates: string | undefined;
  /** The proxy for a URL, with its credentials; undefined: directly. */
  readonly proxyFor: (url: URL) => string | undefined;
  /** Seconds without an answer or a byte after which a transfer counts as broken. */
  readonly idleSeconds: number;
  /** Before a question is asked again: this times the number of failures so far, with jitter. 250 if left out. */
  readonly retryMilliseconds?: number;
}

const RETRY_MILLISECONDS = 250;

/** As Go's HTTP client, which Diego's blob stores were built for: a droplet's URL redirects to the blob store. */
const MAX_REDIRECTS = 10;
const REDIRECTS: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

/** The least that Go's clients speak, as BoringSSL counts versions. */
const TLS_1_2 = 0x0303;

/** An answer worth nothing. `transient`: the same question may get a better one later. */
export class Refused extends Error {
  readonly transient: boolean;
  constructor(message: string, transient: boolean) {
    super(message);
    this.transient = transient;
  }
}

export interface Answer {
  readonly response: Response;
  /** Ends this one transfer. */
  readonly abort: AbortController;
}

/** GET of a layer's URL with redirects, client certificate, proxy and deadlines. */
export class LayerHttp {
  readonly #settings: RemoteLayerSettings;
  readonly #log: Logger;
  #tls: Promise<BunFetchRequestInitTLS> | undefined;

  constructor(settings: RemoteLayerSettings, log: Logger) {
    this.#settings = settings;
    this.#log = log;
  }

  /** @throws Refused unless the answer has `status`; errors of fetch and of the signal as they are */
  async get(
    start: URL,
    headers: Readonly<Record<string, string>>,
    status: 200 | 206,
    signal: AbortSignal,
  ): Promise<Answer> {
    let url = start;
    for (let hop = 0; hop <= MAX_REDIRECTS; hop += 1) {
      const abort = new AbortController();
      // Credentials of the first URL stay on its own origin.
      const auth = basicAuth(url.origin === start.origin ? start : url);
      const response = await this.#send(url, { ...headers, ...auth }, abort, signal);
      if (response.status === status) return { response, abort };
      abort.abort();
      const location = response.headers.get('location');
      if (!REDIRECTS.has(response.status) || location === null)
        throw new Refused(`status ${response.status}`, isTransient(response.status));
      url = redirected(url, location);
    }
    throw new Refused(`more than ${MAX_REDIRECTS} redirects`, false);
  }

  async #send(
    url: URL,
    headers: Readonly<Record<string, string>>,
    abort: AbortController,
    signal: AbortSignal,
  ): Promise<Response> {
    const tls = url.protocol === 'https:' ? await this.#material() : undefined;
    const proxy = this.#settings.proxyFor(url);
    const target = new URL(url);
    target.username = target.password = target.hash = '';
    const request = fetch(target, {
      redirect: 'manual',
      // BUN_CONFIG_VERBOSE_FETCH in the environment would print every header to stderr.
      verbose: false,
      decompress: false,
      signal: AbortSignal.any([abort.signal, signal]),
      headers: { ...headers, 'accept-encoding': 'identity' },
      // `false` and `respectNoProxy`: the environment was read before, by whoever wrote `proxyFor`.
      proxy: proxy === undefined ? false : { url: proxy, respectNoProxy: false },
      ...(tls === undefined ? {} : { tls }),
    });
    return withDeadline(request, this.#settings.idleSeconds, abort);
  }

  /** One object for all requests: the runtime shares connections by it. */
  #material(): Promise<BunFetchRequestInitTLS> {
    this.#tls ??= loadTlsMaterial(this.#settings.certificates, this.#log).then(({ ca, cert, key }) => ({
      ca: [...ca],
      rejectUnauthorized: true,
      minVersion: TLS_1_2,
      // As in Go: every named certificate is an anchor, and the common name of a server's does not count.
      allowPartialTrustChain: true,
      checkServerIdentity: checkNames,
      ...(cert.length === 0 ? {} : { cert: [...cert], key: [...key] }),
    }));
    return this.#tls;
  }

  /** Waits after a failure, longer with each. */
  async backOff(failures: number, signal: AbortSignal): Promise<void> {
    const step = this.#settings.retryMilliseconds ?? RETRY_MILLISECONDS;
    await wait(step * failures * (0.5 + Math.random()), signal);
  }

  /** The bytes of an answer; one that stays away too long ends the transfer. */
  async *body(answer: Answer): AsyncGenerator<Uint8Array, void, undefined> {
    const reader = answer.response.body?.getReader();
    if (reader === undefined) return;
    for (;;) {
      const { done, value } = await withDeadline(reader.read(), this.#settings.idleSeconds, answer.abort);
      if (done) return;
      yield value;
    }
  }
}

function redirected(from: URL, location: string): URL {
  const url = URL.parse(location, from.href);
  if (url === null || !isWeb(url))
    throw new Refused('a redirect to something that is not http or https', false);
  return url;
}

export function isWeb(url: URL): boolean {
  return url.protocol === 'http:' || url.protocol === 'https:';
}

/** 408, 429 and the server's own troubles pass; the other refusals do not. */
function isTransient(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function basicAuth(url: URL): Record<string, string> {
  if (url.username === '' && url.password === '') return {};
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  return { authorization: `Basic ${Buffer.from(pair).toString('base64')}` };
}

/** Ends the transfer when the promise takes longer. */
async function withDeadline<T>(promise: Promise<T>, seconds: number, abort: AbortController): Promise<T> {
  const timer = setTimeout(() => abort.abort(new Refused(`nothing for ${seconds} s`, true)), seconds * 1000);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

/** Bytes that an answer announces. */
export function lengthOf(response: Response): number | undefined {
  const text = response.headers.get('content-length');
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : undefined;
}

/** What no second question changes: a server's no, and a certificate nobody trusts (OpenSSL's names). */
export function isFinal(error: unknown): boolean {
  if (error instanceof Refused) return !error.transient;
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /CERT|SIGNATURE|^ERR_TLS_/.test(code);
}

/** Waits, unless the signal ends it first. */
function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      if (signal.aborted) reject(signal.reason);
      else resolve();
    }
  });
}
