import type { Digest } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import { type Grade, strictest } from '../base/grade.ts';
import type { Logger } from '../base/log.ts';
import { type OnRetry, retry, unlessAborted } from '../base/retry.ts';
import { Failure, verdict } from '../http/failure.ts';
import type { RedirectRules, Redirects } from '../http/redirects.ts';
import type { Routes } from '../http/route.ts';
import type { StreamedBody } from '../http/sending.ts';
import type { Answer, Transport } from '../http/transport.ts';
import { statusFailure } from './answers/status.ts';
import { Auth, type PushScope } from './auth/auth.ts';
import type { Credentials } from './auth/credentials.ts';
import type { BlobServer } from './blobs/blob-request.ts';
import type { PullSource } from './policy/mirrors.ts';
import { defaultHost, type RegistryPolicy } from './policy/policy.ts';
import { settleScheme } from './scheme.ts';

/** A request to a registry, relative to its repository. */
export interface Ask {
  readonly method: 'GET' | 'HEAD';
  readonly kind: 'manifests' | 'blobs' | 'tags' | 'referrers';
  /** Tag or digest; `list` for tags. */
  readonly reference: string;
  readonly query?: URLSearchParams | undefined;
  readonly headers: Readonly<Record<string, string>>;
  /** Statuses beside 200 that the caller handles. */
  readonly accepts: readonly number[];
}

/** A request of an upload. */
export interface Write {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** A path below the repository, each segment encoded, or the URL that the registry gave. */
  readonly to: string | URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: StreamedBody | undefined;
  /** The content that is sent, for messages. */
  readonly kind: Ask['kind'];
  readonly reference: string;
  readonly accepts: readonly number[];
}

type Asked = Pick<Ask, 'kind' | 'reference'>;

export interface EndpointParts {
  readonly policy: RegistryPolicy;
  readonly transport: Transport;
  readonly credentials: Credentials;
  readonly redirects: Redirects;
  readonly routes: Routes;
  readonly log: Logger;
  readonly lifetime: AbortSignal;
  /** The rights that a push needs; undefined to pull. */
  readonly push?: PushScope | undefined;
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
    const { push } = parts;
    this.#auth = new Auth({ name, repository, tokenRealms: host.tokenRealms, rules, push }, parts);
  }

  get host(): string {
    return this.source.host;
  }

  /** Scheme, host and port; known once a request was sent. */
  get origin(): URL {
    return this.#origin();
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
    await this.#settled(signal);
    const send = (authorization: string | undefined) => this.#send(ask, authorization, signal);
    const answer = await this.#authorized(send, (refused) => this.#failureOf(ask, refused), signal);
    if (answer.status === 200 || ask.accepts.includes(answer.status)) return answer;
    throw await this.#failureOf(ask, answer);
  }

  /**
   * Sends a request of an upload once, and follows no redirect. Its URL is the registry's own, or another host that the
   * registry named for the upload: that host gets neither credentials nor a client certificate.
   * @throws Failure for a status that `write` does not accept; the signal's reason when it aborts
   */
  async write(write: Write, signal: AbortSignal): Promise<Answer> {
    await this.#settled(signal);
    const url = typeof write.to === 'string' ? this.#url(write.to) : write.to;
    const own = url.origin === this.#origin().origin;
    const { routes, transport } = this.#parts;
    const send = async (authorization: string | undefined): Promise<Answer> => {
      const referrer = { from: this.#origin(), listed: this.#privateHosts, what: 'the address of an upload' };
      const found = own ? routes.own(url) : routes.check(url, referrer);
      const answer = await transport.send({
        method: write.method,
        url,
        headers: { ...write.headers, ...(own && authorization !== undefined && { authorization }) },
        ...(write.body !== undefined && { body: write.body }),
        insecure: own ? this.source.insecure : this.#rules().insecure(url.host),
        addresses: await unlessAborted(found, signal),
        certificate: own,
        signal,
      });
      if (own) routes.noteAnswer(url, answer.address);
      return answer;
    };
    const asked: Asked = { kind: write.kind, reference: write.reference };
    const answer = await this.#authorized(send, (refused) => this.#failureOf(asked, refused), signal);
    if (write.accepts.includes(answer.status)) return answer;
    if (answer.status >= 300 && answer.status < 400) {
      await answer.body.discard();
      const reason = `it answers ${answer.status} to an upload, which goes only where it was begun`;
      throw new Failure('final', new PluginError('REGISTRY_REDIRECT', { registry: this.host, reason }));
    }
    throw await this.#failureOf(asked, answer);
  }

  async #settled(signal: AbortSignal): Promise<void> {
    this.#settling ??= this.#settleScheme();
    await unlessAborted(this.#settling, signal);
  }

  async #settleScheme(): Promise<void> {
    try {
      this.#scheme = await settleScheme(this.source, this.#origin(), this.#parts);
    } catch (error) {
      this.#settling = undefined;
      throw error;
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
  async #authorized(
    send: (authorization: string | undefined) => Promise<Answer>,
    failureOf: (answer: Answer) => Promise<Failure>,
    signal: AbortSignal,
  ): Promise<Answer> {
    const used = this.#auth.header;
    const first = await send(used);
    if (first.status < 400 || first.url.origin !== this.#origin().origin) return first;
    const said = first.status === 401 ? first.headers.get('www-authenticate') : null;
    if (said === null && (used !== undefined || !HIDES.has(first.status))) return first;
    const failure = await failureOf(first);
    const challenge = said ?? (await this.#challengeAtPing(signal));
    if (challenge === null || !(await this.#auth.renew(used, challenge, signal))) throw failure;
    return send(this.#auth.header);
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
    const url = this.#url(`${ask.kind}/${encodeReference(ask.reference)}`);
    if (ask.query !== undefined) url.search = ask.query.toString();
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

  #failureOf(ask: Asked, answer: Answer): Promise<Failure> {
    return statusFailure(answer, {
      registry: answer.url.host,
      repository: this.source.repository,
      reference: ask.reference,
      what: ask.kind === 'blobs' ? 'a blob' : 'a manifest',
      askedAs: this.#auth.askedAs,
      withheld: this.#auth.withheld,
      mask: (text) => this.#auth.mask(text),
    });
  }

  /** @param path below the repository, encoded */
  #url(path: string): URL {
    const name = this.source.repository.split('/').map(encodeURIComponent).join('/');
    return new URL(`/v2/${name}/${path}`, this.#origin());
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

/** Encodes a tag or a digest, so that it cannot change the rest of a path. */
export function encodeReference(reference: string): string {
  // The colon of a digest stays as it is: registries expect it so.
  return encodeURIComponent(reference).replace('%3A', ':');
}
