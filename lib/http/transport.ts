import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { zoneOf } from './address.ts';
import { Body } from './body.ts';
import { dialledPeer, dialledUrl, isUnreachable, nowhere, shownUrl } from './dialled.ts';
import { Failure, networkFailure } from './failure.ts';
import type { HttpPolicy } from './policy.ts';
import { acceptsConnections, answersTlsInHttp, type Peer, PROBE_MS } from './probe.ts';
import { Proxies, type ProxyServer } from './proxy.ts';
import { Sending, type StreamedBody, type Watch } from './sending.ts';
import { tidyHeaders } from './tidy-headers.ts';
import { type TlsOptions, Trust } from './trust.ts';

/** A request to a URL, sent once: the transport follows no redirect, adds no credentials and does not try again. */
export interface Exchange {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  /** A text, or bytes that are sent as the server takes them. */
  readonly body?: string | StreamedBody;
  /** TLS without verification. */
  readonly insecure: boolean;
  /** The checked addresses to connect to, in this order, so that the name service is not asked again. */
  readonly addresses: readonly string[] | undefined;
  /** False: no client certificate is shown, also where the settings have one for the host, since a server sent us there. */
  readonly certificate?: boolean;
  readonly signal: AbortSignal;
}

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly url: URL;
  /** The address of the connection; undefined where the connection went to the name itself. */
  readonly address: string | undefined;
  readonly body: Body;
}

/** An address of a host, and whether more addresses follow it. */
interface Dialled {
  readonly address: string | undefined;
  readonly more: boolean;
}

/** The longest wait for a connection while other addresses are left: many machines have IPv6 addresses without a route. */
const IMPATIENT_MS = 1000;

/** HTTP requests with raw bytes, without redirects, with proxies and certificates by host, and with deadlines. */
export class Transport {
  readonly proxies: Proxies;
  readonly #policy: HttpPolicy;
  readonly #trust: Trust;
  readonly #log: Logger;
  readonly #shownTo = new Set<string>();

  constructor(policy: HttpPolicy, log: Logger) {
    this.#policy = policy;
    this.#log = log;
    this.#trust = new Trust(policy, log);
    this.proxies = new Proxies(policy.proxies);
  }

  /** True when `host[:port]` got a client certificate: its answers are then for the cell. */
  showedCertificateTo(host: string): boolean {
    return this.#shownTo.has(host);
  }

  /** @throws Failure for every error of the network; the signal's reason when it aborts */
  async send(exchange: Exchange): Promise<Answer> {
    exchange.signal.throwIfAborted();
    const { addresses } = exchange;
    if (addresses === undefined) return this.#sendTo(exchange, { address: undefined, more: false });
    // A host with several addresses is often reachable at some of them only (no IPv6 route, say).
    let failure: unknown;
    for (const [index, address] of addresses.entries()) {
      try {
        return await this.#sendTo(exchange, { address, more: index + 1 < addresses.length });
      } catch (error) {
        if (!isUnreachable(error)) throw error;
        failure = error;
      }
    }
    throw failure ?? nowhere(exchange.url.host);
  }

