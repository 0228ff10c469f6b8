import { PluginError } from '../base/errors/error.ts';
import { Secret } from '../base/secret.ts';
import { printable } from '../base/text.ts';
import { inNetwork, parseAddress, zoneOf } from './address.ts';

/** The unparsed values of the proxy variables, or of the settings that replace them. They may hold credentials. */
export interface ProxySettings {
  readonly http: Secret | undefined;
  readonly https: Secret | undefined;
  /** NO_PROXY: hosts, domains, addresses and networks that graft reaches without a proxy. */
  readonly no: string | undefined;
}

export const noProxies: ProxySettings = { http: undefined, https: undefined, no: undefined };

export interface ProxyServer {
  /** With userinfo where there is one: for the transport only. */
  readonly url: Secret;
  /** `host:port`, for people. */
  readonly shown: string;
}

/** Chooses the proxy of a URL. NO_PROXY is read as Go reads it, since operators of GrootFS wrote it for Go. */
export class Proxies {
  readonly #http: ProxyServer | undefined;
  readonly #https: ProxyServer | undefined;
  readonly #direct: readonly Pattern[];

  /** @throws CONFIG_INVALID for a proxy that is not http:// or https:// */
  constructor(settings: ProxySettings) {
    this.#http = parseProxy(settings.http, 'HTTP_PROXY');
    this.#https = parseProxy(settings.https, 'HTTPS_PROXY');
    this.#direct = parseNoProxy(settings.no ?? '');
  }

  for(url: URL): ProxyServer | undefined {
    const proxy = url.protocol === 'https:' ? this.#https : this.#http;
    if (proxy === undefined) return undefined;
    const host = url.hostname.replace(/^\[|\]$/g, '').toLowerCase();
    // As in Go, requests to this machine itself never go through a proxy.
    if (host === 'localhost' || zoneOf(host) === 'loopback') return undefined;
    const port = url.port || (url.protocol === 'https:' ? '443' : '80');
    return this.#direct.some((pattern) => pattern(host, port)) ? undefined : proxy;
  }
}

function parseProxy(setting: Secret | undefined, name: string): ProxyServer | undefined {
  const text = setting?.reveal().trim() ?? '';
  if (text === '') return undefined;
  const bad = (reason: string) => new PluginError('CONFIG_INVALID', { path: name, reason });
  let url: URL;
  try {
    url = new URL(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `http://${text}`);
  } catch {
    throw bad('it is not the URL of a proxy; write http://host:port');
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw bad(`proxies of the kind ${printable(url.protocol)}// are not supported; use an HTTP proxy`);
  }
  return { url: new Secret(url.href), shown: url.host };
}

type Pattern = (host: string, port: string) => boolean;

/** Entries may have a port, and are separated by commas or blanks. As in Go, an entry that cannot match is dropped. */
function parseNoProxy(text: string): Pattern[] {
  return text
    .toLowerCase()
    .split(/[\s,]+/)
    .filter((entry) => entry !== '')
    .flatMap((entry) => parseEntry(entry) ?? []);
}

function parseEntry(entry: string): Pattern | undefined {
  if (entry === '*') return () => true;
  if (entry.includes('/')) return matching(entry.replace(/^\[(.+)\]\//, '$1/'), undefined);
  const { host, port } = splitPort(entry);
  if (host === '') return undefined;
  const address = parseAddress(host);
  if (address !== undefined) return matching(`${host}/${address.toByteArray().length * 8}`, port);
  const domain = host.replace(/^\*?\./, '');
  // `example.com` is the domain and all names below it; `.example.com` and `*.example.com` are only the names below.
  const itself = domain === host;
  return (actual, at) =>
    (port === undefined || port === at) && ((itself && actual === domain) || actual.endsWith(`.${domain}`));
}

function matching(network: string, port: string | undefined): Pattern | undefined {
  const has = inNetwork(network);
  if (has === undefined) return undefined;
  return (host, at) => {
    const address = port === undefined || port === at ? parseAddress(host) : undefined;
    return address !== undefined && has(address);
  };
}

function splitPort(entry: string): { host: string; port: string | undefined } {
  const bracketed = /^\[([^\]]+)\](?::(\d+))?$/.exec(entry);
  if (bracketed) return { host: bracketed[1] ?? '', port: bracketed[2] };
  const colon = entry.indexOf(':');
  if (colon < 0 || entry.indexOf(':', colon + 1) >= 0) return { host: entry, port: undefined };
  return { host: entry.slice(0, colon), port: entry.slice(colon + 1) };
}
