import { PluginError } from '../base/errors/error.ts';
import { innermost, mayLead, type Zone, zoneOf } from './address.ts';
import { Failure, networkFailure } from './failure.ts';
import type { Proxies } from './proxy.ts';

/** A host's addresses as the name service gives them. Comes in, so that a test plays a hostile one. */
export type Lookup = (hostname: string) => Promise<readonly string[]>;

export const systemLookup: Lookup = async (hostname) =>
  (await Bun.dns.lookup(hostname)).map((found) => found.address);

/** In whose name a URL is followed. */
export interface Lead {
  /** The registry, which may lead to what lies no further inside than it does; `outside`: to nothing inside at all. */
  readonly from: URL | 'outside';
  /**
   * Hosts that the operator lets lie in a private network all the same. This machine and link-local addresses
   * (metadata services) are beyond what a list of names can mean.
   */
  readonly listed: readonly string[];
  /** For the sentence: `a redirect`. */
  readonly what: string;
}

/**
 * Guards where a registry may lead us: redirects, token realms and foreign layers are URLs that somebody else
 * wrote. A name is looked up once, its addresses judged, and the judged address itself is dialled: a second
 * answer of the name service ("rebinding") changes nothing.
 */
export class Routes {
  readonly #proxies: Proxies;
  readonly #lookup: Lookup;
  readonly #known = new Map<string, Promise<readonly string[]>>();

  constructor(proxies: Proxies, lookup: Lookup) {
    this.#proxies = proxies;
    this.#lookup = lookup;
  }

  /**
   * The addresses to dial for `target`, or undefined where the name itself is dialled (a literal, the registry's
   * own host, a proxy that looks names up by itself).
   * @throws Failure REGISTRY_ADDRESS, REGISTRY_UNREACHABLE
   */
  async check(target: URL, lead: Lead): Promise<readonly string[] | undefined> {
    const { from, listed, what } = lead;
    if (from !== 'outside' && from.hostname === target.hostname) return undefined;
    const literal = zoneOf(bare(target));
    const proxied = this.#proxies.for(target) !== undefined;
    const addresses = literal === undefined ? await this.#addresses(target, proxied) : [bare(target)];
    const zone = innermost(addresses.map(zoneOfFound));
    const allowed = listed.includes(target.host) && mayLead('private', zone);
    if (!allowed && !mayLead(from === 'outside' ? 'public' : await this.#zoneOfRegistry(from), zone)) {
      const registry = from === 'outside' ? target.host : from.host;
      const address = addresses.find((found) => zoneOfFound(found) === zone) ?? '';
      throw new Failure(
        'final',
        new PluginError('REGISTRY_ADDRESS', { registry, host: target.host, address, what }),
      );
    }
    return literal === undefined && !proxied ? addresses : undefined;
  }

  async #addresses(target: URL, proxied: boolean): Promise<readonly string[]> {
    try {
      return await this.#resolve(target.hostname);
    } catch (error) {
      // Behind a proxy the name service here need not know the outside world.
      if (proxied) return [];
      throw networkFailure(error, target.host, undefined);
    }
  }

  /** A registry that the name service here does not know (it is behind a proxy) counts as public. */
  async #zoneOfRegistry(registry: URL): Promise<Zone> {
    const literal = zoneOf(bare(registry));
    if (literal !== undefined) return literal;
    const addresses = await this.#resolve(registry.hostname).catch(() => []);
    return innermost(addresses.map(zoneOfFound));
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

/** What cannot be read as an address is treated as the innermost there is. */
function zoneOfFound(address: string): Zone {
  return zoneOf(address) ?? 'link-local';
}

function bare(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}
