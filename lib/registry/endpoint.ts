import type { Digest } from '../base/digest.ts';
import { type Grade, strictest } from '../base/grade.ts';
import type { Logger } from '../base/log.ts';
import { type OnRetry, retry, unlessAborted } from '../base/retry.ts';
import { Failure, verdict } from '../http/failure.ts';
import type { RedirectRules, Redirects } from '../http/redirects.ts';
import type { Routes } from '../http/route.ts';
import type { Answer, Transport } from '../http/transport.ts';
import { statusFailure } from './answers/status.ts';
import { Auth } from './auth/auth.ts';
import type { Credentials } from './auth/credentials.ts';
import type { BlobServer } from './blobs/blob-request.ts';
import type { PullSource } from './policy/mirrors.ts';
import { defaultHost, type RegistryPolicy } from './policy/policy.ts';

/** A request to a registry, relative to its repository. */
export interface Ask {
  readonly method: 'GET' | 'HEAD';
  readonly kind: 'manifests' | 'blobs';
  /** Tag or digest. */
  readonly reference: string;
  readonly headers: Readonly<Record<string, string>>;
  /** Statuses beside 200 that the caller handles. */
  readonly accepts: readonly number[];
}

export interface EndpointParts {
  readonly policy: RegistryPolicy;
  readonly transport: Transport;
  readonly credentials: Credentials;
  readonly redirects: Redirects;
  readonly routes: Routes;
  readonly log: Logger;
  readonly lifetime: AbortSignal;
}

/** A registry or a mirror of an image, with its scheme, its authorization and its redirects. */
export class Endpoint implements BlobServer {
  readonly source: PullSource;
  readonly #parts: EndpointParts;
  readonly #auth: Auth;
  readonly #privateHosts: readonly string[];
  /** Chosen once, before the first request. */
  #scheme: 'https' | 'http' = 'https';
  #settling: Promise<void> | undefined;
  #pinging: Promise<string | null> | undefined;

  constructor(source: PullSource, parts: EndpointParts) {
    this.source = source;
    this.#parts = parts;
    const host = parts.policy.hosts[source.name] ?? defaultHost;
    this.#privateHosts = host.privateHosts;
    const { name, repository } = source;
    const rules = () => this.#rules();
    this.#auth = new Auth({ name, repository, tokenRealms: host.tokenRealms, rules }, parts);
  }

  get host(): string {
    return this.source.host;
  }

