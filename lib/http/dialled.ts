import { PluginError } from '../base/errors/error.ts';
import { zoneOf } from './address.ts';
import { Failure } from './failure.ts';
import type { Peer } from './probe.ts';
import type { ProxyServer } from './proxy.ts';

export function nowhere(registry: string): Failure {
  const reason = 'its name has no address';
  return new Failure('final', new PluginError('REGISTRY_UNREACHABLE', { registry, reason }));
}

/** True when no connection was made. Another address of the same host may work. */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof Failure)) return false;
  const { code, subject } = error.error;
  if (code === 'REGISTRY_DEADLINE') return (subject as { step: string }).step === 'a connection';
  return code === 'REGISTRY_UNREACHABLE';
}

export function dialledUrl(url: URL, address: string | undefined): string {
  if (address === undefined) return url.href;
  const pinned = new URL(url.href);
  const hostname = address.includes(':') ? `[${address}]` : address;
  pinned.hostname = hostname;
  // A URL ignores a host that is no address. The name would then be looked up again, without a check.
  if (zoneOf(pinned.hostname) === undefined) throw nowhere(url.host);
  return pinned.href;
}

export function dialledPeer(url: URL, address: string | undefined, proxy: ProxyServer | undefined): Peer {
  const via = proxy === undefined ? url : new URL(proxy.url.reveal());
  const standard = via.protocol === 'https:' ? 443 : 80;
  const hostname = address ?? via.hostname.replace(/^\[|\]$/g, '');
  return { hostname, port: via.port === '' ? standard : Number(via.port) };
}

/** A URL for logs, without query: signed URLs of content networks have their credential there. */
export function shownUrl(url: URL): string {
  return `${url.protocol}//${url.host}${url.pathname}`;
}