  async #sendTo(exchange: Exchange, dialled: Dialled): Promise<Answer> {
    const { url, signal } = exchange;
    const { address } = dialled;
    const proxy = this.proxies.for(url);
    const peer = dialledPeer(url, address, proxy);
    const abort = new AbortController();
    const classify = (error: unknown) =>
      signal.aborted ? signal.reason : networkFailure(error, url.host, proxy?.shown);
    const both = AbortSignal.any([signal, abort.signal]);
    const watch = this.#armDeadlines(peer, url.host, dialled.more, abort);
    const { body: given } = exchange;
    const sending = typeof given === 'object' ? new Sending(given, this.#policy.deadlines, watch) : undefined;
    if (sending === undefined) watch.sent();
    try {
      const response = await this.#fetch(exchange, sending, address, proxy, both);
      this.#log.debug('http', { method: exchange.method, url: shownUrl(url), status: response.status });
      const body = new Body(url.host, response.body, abort, this.#policy.deadlines, classify);
      const headers = tidyHeaders(response.headers);
      if (typeof headers !== 'string') return { status: response.status, headers, url, address, body };
      await body.discard();
      const subject = { registry: url.host, reason: headers };
      throw new Failure('final', new PluginError('REGISTRY_BAD_RESPONSE', subject));
    } catch (error) {
      if (abort.signal.aborted) throw abort.signal.reason;
      if (sending?.fault !== undefined) throw sending.fault;
      if (error instanceof Failure || error instanceof PluginError) throw error;
      throw await this.#explain(classify(error), url, proxy === undefined ? peer : undefined);
    } finally {
      sending?.stop();
      watch.stop();
    }
  }

  /** Sends again without the broken authorities of the system where they keep the runtime from opening a connection. */
  async #fetch(
    exchange: Exchange,
    sending: Sending | undefined,
    address: string | undefined,
    proxy: ProxyServer | undefined,
    signal: AbortSignal,
  ): Promise<Response> {
    const { url } = exchange;
    const ask = async () =>
      fetch(dialledUrl(url, address), await this.#init(exchange, sending, address, proxy, signal));
    try {
      return await ask();
    } catch (error) {
      const unopened = (error as { code?: unknown } | null)?.code === 'FailedToOpenSocket';
      if (!unopened || url.protocol !== 'https:' || !(await this.#trust.dropBrokenRoots())) throw error;
      return ask();
    }
  }

  async #init(
    exchange: Exchange,
    sending: Sending | undefined,
    address: string | undefined,
    proxy: ProxyServer | undefined,
    signal: AbortSignal,
  ): Promise<BunFetchRequestInit> {
    const { url } = exchange;
    const tls = url.protocol === 'https:' ? await this.#tls(exchange, address) : undefined;
    if (tls?.cert !== undefined) this.#shownTo.add(url.host);
    return {
      method: exchange.method,
      headers: {
        ...exchange.headers,
        'accept-encoding': 'identity',
        'user-agent': this.#policy.userAgent,
        ...(address !== undefined && { host: url.host }),
        // With it the runtime sends the bytes of a stream without a transfer coding, which some servers refuse.
        ...(sending !== undefined && { 'content-length': String(sending.length) }),
      },
      // A digest is of the bytes as they are sent, whatever their Content-Encoding.
      decompress: false,
      redirect: 'manual',
      // BUN_CONFIG_VERBOSE_FETCH in the environment would print every header, credentials among them.
      verbose: false,
      signal,
      // Switches off the runtime's own limit of five minutes of silence; the deadlines of the policy count.
      timeout: false,
      ...(typeof exchange.body === 'string' && { body: exchange.body }),
      ...(sending !== undefined && sending.length > 0 && { body: sending.stream() }),
      // Always set, since the runtime would otherwise obey the proxy variables of the environment.
      proxy: proxy === undefined ? false : { url: proxy.url.reveal(), respectNoProxy: false },
      ...(tls !== undefined && { tls }),
    };
  }

  async #tls(exchange: Exchange, address: string | undefined): Promise<TlsOptions> {
    const { url, insecure, certificate } = exchange;
    const shows = certificate !== false && this.#policy.anonymous !== true;
    const tls = await this.#trust.optionsFor(url.host, insecure, shows);
    const zone = zoneOf(address ?? url.hostname);
    const names = insecure
      ? {}
      : await this.#trust.namesCheck(url.host, zone !== undefined && zone !== 'public');
    // Certificates name hosts without a dot at the end.
    return {
      ...tls,
      ...names,
      ...(address !== undefined && { serverName: url.hostname.replace(/\.$/, '') }),
    };
  }

  /**
   * Sets the deadlines up to the header of the answer; the body has its own. The time for an answer starts when the
   * request is `sent`.
   */
  #armDeadlines(peer: Peer, registry: string, more: boolean, abort: AbortController): Watch {
    const { connectMs: patience, answerMs } = this.#policy.deadlines;
    const connectMs = more ? Math.min(IMPATIENT_MS, patience) : patience;
    const giveUp = (step: string, ms: number) => {
      const error = new PluginError('REGISTRY_DEADLINE', { registry, step, seconds: ms / 1000 });
      abort.abort(new Failure('transient', error));
    };
    let answered = false;
    // `fetch` does not tell when it is connected. The probe comes after a silence, so it costs a healthy server nothing.
    const connecting = setTimeout(async () => {
      const there = await acceptsConnections(peer, Math.min(PROBE_MS, connectMs));
      if (!there && !answered) giveUp('a connection', connectMs);
    }, connectMs);
    let answering: ReturnType<typeof setTimeout> | undefined;
    return {
      sent: () => {
        answering ??= setTimeout(giveUp, answerMs, 'an answer', answerMs);
      },
      stuck: giveUp,
      stop: () => {
        answered = true;
        clearTimeout(connecting);
        clearTimeout(answering);
      },
    };
  }

  /**
   * Finds the cause of a failed handshake: the host may have no TLS at all, or require a client certificate.
   * @param peer undefined behind a proxy, which would answer instead of the host
   */
  async #explain(error: unknown, url: URL, peer: Peer | undefined): Promise<unknown> {
    const handshake = error instanceof Failure && error.error.code === 'REGISTRY_HANDSHAKE';
    if (!handshake || peer === undefined) return error;
    const plain = await answersTlsInHttp(peer, Math.min(PROBE_MS, this.#policy.deadlines.answerMs));
    if (!plain) return error;
    return new Failure(
      'final',
      new PluginError('REGISTRY_PLAIN_HTTP', { registry: url.host }, { cause: error }),
    );
  }
}