  /**
   * The grade of content from here. A mirror that is asked by digest only does not know who has access to an image, so its
   * content is for callers whose image names the same repository, to whom it would give the content again.
   */
  get grade(): Grade {
    const { transport } = this.#parts;
    const asCell = this.source.pulls === 'digest-only' || transport.showedCertificateTo(this.#origin().host);
    return strictest([this.#auth.grade, asCell ? 'cell' : 'everybody']);
  }

  getBlob(
    digest: Digest,
    headers: Readonly<Record<string, string>>,
    accepts: readonly number[],
    signal: AbortSignal,
  ): Promise<Answer> {
    return this.once({ method: 'GET', kind: 'blobs', reference: digest, headers, accepts }, signal);
  }

  /** Sends a request once. @throws Failure; the signal's reason when it aborts */
  async once(ask: Ask, signal: AbortSignal): Promise<Answer> {
    this.#settling ??= this.#settleScheme();
    await unlessAborted(this.#settling, signal);
    return this.#authorized(ask, signal);
  }

  /** Finds out by a request whether an insecure registry has TLS. Other registries are never asked without TLS. */
  async #settleScheme(): Promise<void> {
    if (!this.source.insecure) return;
    const { transport, routes, lifetime, log } = this.#parts;
    const url = new URL('/v2/', this.#origin());
    try {
      const addresses = await routes.own(url);
      const answer = await transport.send({
        method: 'GET',
        url,
        headers: {},
        insecure: true,
        addresses,
        signal: lifetime,
      });
      routes.noteAnswer(url, answer.address);
      await answer.body.discard();
    } catch (error) {
      if (!(error instanceof Failure)) {
        this.#settling = undefined;
        throw error;
      }
      // A registry that cannot be reached is asked over HTTP, which most insecure registries speak.
      if (NO_TLS.has(error.error.code)) this.#scheme = 'http';
      log.info('insecure-registry', {
        registry: this.source.host,
        code: error.error.code,
        scheme: this.#scheme,
      });
    }
  }

  /** Sends a request up to `attempts` times, as long as the failures are transient. */
  request(ask: Ask, attempts: number, signal: AbortSignal): Promise<Answer> {
    return this.retrying(attempts, signal, () => this.once(ask, signal));
  }

  /** Runs `work`, a request and the read of its body, up to `attempts` times, as long as the failures are transient. */
  retrying<T>(attempts: number, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const { retry: policy, retryAfterMaxMs } = this.#parts.policy;
    return retry(
      { ...policy, attempts },
      signal,
      work,
      (error) => verdict(error, retryAfterMaxMs),
      this.#onRetry,
    );
  }

  readonly #onRetry: OnRetry = (error, attempt, pauseMs) => {
    const code = error instanceof Failure ? error.error.code : String(error);
    const facts = error instanceof Failure ? error.error.subject : {};
    this.#parts.log.info('registry-retry', { registry: this.source.host, code, ...facts, attempt, pauseMs });
  };

  /** Sends a request, and answers a challenge once: the first challenge, or that after a token has expired. */
  async #authorized(ask: Ask, signal: AbortSignal): Promise<Answer> {
    const used = this.#auth.header;
    const first = await this.#send(ask, used, signal);
    if (first.status < 400 || first.url.origin !== this.#origin().origin) return this.#judge(ask, first);
    const said = first.status === 401 ? first.headers.get('www-authenticate') : null;
    if (said === null && (used !== undefined || !HIDES.has(first.status))) return this.#judge(ask, first);
    const failure = await this.#failureOf(ask, first);
    const challenge = said ?? (await this.#challengeAtPing(signal));
    if (challenge === null || !(await this.#auth.renew(used, challenge, signal))) throw failure;
    return this.#judge(ask, await this.#send(ask, this.#auth.header, signal));
  }

  /**
   * The challenge at `/v2/`. Some registries answer an anonymous request with 403 or 404 and no challenge, and have a
   * challenge only at `/v2/`, where clients begin (distribution-spec, "Determining Support"). graft asks there only when
   * it has credentials.
   */
  async #challengeAtPing(signal: AbortSignal): Promise<string | null> {
    if (!(await unlessAborted(this.#auth.hasCredential(), signal))) return null;
    this.#pinging ??= this.#ping();
    return unlessAborted(this.#pinging, signal);
  }

  async #ping(): Promise<string | null> {
    const { redirects, routes, lifetime, log } = this.#parts;
    const url = new URL('/v2/', this.#origin());
    try {
      const { insecure } = this.source;
      const asked = { method: 'GET' as const, url, headers: {}, insecure, signal: lifetime };
      const answer = await redirects.follow({ ...asked, addresses: await routes.own(url) }, this.#rules());
      await answer.body.discard();
      const ours = answer.status === 401 && answer.url.origin === url.origin;
      return ours ? answer.headers.get('www-authenticate') : null;
    } catch (error) {
      if (!(error instanceof Failure)) throw error;
      log.info('registry-ping', { registry: this.source.host, code: error.error.code });
      return null;
    }
  }

  async #send(ask: Ask, authorization: string | undefined, signal: AbortSignal): Promise<Answer> {
    const headers = { ...ask.headers, ...(authorization !== undefined && { authorization }) };
    const url = this.#url(ask);
    const exchange = {
      method: ask.method,
      url,
      headers,
      insecure: this.source.insecure,
      addresses: await unlessAborted(this.#parts.routes.own(url), signal),
      signal,
    };
    return this.#parts.redirects.follow(exchange, this.#rules());
  }

  async #judge(ask: Ask, answer: Answer): Promise<Answer> {
    if (answer.status === 200 || ask.accepts.includes(answer.status)) return answer;
    throw await this.#failureOf(ask, answer);
  }

  #failureOf(ask: Ask, answer: Answer): Promise<Failure> {
    return statusFailure(answer, {
      registry: answer.url.host,
      repository: this.source.repository,
      reference: ask.reference,
      what: ask.kind === 'manifests' ? 'a manifest' : 'a blob',
      askedAs: this.#auth.askedAs,
      withheld: this.#auth.withheld,
      mask: (text) => this.#auth.mask(text),
    });
  }

  /** The URL of a request. Each segment is encoded, so that no name can change the rest of the path. */
  #url(ask: Ask): URL {
    const name = this.source.repository.split('/').map(encodeURIComponent).join('/');
    // The colon of a digest stays as it is: registries expect it so.
    const reference = encodeURIComponent(ask.reference).replace('%3A', ':');
    return new URL(`/v2/${name}/${ask.kind}/${reference}`, this.#origin());
  }

  #origin(): URL {
    return new URL(`${this.#scheme}://${this.source.host}/`);
  }

  #rules(): RedirectRules {
    const { policy } = this.#parts;
    return {
      registry: this.#origin(),
      privateHosts: this.#privateHosts,
      insecure: (host) =>
        policy.insecure.includes(host) || (this.source.insecure && host === this.source.host),
    };
  }
}

/** The statuses with which registries hide content from anonymous requests. */
const HIDES: ReadonlySet<number> = new Set([401, 403, 404]);

/** The errors of a TLS request to a registry that has no TLS. */
const NO_TLS: ReadonlySet<string> = new Set([
  'REGISTRY_HANDSHAKE',
  'REGISTRY_PLAIN_HTTP',
  'REGISTRY_UNREACHABLE',
]);
