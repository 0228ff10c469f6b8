import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { Failure } from './failure.ts';
import type { Routes } from './route.ts';
import type { Answer, Exchange, Transport } from './transport.ts';

/** Content networks need one or two redirects; Go's client stops at ten. */
const MAX_REDIRECTS = 10;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export interface RedirectRules {
  /** The registry that the first request goes to. */
  readonly registry: URL;
  /** Hosts that it may redirect to although they lie in a private network. */
  readonly privateHosts: readonly string[];
  /** `host[:port]` without TLS verification. */
  readonly insecure: (host: string) => boolean;
}

export class Redirects {
  readonly #transport: Transport;
  readonly #routes: Routes;

  constructor(transport: Transport, routes: Routes) {
    this.#transport = transport;
    this.#routes = routes;
  }

  showedCertificateTo(host: string): boolean {
    return this.#transport.showedCertificateTo(host);
  }

  /**
   * Sends a request and follows redirects. Credentials go only to the origin that they are for (scheme, host and port).
   * A request to another origin has no Authorization, and its 401 is not the registry's challenge (`Answer.url` names the
   * server that answered). Another origin gets a client certificate only if the registry got one too: any other registry
   * could redirect graft there and so read with the cell's rights.
   * @throws Failure REGISTRY_REDIRECT, REGISTRY_ADDRESS and what the transport throws.
   */
  async follow(first: Exchange, rules: RedirectRules): Promise<Answer> {
    let exchange = first;
    for (let hops = 0; ; hops += 1) {
      const answer = await this.#transport.send(exchange);
      this.#routes.noteAnswer(exchange.url, answer.address);
      if (!REDIRECTS.has(answer.status)) return answer;
      await answer.body.discard();
      if (hops === MAX_REDIRECTS) throw refused(rules, `it redirects more than ${MAX_REDIRECTS} times`);
      exchange = await this.#next(exchange, answer, first.url, rules);
    }
  }

  async #next(exchange: Exchange, answer: Answer, origin: URL, rules: RedirectRules): Promise<Exchange> {
    // A POST is a token request with a secret in its body, which goes to a single server only.
    if (exchange.method === 'POST') throw refused(rules, 'it redirects a request that carries a token');
    const url = targetOf(answer, rules);
    if (exchange.url.protocol === 'https:' && url.protocol !== 'https:') {
      throw refused(rules, `it redirects from https to ${printable(`${url.protocol}//${url.host}`)}`);
    }
    const referrer = { from: rules.registry, listed: rules.privateHosts, what: 'a redirect' };
    const addresses = await this.#routes.check(url, referrer);
    const headers = url.origin === origin.origin ? exchange.headers : withoutCredentials(exchange.headers);
    const certificate =
      exchange.certificate !== false &&
      (url.origin === origin.origin || this.#transport.showedCertificateTo(origin.host));
    return { ...exchange, url, headers, addresses, certificate, insecure: rules.insecure(url.host) };
  }
}

function targetOf(answer: Answer, rules: RedirectRules): URL {
  const location = answer.headers.get('location');
  if (location === null) throw refused(rules, `it answers ${answer.status} without saying where to go`);
  let url: URL;
  try {
    url = new URL(location, answer.url);
  } catch {
    throw refused(rules, `it redirects to what is not a URL: ${printable(location)}`);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw refused(rules, `it redirects to ${printable(url.protocol)}`);
  }
  // A redirect must not choose credentials: `fetch` would make an Authorization header of the userinfo.
  url.username = '';
  url.password = '';
  url.hash = '';
  return url;
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  const { authorization: _, ...rest } = headers;
  return rest;
}

function refused(rules: RedirectRules, reason: string): Failure {
  return new Failure(
    'final',
    new PluginError('REGISTRY_REDIRECT', { registry: rules.registry.host, reason }),
  );
}
