import type { Logger } from '../../base/log.ts';
import { Redirects } from '../../http/redirects.ts';
import { Routes, systemLookup } from '../../http/route.ts';
import { Transport } from '../../http/transport.ts';
import type { RegistryPolicy } from '../../registry/policy/policy.ts';
import type { Http } from './lookaside.ts';

/** Connections to places of signatures, with the certificates and proxies of registries, and without credentials. */
export function openHttp(policy: RegistryPolicy, log: Logger): Http {
  const transport = new Transport(policy, log);
  const routes = new Routes(transport.proxies, systemLookup, log);
  return { redirects: new Redirects(transport, routes), routes, policy };
}
