import { type Address, sendDatagrams } from '../../sys/kernel/udp.ts';
import { encodeValueMetric } from './dropsonde.ts';
import type { Metric } from './metrics.ts';

/** The longest time that resolving a host name may delay the exit. */
const RESOLVE_MS = 50;

/** Resolves a host name; undefined when it has no address. */
export type Resolve = (host: string) => Promise<Uint8Array | undefined>;

/**
 * Sends metrics to a metron agent over UDP. An agent that does not listen causes no error, so the metrics may be
 * lost.
 * @param endpoint `host:port`, as GrootFS's `metron_endpoint`
 * @returns false for a malformed endpoint, and for a host that is not resolved in time
 */
export async function sendToMetron(
  endpoint: string,
  metrics: readonly Metric[],
  resolve: Resolve,
): Promise<boolean> {
  const target = parseEndpoint(endpoint);
  if (target === undefined) return false;
  const bytes = target.bytes ?? (await within(RESOLVE_MS, resolve(target.host)));
  if (bytes === undefined) return false;
  const now = Date.now();
  const address: Address = { bytes, port: target.port };
  sendDatagrams(
    address,
    metrics.map((metric) => encodeValueMetric(metric, now)),
  );
  return true;
}

interface Endpoint {
  readonly host: string;
  /** The address, when the host is a numeric one. */
  readonly bytes: Uint8Array | undefined;
  readonly port: number;
}

/** Parses an endpoint such as `127.0.0.1:3457`, `[::1]:3457` or `localhost:3457`. */
export function parseEndpoint(endpoint: string): Endpoint | undefined {
  const colon = endpoint.lastIndexOf(':');
  const port = wholeNumber(endpoint.slice(colon + 1), 65535);
  const name = endpoint.slice(0, Math.max(colon, 0));
  const host = name[0] === '[' && name.at(-1) === ']' ? name.slice(1, -1) : name;
  if (host === '' || port === undefined || port === 0) return undefined;
  return { host, port, bytes: numericAddress(host === 'localhost' ? '127.0.0.1' : host) };
}

/** Parses a number that has only digits and is not above `largest`. */
function wholeNumber(text: string, largest: number): number | undefined {
  const number = Number(text);
  return number >= 0 && number <= largest && String(number) === text ? number : undefined;
}

/** Four bytes for an IPv4 address, sixteen for an IPv6 address; undefined for a name. */
export function numericAddress(host: string): Uint8Array | undefined {
  if (host.includes(':')) return ipv6(host);
  const bytes = host.split('.').map((part) => wholeNumber(part, 255));
  return bytes.length === 4 && bytes.every((byte) => byte !== undefined) ? new Uint8Array(bytes) : undefined;
}

function ipv6(host: string): Uint8Array | undefined {
  const [head = '', tail, ...more] = host.split('::');
  const words = (text: string | undefined) => (text ? text.split(':') : []);
  const zeros = 8 - words(head).length - words(tail).length;
  if (more.length > 0 || (tail === undefined ? zeros !== 0 : zeros < 1)) return undefined;
  const all = [...words(head), ...Array.from({ length: zeros }, () => '0'), ...words(tail)];
  if (!all.every((word) => /^[0-9a-fA-F]{1,4}$/.test(word))) return undefined;
  return new Uint8Array(
    all.flatMap((word) => [Number.parseInt(word, 16) >> 8, Number.parseInt(word, 16) & 255]),
  );
}

async function within<T>(ms: number, work: Promise<T>): Promise<T | undefined> {
  const { promise, resolve } = Promise.withResolvers<undefined>();
  const timer = setTimeout(resolve, ms, undefined);
  try {
    return await Promise.race([work.catch(() => undefined), promise]);
  } finally {
    clearTimeout(timer);
  }
}
