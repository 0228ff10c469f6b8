/** Signatures beside a registry (containers-registries.d(5)): `BASE/REPOSITORY@sha256=HEX/signature-N`, from 1 on. */
import { type Digest, hexOf } from '../../base/digest.ts';
import { isPluginError, PluginError } from '../../base/errors/error.ts';
import { MiB } from '../../base/limits.ts';
import { retry } from '../../base/retry.ts';
import { verdict } from '../../http/failure.ts';
import type { RedirectRules, Redirects } from '../../http/redirects.ts';
import type { Routes } from '../../http/route.ts';
import type { RegistryPolicy } from '../../registry/policy/policy.ts';
import { errnoMeaning, hasCode, type SysError } from '../../sys/kernel/errno.ts';
import { readFile } from '../../sys/kernel/read.ts';
import { S, statFollowing } from '../../sys/kernel/stat.ts';

/** The parts that send requests; made when the first one is needed. */
export interface Http {
  readonly redirects: Redirects;
  readonly routes: Routes;
  readonly policy: RegistryPolicy;
}

/** containers/image stops at the same numbers. */
const MAX_SIGNATURES = 128;
const MAX_SIGNATURE = 4 * MiB;
/** All of an image's together: real signatures have half a kilobyte. */
const MAX_TOGETHER = 16 * MiB;

/**
 * All signatures for a digest, in order; none is no error.
 * @param repository without its host
 * @throws TRUST_LOOKASIDE for every answer but a file and "not there", and for too much; REGISTRY_* of the network
 */
export async function fetchLookaside(
  base: URL,
  repository: string,
  digest: Digest,
  http: () => Promise<Http>,
  signal: AbortSignal,
): Promise<Uint8Array[]> {
  const found: Uint8Array[] = [];
  let bytes = 0;
  for (;;) {
    const url = urlOf(base, repository, digest, found.length + 1);
    const one = url.protocol === 'file:' ? readLocal(url) : await fetchOne(url, await http(), signal);
    if (one === undefined) return found;
    bytes += one.length;
    if (found.length >= MAX_SIGNATURES) throw wrong(url, `it has more than ${MAX_SIGNATURES} signatures`);
    if (bytes > MAX_TOGETHER) throw wrong(url, `its signatures have more than ${MAX_TOGETHER} bytes`);
    found.push(one);
  }
}

/** The directory of an image's signatures, for people. */
export function lookasideShown(base: URL, repository: string, digest: Digest): string {
  return urlOf(base, repository, digest, 1).href.replace(/\/signature-1$/, '');
}

function urlOf(base: URL, repository: string, digest: Digest, index: number): URL {
  const url = new URL(base);
  url.pathname = `${base.pathname.replace(/\/$/, '')}/${repository}@sha256=${hexOf(digest)}/signature-${index}`;
  return url;
}

function readLocal(url: URL): Uint8Array | undefined {
  const path = decodeURIComponent(url.pathname);
  try {
    // Opening a pipe would wait for a writer.
    if ((statFollowing(path).mode & S.IFMT) !== S.IFREG) throw wrong(url, 'it is not a file');
    return readFile(path, MAX_SIGNATURE);
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined;
    if (isPluginError(error)) throw error;
    throw wrong(url, errnoMeaning((error as SysError).code), error);
  }
}

async function fetchOne(url: URL, http: Http, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const { policy } = http;
  return retry(
    policy.retry,
    signal,
    () => once(url, http, signal),
    (error) => verdict(error, policy.retryAfterMaxMs),
    () => {},
  );
}

async function once(
  url: URL,
  { redirects, routes, policy }: Http,
  signal: AbortSignal,
): Promise<Uint8Array | undefined> {
  const insecure = (host: string) => policy.insecure.includes(host);
  const rules: RedirectRules = {
    registry: new URL('/', url),
    privateHosts: policy.hosts[url.host]?.privateHosts ?? [],
    insecure,
  };
  const addresses = await routes.own(url);
  const exchange = {
    method: 'GET' as const,
    url,
    headers: {},
    insecure: insecure(url.host),
    addresses,
    signal,
  };
  const answer = await redirects.follow(exchange, rules);
  if (answer.status === 200) return answer.body.bytes(MAX_SIGNATURE, 'a signature');
  await answer.body.discard();
  if (answer.status === 404) return undefined;
  throw wrong(url, `it answers ${answer.status}`);
}

function wrong(url: URL, reason: string, cause?: unknown): PluginError<'TRUST_LOOKASIDE'> {
  return new PluginError('TRUST_LOOKASIDE', { url: url.href, reason }, { cause });
}
