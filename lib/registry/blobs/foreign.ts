import type { Digest } from '../../base/digest.ts';
import { PluginError } from '../../base/errors/error.ts';
import { Failure } from '../../http/failure.ts';
import type { RedirectRules, Redirects } from '../../http/redirects.ts';
import type { Routes } from '../../http/route.ts';
import type { Answer } from '../../http/transport.ts';
import { statusFailure } from '../answers/status.ts';
import type { BlobServer } from './blob-request.ts';

/**
 * Foreign layers: a manifest in a registry names any URL it likes for them (CVE-2020-15157 was credentials sent
 * there). So: https only, hosts that the operator lists only, never a credential, and no address of this machine
 * or link-local, whatever the name resolves to.
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
  /** The operator lists the host, which may be one that only the cell can reach. */
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
    const lead = { from: 'outside', listed: this.#hosts, what: 'a foreign layer' } as const;
    const addresses = await this.#routes.check(url, lead);
    const sent = { method: 'GET' as const, url, headers, insecure: false };
    const exchange = { ...sent, addresses, certificate: false, signal };
    const answer = await this.#redirects.follow(exchange, rules);
    if (answer.status === 200 || accepts.includes(answer.status)) return answer;
    if (answer.status === 401 || answer.status === 403) throw await this.#refused(answer);
    const asked = { registry: url.host, repository: url.pathname, reference: digest, what: 'a blob' };
    throw await statusFailure(answer, { ...asked, standing: 'anonymous' });
  }

  /** There is nothing we could log in with, nor would we. */
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
