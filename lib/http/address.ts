import ipaddr from 'ipaddr.js';

/**
 * The zone of an address. A server outside must not send graft to an address inside: a public registry must not redirect,
 * or have tokens fetched, to the cell's metadata service or its neighbours (go-containerregistry guards the same).
 * The ranges are those of the IANA special-purpose registries, RFC 6890.
 */

/** The zones, ordered from outside to inside. A server may send graft to its own zone, or further out. */
export type Zone = 'public' | 'private' | 'loopback' | 'link-local';

export type Address = ipaddr.IPv4 | ipaddr.IPv6;

type Range = readonly [network: string, zone: Zone];

/** The first range that contains the address gives the zone. */
const V4: readonly Range[] = [
  ['0.0.0.0/8', 'loopback'],
  ['127.0.0.0/8', 'loopback'],
  // 169.254.169.254 is the metadata service of most clouds, 169.254.170.2 that of ECS.
  ['169.254.0.0/16', 'link-local'],
  // Metadata services outside the link-local range: of Azure (its wire server), of Alibaba, of Oracle's classic cloud.
  ['168.63.129.16/32', 'link-local'],
  ['100.100.100.200/32', 'link-local'],
  ['192.0.0.192/32', 'link-local'],
  ['10.0.0.0/8', 'private'],
  ['100.64.0.0/10', 'private'],
  ['172.16.0.0/12', 'private'],
  ['192.0.0.0/24', 'private'],
  ['192.168.0.0/16', 'private'],
  ['198.18.0.0/15', 'private'],
  ['224.0.0.0/3', 'private'],
];

const V6: readonly Range[] = [
  ['::/127', 'loopback'],
  ['fe80::/10', 'link-local'],
  // Metadata services on IPv6: of EC2, of Google's cloud, of Scaleway, of Oracle's cloud.
  ['fd00:ec2::/32', 'link-local'],
  ['fd20:ce::/32', 'link-local'],
  ['fd00:42::/32', 'link-local'],
  ['fd00:c1::/32', 'link-local'],
  ['fc00::/7', 'private'],
  // Site-local, which RFC 3879 deprecates and routers still carry.
  ['fec0::/10', 'private'],
  ['ff00::/8', 'private'],
  // Translation inside one network (RFC 8215); the address that is embedded may lie further inside.
  ['64:ff9b:1::/48', 'private'],
];

/**
 * IPv6 ranges whose addresses contain an IPv4 address, with the indexes of its bytes. A packet to such an address may
 * reach the host of the inner address.
 */
const EMBEDDED: readonly (readonly [network: string, ...bytes: readonly number[][]])[] = [
  // IPv4-compatible, mapped (RFC 4291) and translated (RFC 2765).
  ['::/96', [12, 13, 14, 15]],
  ['::ffff:0:0/96', [12, 13, 14, 15]],
  ['::ffff:0:0:0/96', [12, 13, 14, 15]],
  // NAT64. A network divides its local prefix as it likes, so all forms of RFC 6052 2.2 that fit are listed.
  ['64:ff9b::/96', [12, 13, 14, 15]],
  ['64:ff9b:1::/48', [6, 7, 9, 10], [7, 9, 10, 11], [9, 10, 11, 12], [12, 13, 14, 15]],
  // 6to4, and Teredo's server; a Teredo client's own address is the complement of the last four bytes.
  ['2002::/16', [2, 3, 4, 5]],
  ['2001::/32', [4, 5, 6, 7]],
];
const TEREDO = '2001::/32';

/** The zone of an address in text, or undefined when it is not an address. */
export function zoneOf(text: string): Zone | undefined {
  const address = parseAddress(text);
  return address && (address instanceof ipaddr.IPv4 ? zoneIn(V4, address) : zoneV6(address));
}

/** An address in text; undefined for names. Brackets and a zone id (`%eth0`) do not change where it lies. */
export function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return ipaddr.IPv4.parse(text);
  const bare = text.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '');
  return ipaddr.IPv6.isValid(bare) ? ipaddr.IPv6.parse(bare) : undefined;
}

/** A network as NO_PROXY has it, `10.0.0.0/8`; undefined when it is not one. */
export function inNetwork(network: string): ((address: Address) => boolean) | undefined {
  const slash = network.lastIndexOf('/');
  const first = parseAddress(network.slice(0, slash));
  const bits = network.slice(slash + 1);
  if (slash < 0 || first === undefined || !/^\d{1,3}$/.test(bits)) return undefined;
  if (Number(bits) > first.toByteArray().length * 8) return undefined;
  // An IPv4 address that is written in the IPv6 way is the same host.
  return (address) => {
    const same = first instanceof ipaddr.IPv4 ? unmapped(address) : address;
    return same.kind() === first.kind() && same.match(first, Number(bits));
  };
}

function unmapped(address: Address): Address {
  return address instanceof ipaddr.IPv6 && address.isIPv4MappedAddress() ? address.toIPv4Address() : address;
}

/** True when a server in the zone `from` may send graft to the zone `to`. */
export function maySendTo(from: Zone, to: Zone): boolean {
  return RANK[to] <= RANK[from];
}
const RANK: Readonly<Record<Zone, number>> = { public: 0, private: 1, loopback: 2, 'link-local': 3 };

/** The innermost of several zones: a name with a single private address leads into a private network. */
export function innermost(zones: readonly Zone[]): Zone {
  return zones.reduce((inner, zone) => (RANK[zone] > RANK[inner] ? zone : inner), 'public' as Zone);
}

/**
 * The outermost of several zones: a host with a single public address is a stranger, since it chooses its other addresses
 * itself. Public where there is no zone.
 */
export function outermost(zones: readonly Zone[]): Zone {
  const [first = 'public', ...others] = zones;
  return others.reduce((outer, zone) => (RANK[zone] < RANK[outer] ? zone : outer), first);
}

function zoneV6(address: ipaddr.IPv6): Zone {
  const bytes = address.toByteArray();
  const at = (indexes: readonly number[]) => indexes.map((index) => bytes[index] ?? 0);
  // `::` and `::1` are no IPv4 addresses, though they lie in the IPv4-compatible range.
  const own = zoneIn(V6, address);
  if (own === 'loopback') return own;
  const inner = EMBEDDED.filter(([network]) => isIn(network, address)).flatMap(([network, ...places]) => [
    ...places.map(at),
    ...(network === TEREDO ? [at([12, 13, 14, 15]).map((byte) => byte ^ 0xff)] : []),
  ]);
  return innermost([own, ...inner.map(zoneOfEmbedded)]);
}

/** The zone of an inner IPv4 address. Nothing translates to 0.0.0.0/8: such bytes are the padding of another form. */
function zoneOfEmbedded(bytes: number[]): Zone {
  return bytes[0] === 0 ? 'public' : zoneIn(V4, new ipaddr.IPv4(bytes));
}

function zoneIn(ranges: readonly Range[], address: Address): Zone {
  return ranges.find(([network]) => isIn(network, address))?.[1] ?? 'public';
}

const parsed = new Map<string, [Address, number]>();

function isIn(network: string, address: Address): boolean {
  const [first, bits] = parsed.get(network) ?? ipaddr.parseCIDR(network);
  parsed.set(network, [first, bits]);
  return address.match(first, bits);
}
