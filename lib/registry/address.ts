/**
 * Where an address lies, so that nobody outside can send us inside: a public registry must not redirect, or
 * have tokens fetched, to the cell's metadata service or its neighbours (go-containerregistry guards the same).
 * Ranges from the IANA special-purpose registries, RFC 6890.
 */

/** From outside to inside. Who is asked may only lead to the same or further out. */
export type Zone = 'public' | 'private' | 'loopback' | 'link-local';

const V4: readonly (readonly [first: string, bits: number, zone: Zone])[] = [
  ['0.0.0.0', 8, 'loopback'],
  ['127.0.0.0', 8, 'loopback'],
  // 169.254.169.254 is the metadata service of most clouds, 169.254.170.2 that of ECS.
  ['169.254.0.0', 16, 'link-local'],
  // Metadata services of Alibaba and of Oracle's classic cloud lie outside the link-local range.
  ['100.100.100.200', 32, 'link-local'],
  ['192.0.0.192', 32, 'link-local'],
  ['10.0.0.0', 8, 'private'],
  ['100.64.0.0', 10, 'private'],
  ['172.16.0.0', 12, 'private'],
  ['192.0.0.0', 24, 'private'],
  ['192.168.0.0', 16, 'private'],
  ['198.18.0.0', 15, 'private'],
  ['224.0.0.0', 3, 'private'],
];

/** The zone of an address in text, or undefined when it is not an address. */
export function zoneOf(address: string): Zone | undefined {
  const v4 = parseV4(address);
  if (v4 !== undefined) return zoneV4(v4);
  const v6 = parseV6(address.replace(/^\[|\]$/g, ''));
  return v6 && zoneV6(v6);
}

/** True when something that lies in `from` may lead us to `to`. */
export function mayLead(from: Zone, to: Zone): boolean {
  return RANK[to] <= RANK[from];
}
const RANK: Readonly<Record<Zone, number>> = { public: 0, private: 1, loopback: 2, 'link-local': 3 };

/** The innermost of several zones: a name with one private address is private. */
export function innermost(zones: readonly Zone[]): Zone {
  return zones.reduce((inner, zone) => (RANK[zone] > RANK[inner] ? zone : inner), 'public' as Zone);
}

function zoneV4(value: number): Zone {
  for (const [first, bits, zone] of V4) {
    const shift = 32 - bits;
    if (value >>> shift === (parseV4(first) ?? 0) >>> shift) return zone;
  }
  return 'public';
}

function parseV4(text: string): number | undefined {
  const parts = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)?.slice(1).map(Number);
  if (!parts || parts.some((part) => part > 255)) return undefined;
  return parts.reduce((value, part) => value * 256 + part, 0) >>> 0;
}

/** The eight groups of an IPv6 address; a zone id (`%eth0`) does not change where it lies. */
function parseV6(text: string): readonly number[] | undefined {
  const bare = text.split('%')[0] ?? '';
  if (!bare.includes(':') || bare.split('::').length > 2) return undefined;
  const [head, tail] = bare.split('::');
  const before = groups(head ?? '');
  if (before === undefined) return undefined;
  if (tail === undefined) return before.length === 8 ? before : undefined;
  const after = groups(tail);
  if (after === undefined || before.length + after.length > 7) return undefined;
  return [...before, ...new Array<number>(8 - before.length - after.length).fill(0), ...after];
}

function groups(text: string): number[] | undefined {
  if (text === '') return [];
  const result: number[] = [];
  for (const part of text.split(':')) {
    const v4 = parseV4(part);
    if (v4 !== undefined) result.push(v4 >>> 16, v4 & 0xffff);
    else if (/^[0-9a-f]{1,4}$/i.test(part)) result.push(Number.parseInt(part, 16));
    else return undefined;
  }
  return result;
}

function zoneV6(g: readonly number[]): Zone {
  const [a = 0, b = 0, c = 0] = g;
  const low = (((g[6] ?? 0) << 16) | (g[7] ?? 0)) >>> 0;
  if (g.slice(0, 6).every((group) => group === 0)) return low <= 1 ? 'loopback' : zoneV4(low);
  // IPv4 inside IPv6: mapped, translated (RFC 6052, 8215) and 6to4 reach what the inner address names.
  if (g.slice(0, 5).every((group) => group === 0) && g[5] === 0xffff) return zoneV4(low);
  if (a === 0x64 && b === 0xff9b) return zoneV4(low);
  if (a === 0x2002) return zoneV4(((b << 16) | c) >>> 0);
  if ((a & 0xffc0) === 0xfe80) return 'link-local';
  // fd00:ec2::254 is the metadata service of EC2 on IPv6, fd20:ce::254 that of Google's cloud.
  if ((a === 0xfd00 && b === 0xec2) || (a === 0xfd20 && b === 0xce)) return 'link-local';
  if ((a & 0xfe00) === 0xfc00 || (a & 0xff00) === 0xff00) return 'private';
  return 'public';
}
