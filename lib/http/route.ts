import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { innermost, mayLead, outermost, type Zone, zoneOf } from './address.ts';
import { Failure, networkFailure } from './failure.ts';
import type { Proxies } from './proxy.ts';

/** A host's addresses as the name service gives them. Comes in, so that a test plays a hostile one. */
export type Lookup = (hostname: string) => Promise<readonly string[]>;

/**
 * By the C library, as everything else on the machine does: `/etc/hosts`, nsswitch.conf, both families, in the order of
 * RFC 6724. The runtime's own resolver would ask name servers only.
 */
export const systemLookup: Lookup = async (hostname) =>
  (await Bun.dns.lookup(hostname, { backend: 'libc', socketType: 'tcp' })).map((found) => found.address);

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
 * Finds the addresses of hosts, and guards where a registry may lead us: redirects, token realms and foreign layers
 * are URLs that somebody else wrote. A name is looked up once, its addresses judged, and the judged address itself is
 * dialled: a second answer of the name service ("rebinding") changes nothing. What is refused is refused before
 * anything is dialled, so that the refusal tells nothing about what is there.
 */
export class Routes {
  readonly #proxies: Proxies;
  readonly #lookup: Lookup;
  readonly #log: Logger | undefined;
  readonly #known = new Map<string, Promise<readonly string[]>>();
  /** The address of a host that answered. Its zone is the host's from then on. */
  readonly #answered = new Map<string, string>();

  constructor(proxies: Proxies, lookup: Lookup, log?: Logger) {
    this.#proxies = proxies;
    this.#lookup = lookup;
    this.#log = log;
  }

  /**
   * The addresses of a host that the user or the operator named, and that may therefore lie anywhere; undefined where
   * the name itself is dialled (a literal, a proxy that looks names up by itself).
   * @throws Failure REGISTRY_UNREACHABLE
   */
  async own(target: URL): Promise<readonly string[] | undefined> {
    if (zoneOf(bare(target)) !== undefined || this.#proxies.for(target) !== undefined) return undefined;
    const found = await this.#addresses(target, false);
    const answered = this.#answered.get(target.hostname);
    if (answered === undefined) return found;
    // Else a name with two faces could show the other one to the second request.
    const zone = zoneOfFound(answered);
    const others = found.filter((address) => address !== answered && mayLead(zone, zoneOfFound(address)));
    return [answered, ...others];
  }

  /** Told which of the addresses of `target` answered. */
  noteAnswer(target: URL, address: string | undefined): void {
    if (address !== undefined && !this.#answered.has(target.hostname)) {
      this.#answered.set(target.hostname, address);
    }
  }

  /**
   * The addresses to dial for `target`, or undefined where the name itself is dialled.
   * @throws Failure REGISTRY_ADDRESS, REGISTRY_UNREACHABLE
   */
  async check(target: URL, lead: Lead): Promise<readonly string[] | undefined> {
    const { from, listed, what } = lead;
    if (from !== 'outside' && from.hostname === target.hostname) return this.own(target);
    const literal = zoneOf(bare(target));
    const proxied = this.#proxies.for(target) !== undefined;
    const addresses = literal === undefined ? await this.#addresses(target, proxied) : [bare(target)];
    const zone = innermost(addresses.map(zoneOfFound));
    const allowed = listed.includes(target.host) && mayLead('private', zone);
    if (!allowed && !mayLead(from === 'outside' ? 'public' : await this.#zoneOfRegistry(from), zone)) {
      const registry = from === 'outside' ? target.host : from.host;
      const address = addresses.find((found) => zoneOfFound(found) === zone) ?? '';
      const error = new PluginError('REGISTRY_ADDRESS', { registry, host: target.host, address, what });
      // The sentence has no address, since it goes to whoever named the image.
      this.#log?.error('registry-address', error, error.subject);
      throw new Failure('final', error);
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

  /**
   * Where a registry lies: where the address lies that answered, else the outermost of its addresses, since it chooses
   * itself how many it has. One that the name service here does not know (it is behind a proxy) counts as public.
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

/** What cannot be read as an address is treated as the innermost there is. */
function zoneOfFound(address: string): Zone {
  return zoneOf(address) ?? 'link-local';
}

function bare(url: URL): string {
  return url.hostname.replace(/^\[|\]$/g, '');
}
