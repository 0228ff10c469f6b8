import { PluginError } from '../base/errors/error.ts';
import { printable } from '../base/text.ts';
import { Failure } from './failure.ts';
import type { Routes } from './route.ts';
import type { Answer, Exchange, Transport } from './transport.ts';

/** Content networks need one or two; Go's client stops at ten. */
const MAX_REDIRECTS = 10;

const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export interface RedirectRules {
  /** The registry in whose name we ask. */
  readonly registry: URL;
  /** Hosts that it may lead to although they lie in a private network. */
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
   * Sends, and follows where the answer points. Credentials travel to the origin they were meant for (scheme,
   * host and port) and nowhere else: elsewhere the request has no Authorization, and no answer from elsewhere
   * is taken for the registry's own challenge (`Answer.url` says who spoke). A client certificate is shown elsewhere
   * only in the name of a registry that was shown one: others could lead us to it and have what the cell may read.
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
    // A body is a token request with a secret in it: that goes to one place only.
    if (exchange.method === 'POST') throw refused(rules, 'it redirects a request that carries a token');
    const url = targetOf(answer, rules);
    if (exchange.url.protocol === 'https:' && url.protocol !== 'https:') {
      throw refused(rules, `it redirects from https to ${printable(`${url.protocol}//${url.host}`)}`);
    }
    const lead = { from: rules.registry, listed: rules.privateHosts, what: 'a redirect' };
    const addresses = await this.#routes.check(url, lead);
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
  // A registry has no credentials to give us; Authorization made from userinfo would only confuse.
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
