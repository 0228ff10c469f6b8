import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { innermost, maySendTo, outermost, type Zone, zoneOf } from './address.ts';
import { Failure, networkFailure } from './failure.ts';
import type { Proxies } from './proxy.ts';

/** Looks up a host's addresses. The caller passes it, so that a test can play a hostile name service. */
export type Lookup = (hostname: string) => Promise<readonly string[]>;

/**
 * Looks up by the C library, as all programs of the machine do: `/etc/hosts`, nsswitch.conf, both families, in the order
 * of RFC 6724. The runtime's own resolver would ask name servers only.
 */
export const systemLookup: Lookup = async (hostname) =>
  (await Bun.dns.lookup(hostname, { backend: 'libc', socketType: 'tcp' })).map((found) => found.address);

/** The author of a URL that graft follows. */
export interface Referrer {
  /** The registry, which may send graft to its own zone or further out; `outside`: to public addresses only. */
  readonly from: URL | 'outside';
  /**
   * Hosts that the operator allows although they lie in a private network. The list does not allow addresses of this
   * machine or link-local ones (metadata services).
   */
  readonly listed: readonly string[];
  /** For the sentence: `a redirect`. */
  readonly what: string;
}

/**
 * Finds the addresses of hosts, and refuses addresses that a server must not send graft to: other people write the URLs of
 * redirects, token realms and foreign layers. A name is looked up once, its addresses are checked, and the connection goes
 * to a checked address, so that a second answer of the name service ("rebinding") changes nothing. graft refuses before it
 * connects, so that a refusal does not tell whether the host exists.
 */
export class Routes {
  readonly #proxies: Proxies;
  readonly #lookup: Lookup;
  readonly #log: Logger | undefined;
  readonly #known = new Map<string, Promise<readonly string[]>>();
  /** The address at which a host answered. Its zone is the host's zone from then on. */
  readonly #answered = new Map<string, string>();

  constructor(proxies: Proxies, lookup: Lookup, log?: Logger) {
    this.#proxies = proxies;
    this.#lookup = lookup;
    this.#log = log;
  }

  /**
   * The addresses of a host that the user or the operator named, in any zone. Undefined where the connection goes to the
   * name itself (an address, or a host behind a proxy, which looks names up by itself).
   * @throws Failure REGISTRY_UNREACHABLE
   */
  async own(target: URL): Promise<readonly string[] | undefined> {
    if (zoneOf(bare(target)) !== undefined || this.#proxies.for(target) !== undefined) return undefined;
    const found = await this.#addresses(target, false);
    const answered = this.#answered.get(target.hostname);
    if (answered === undefined) return found;
    // Other addresses must not lie further inside. Otherwise a name with a public and an inner address could serve the
    // first request from the one and the next from the other.
    const zone = zoneOfFound(answered);
    const others = found.filter((address) => address !== answered && maySendTo(zone, zoneOfFound(address)));
    return [answered, ...others];
  }

  /** Records which address of `target` answered. */
  noteAnswer(target: URL, address: string | undefined): void {
    if (address !== undefined && !this.#answered.has(target.hostname)) {
      this.#answered.set(target.hostname, address);
    }
  }

  /**
   * The addresses of `target`, which `referrer` named. Undefined where the connection goes to the name itself.
   * @throws Failure REGISTRY_ADDRESS, REGISTRY_UNREACHABLE
   */
  async check(target: URL, referrer: Referrer): Promise<readonly string[] | undefined> {
    const { from, listed, what } = referrer;
    if (from !== 'outside' && from.hostname === target.hostname) return this.own(target);
    const literal = zoneOf(bare(target));
    const proxied = this.#proxies.for(target) !== undefined;
    const addresses = literal === undefined ? await this.#addresses(target, proxied) : [bare(target)];
    const zone = innermost(addresses.map(zoneOfFound));
    const allowed = listed.includes(target.host) && maySendTo('private', zone);
    if (!allowed && !maySendTo(from === 'outside' ? 'public' : await this.#zoneOfRegistry(from), zone)) {
      const registry = from === 'outside' ? target.host : from.host;
      const address = addresses.find((found) => zoneOfFound(found) === zone) ?? '';
      const error = new PluginError('REGISTRY_ADDRESS', { registry, host: target.host, address, what });
      // The sentence has no address, since the user who named the image reads it. The log has it.
      this.#log?.error('registry-address', error, error.subject);
      throw new Failure('final', error);
    }
    return literal === undefined && !proxied ? addresses : undefined;
  }

  async #addresses(target: URL, proxied: boolean): Promise<readonly string[]> {
    try {
      return await this.#resolve(target.hostname);
    } catch (error) {
      // Behind a proxy the name service of this machine need not know outside names.
      if (proxied) return [];
      throw networkFailure(error, target.host, undefined);
    }
  }

  /**
   * The zone of a registry: that of the address that answered, else the outermost of its addresses, since a registry
   * chooses its addresses itself. A registry that the name service does not know (it is behind a proxy) counts as public.
   */
  async #zoneOfRegistry(registry: URL): Promise<Zone> {
    const settled = zoneOf(bare(registry)) ?? zoneOf(this.#answered.get(registry.hostname) ?? '');
    if (settled !== undefined) return settled;
    const addresses = await this.#resolve(registry.hostname).catch(() => []);
    return outermost(addresses.map(zoneOfFound));
  }

  #resolve(hostname: string): Promise<readonly string[]> {
    const known = this.#known.get(hostname);
    if (known) return known;
    const asked = this.#lookup(hostname);
    this.#known.set(hostname, asked);
    asked.catch(() => this.#known.delete(hostname));
    return asked;
  }
}

/** The zone of an address from the name service. Text that is no address counts as the innermost zone. */
function zoneOfFound(address: string): Zone {
  return zoneOf(address) ?? 'link-local';
}

function bare(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}
