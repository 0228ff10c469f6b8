import { PluginError } from '../../base/errors/error.ts';
import { printable } from '../../base/text.ts';
import { zoneOf } from '../../http/address.ts';
import { Failure } from '../../http/failure.ts';

/**
 * Whether a token server may get a registry's credentials. The registry names that server in a header, which any machine
 * between graft and a plain-HTTP registry can forge. So credentials go only to the registry's own host, to its own domain
 * and to hosts that the operator lists. Any other server gets an anonymous request.
 */
export type RealmTrust = 'credentials' | 'anonymous';

export interface Realm {
  readonly url: URL;
  readonly trust: RealmTrust;
}

/** @throws Failure REGISTRY_BAD_CHALLENGE for a realm that is no usable URL */
export function judgeRealm(text: string, registry: URL, allowed: readonly string[]): Realm {
  const bad = (reason: string) =>
    new Failure('final', new PluginError('REGISTRY_BAD_CHALLENGE', { registry: registry.host, reason }));
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw bad(`its token realm is not a URL: ${printable(text)}`);
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    throw bad(`its token realm is of the kind ${printable(url.protocol)}`);
  }
  if (url.username !== '' || url.password !== '') throw bad('its token realm holds credentials');
  if (url.protocol === 'http:' && registry.protocol === 'https:') {
    throw bad(`its token realm http://${url.host} would carry the token without TLS`);
  }
  url.hash = '';
  return { url, trust: isOwn(url, registry) || allowed.includes(url.host) ? 'credentials' : 'anonymous' };
}

function isOwn(realm: URL, registry: URL): boolean {
  if (realm.hostname === registry.hostname) return true;
  // Without TLS a name proves nothing, so that only the same host counts, which is compared above.
  if (realm.protocol !== 'https:') return false;
  const site = siteOf(registry.hostname);
  return site !== undefined && site === siteOf(realm.hostname);
}

/**
 * Domains under which unrelated parties have hosts: there only the same host counts. The full public-suffix list changes
 * weekly. A domain that is missing here gives credentials only to hosts of that domain.
 */
const SHARED = new Set(
  (
    'amazonaws.com azurecr.io azure.com azurewebsites.net windows.net cloudapp.net cloudfront.net github.io ' +
    'githubusercontent.com gitlab.io run.app appspot.com web.app googleapis.com googleusercontent.com ' +
    'herokuapp.com fly.dev onrender.com vercel.app netlify.app workers.dev pages.dev ngrok.io ngrok.app ngrok.dev ' +
    'ngrok-free.app trycloudflare.com duckdns.org nip.io sslip.io jfrog.io tencentcr.com digitaloceanspaces.com ' +
    'scw.cloud appdomain.cloud dyndns.org no-ip.org'
  ).split(' '),
);
/** Domains whose third label is a region of a single party (`dockerauth.cn-hangzhou.aliyuncs.com`). */
const REGIONAL = new Set(['aliyuncs.com']);
/** `co.uk`, `com.au`, `ac.jp` …: generic second levels under a country. */
const COUNTRY = /^(?:ac|co|com|edu|go|gob|gov|gouv|gv|mil|ne|net|nom|or|org|sch)\.[a-z]{2}$/;

/** The registrable domain: the part of a name that a single party owns. Undefined for addresses and bare names. */
function siteOf(hostname: string): string | undefined {
  if (zoneOf(hostname) !== undefined) return undefined;
  const labels = hostname.toLowerCase().replace(/\.$/, '').split('.');
  const last = (n: number) => labels.slice(-n).join('.');
  if (SHARED.has(last(2))) return undefined;
  const size = REGIONAL.has(last(2)) || COUNTRY.test(last(2)) ? 3 : 2;
  return labels.length >= size ? last(size) : undefined;
}
