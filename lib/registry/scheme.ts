import type { Logger } from '../base/log.ts';
import { Failure } from '../http/failure.ts';
import type { Routes } from '../http/route.ts';
import type { Transport } from '../http/transport.ts';
import type { PullSource } from './policy/mirrors.ts';

export interface SchemeParts {
  readonly transport: Transport;
  readonly routes: Routes;
  readonly lifetime: AbortSignal;
  readonly log: Logger;
}

/**
 * Finds out by a request whether an insecure registry has TLS. Other registries are never asked without TLS.
 * @param origin of the registry, with https
 */
export async function settleScheme(
  { insecure, host }: PullSource,
  origin: URL,
  { transport, routes, lifetime, log }: SchemeParts,
): Promise<'https' | 'http'> {
  if (!insecure) return 'https';
  const url = new URL('/v2/', origin);
  try {
    const addresses = await routes.own(url);
    const answer = await transport.send({
      method: 'GET',
      url,
      headers: {},
      insecure: true,
      addresses,
      signal: lifetime,
    });
    routes.noteAnswer(url, answer.address);
    await answer.body.discard();
    return 'https';
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const { code } = error.error;
    // A registry that cannot be reached is asked over HTTP, which most insecure registries speak.
    const scheme = NO_TLS.has(code) ? 'http' : 'https';
    log.info('insecure-registry', { registry: host, code, scheme });
    return scheme;
  }
}

/** The errors of a TLS request to a registry that has no TLS. */
const NO_TLS: ReadonlySet<string> = new Set([
  'REGISTRY_HANDSHAKE',
  'REGISTRY_PLAIN_HTTP',
  'REGISTRY_UNREACHABLE',
]);
