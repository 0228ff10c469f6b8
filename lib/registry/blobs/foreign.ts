import type { Digest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { Failure } from '../../http/failure.ts';
import type { RedirectRules, Redirects } from '../../http/redirects.ts';
import type { Routes } from '../../http/route.ts';
import type { Answer } from '../../http/transport.ts';
import { statusFailure } from '../answers/status.ts';
import type { BlobServer } from './blob-request.ts';

/**
 * The URLs of a foreign layer that may be fetched. The manifest of any image names them, and in CVE-2020-15157 a client sent
 * them credentials. So the URL has https and a host that the operator lists, the request has no credential, and an address
 * of this machine or a link-local one is refused.
 */
export function allowedUrls(urls: readonly string[], hosts: readonly string[]): URL[] {
  return urls
    .map((text) => URL.parse(text))
    .filter((url) => url !== null)
    .filter((url) => url.protocol === 'https:' && url.username === '' && url.password === '')
    .filter((url) => hosts.includes(url.host));
}

export class ForeignServer implements BlobServer {
  readonly host: string;
  /** The operator lists the host, and perhaps only the cell can reach it. */
  readonly grade = 'cell';
  readonly #url: URL;
  readonly #hosts: readonly string[];
  readonly #redirects: Redirects;
  readonly #routes: Routes;

  constructor(url: URL, hosts: readonly string[], redirects: Redirects, routes: Routes) {
    this.host = url.host;
    this.#url = url;
    this.#hosts = hosts;
    this.#redirects = redirects;
    this.#routes = routes;
  }

  async getBlob(
    digest: Digest,
    headers: Readonly<Record<string, string>>,
    accepts: readonly number[],
    signal: AbortSignal,
  ): Promise<Answer> {
    const url = this.#url;
    const rules: RedirectRules = { registry: url, privateHosts: this.#hosts, insecure: () => false };
    const referrer = { from: 'outside', listed: this.#hosts, what: 'a foreign layer' } as const;
    const addresses = await this.#routes.check(url, referrer);
    const sent = { method: 'GET' as const, url, headers, insecure: false };
    const exchange = { ...sent, addresses, certificate: false, signal };
    const answer = await this.#redirects.follow(exchange, rules);
    if (answer.status === 200 || accepts.includes(answer.status)) return answer;
    if (answer.status === 401 || answer.status === 403) throw await this.#refused(answer);
    const asked = { registry: url.host, repository: url.pathname, reference: digest, what: 'a blob' };
    throw await statusFailure(answer, { ...asked, askedAs: 'anonymous' });
  }

  /** A foreign layer never gets a credential, so a 401 or 403 is final. */
  async #refused(answer: Answer): Promise<Failure> {
    await answer.body.discard();
    const subject = {
      registry: this.host,
      status: answer.status,
      reason: 'it wants credentials for a foreign layer',
    };
    return new Failure('final', new PluginError('REGISTRY_ERROR', subject));
  }
}
