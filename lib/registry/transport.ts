import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { Body } from './body.ts';
import { Failure, networkFailure } from './failure.ts';
import type { RegistryPolicy } from './policy.ts';
import { acceptsConnections, PROBE_MS, speaksPlainHttp } from './probe.ts';
import { Proxies, type ProxyServer } from './proxy.ts';
import { Trust } from './trust.ts';

/** One request to one URL: no redirects, no credentials of its own, no second try. */
export interface Exchange {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** TLS without verification. */
  readonly insecure: boolean;
  /** The addresses to dial, one after the other, instead of asking the name service again: they have been checked. */
  readonly addresses: readonly string[] | undefined;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly url: URL;
  readonly body: Body;
}

/** HTTP as registries need it: raw bytes, no redirects, a proxy and certificates by host, deadlines. */
export class Transport {
  readonly proxies: Proxies;
  readonly #policy: RegistryPolicy;
  readonly #trust: Trust;
  readonly #log: Logger;

  constructor(policy: RegistryPolicy, log: Logger) {
    this.#policy = policy;
    this.#log = log;
    this.#trust = new Trust(policy, log);
    this.proxies = new Proxies(policy.proxies);
  }

  /** @throws Failure for everything the network does; the signal's reason when it aborts. */
  async send(exchange: Exchange): Promise<Answer> {
    exchange.signal.throwIfAborted();
    if (exchange.addresses === undefined) return this.#sendTo(exchange, undefined);
    // A host with several addresses is often reachable at some of them only (no IPv6 route, say).
    let failure: unknown;
    for (const address of exchange.addresses) {
      try {
        return await this.#sendTo(exchange, address);
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        failure = error;
      }
    }
    throw failure;
  }

  async #sendTo(exchange: Exchange, address: string | undefined): Promise<Answer> {
    const { url, signal } = exchange;
    const proxy = this.proxies.for(url);
    const abort = new AbortController();
    const classify = (error: unknown) =>
      signal.aborted ? signal.reason : networkFailure(error, url.host, proxy?.shown);
    const init = await this.#init(exchange, address, proxy, AbortSignal.any([signal, abort.signal]));
    const disarm = this.#armDeadlines(dialledHost(url, address, proxy), url.host, abort);
    try {
      const response = await fetch(dialledUrl(url, address), init);
      this.#log.debug('http', { method: exchange.method, url: shownUrl(url), status: response.status });
      const body = new Body(url.host, response.body, abort, this.#policy.deadlines, classify);
      return { status: response.status, headers: response.headers, url, body };
    } catch (error) {
      if (abort.signal.aborted) throw abort.signal.reason;
      throw await this.#explain(classify(error), url, proxy);
    } finally {
      disarm();
    }
  }

  async #init(
    exchange: Exchange,
    address: string | undefined,
    proxy: ProxyServer | undefined,
    signal: AbortSignal,
  ): Promise<BunFetchRequestInit> {
    const { url } = exchange;
    const tls =
      url.protocol === 'https:' ? await this.#trust.optionsFor(url.host, exchange.insecure) : undefined;
    return {
      method: exchange.method,
      headers: {
        ...exchange.headers,
        'accept-encoding': 'identity',
        'user-agent': this.#policy.userAgent,
        ...(address !== undefined && { host: url.host }),
      },
      // Digests are of the bytes on the wire, whatever Content-Encoding says about them.
      decompress: false,
      redirect: 'manual',
      // BUN_CONFIG_VERBOSE_FETCH in the environment would print every header, credentials among them.
      verbose: false,
      signal,
      // Switches off the runtime's own five minutes of silence: our deadlines are the ones that count.
      timeout: false,
      ...(exchange.body !== undefined && { body: exchange.body }),
      // Said either way: the runtime would else obey the proxy variables of the environment.
      proxy: proxy === undefined ? false : { url: proxy.url.reveal(), respectNoProxy: false },
      ...(tls !== undefined && { tls: address === undefined ? tls : { ...tls, serverName: url.hostname } }),
    };
  }

  /** Deadlines up to the header of the answer; the body has its own. Returns what takes them off again. */
  #armDeadlines(dialled: DialledHost, registry: string, abort: AbortController): () => void {
    const { connectMs, answerMs } = this.#policy.deadlines;
    const giveUp = (step: string, ms: number) => {
      const error = new PluginError('REGISTRY_DEADLINE', { registry, step, seconds: ms / 1000 });
      abort.abort(new Failure('passing', error));
    };
    let answered = false;
    // `fetch` does not say when it is connected; asking only after a silence costs a healthy registry nothing.
    const connecting = setTimeout(async () => {
      const there = await acceptsConnections(dialled.hostname, dialled.port, Math.min(PROBE_MS, connectMs));
      if (!there && !answered) giveUp('a connection', connectMs);
    }, connectMs);
    const answering = setTimeout(giveUp, answerMs, 'an answer', answerMs);
    return () => {
      answered = true;
      clearTimeout(connecting);
      clearTimeout(answering);
    };
  }

  /** A handshake that fails looks the same whether the host has no TLS at all or wants a client certificate. */
  async #explain(error: unknown, url: URL, proxy: ProxyServer | undefined): Promise<unknown> {
    const handshake = error instanceof Failure && error.error.code === 'REGISTRY_HANDSHAKE';
    if (!handshake || proxy !== undefined) return error;
    // The port has to be said: without it HTTP would go to another one than HTTPS did.
    const host = `${url.hostname}:${url.port || 443}`;
    const plain = await speaksPlainHttp(host, Math.min(PROBE_MS, this.#policy.deadlines.answerMs));
    if (!plain) return error;
    return new Failure(
      'final',
      new PluginError('REGISTRY_PLAIN_HTTP', { registry: url.host }, { cause: error }),
    );
  }
}

/** Nobody was there to take the request: another address of the same host may have somebody. */
function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Failure)) return false;
  const { code, subject } = error.error;
  if (code === 'REGISTRY_DEADLINE') return (subject as { step: string }).step === 'a connection';
  return code === 'REGISTRY_UNREACHABLE';
}

function dialledUrl(url: URL, address: string | undefined): string {
  if (address === undefined) return url.href;
  const pinned = new URL(url.href);
  pinned.hostname = address.includes(':') ? `[${address}]` : address;
  return pinned.href;
}

interface DialledHost {
  readonly hostname: string;
  readonly port: number;
}

function dialledHost(url: URL, address: string | undefined, proxy: ProxyServer | undefined): DialledHost {
  const via = proxy === undefined ? url : new URL(proxy.url.reveal());
  const standard = via.protocol === 'https:' ? 443 : 80;
  const hostname = address ?? via.hostname.replace(/^\[|\]$/g, '');
  return { hostname, port: via.port === '' ? standard : Number(via.port) };
}

/** A URL for logs: signed URLs of content networks carry their credential in the query. */
export function shownUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}
