import type { RetryPolicy } from '../../base/retry.ts';
import type { HostTls, HttpPolicy } from '../../http/policy.ts';
import { noProxies } from '../../http/proxy.ts';

/**
 * All settings of registries as typed values. `settings.ts` makes them from the operator's settings, GrootFS's file, flags
 * and the environment; no other file of lib/registry reads those.
 */
export interface RegistryPolicy extends HttpPolicy {
  /** Exact `host[:port]` of registries whose certificate is not verified, and which may have plain HTTP only. */
  readonly insecure: readonly string[];
  /** Rules for a registry or a longer prefix. The longest prefix that fits an image counts. */
  readonly rules: readonly RegistryRule[];
  /** By exact `host[:port]`. */
  readonly hosts: Readonly<Record<string, HostPolicy>>;
  readonly credentials: CredentialsPolicy;
  readonly retry: RetryPolicy;
  /** The longest `Retry-After` that graft waits for. A longer one fails at once with the registry's text. */
  readonly retryAfterMaxMs: number;
  /** The number of blobs downloaded at the same time, over all registries. */
  readonly parallel: number;
  /** Hosts whose `urls` of foreign layers may be fetched for images from registries. */
  readonly foreignHosts: readonly string[];
  /** Refuse every image that is not named by digest. */
  readonly requireDigest: boolean;
  /** When the registry is asked whether the caller has access to content of the store. */
  readonly authenticate: Authenticate;
  /** Blobs from this size on leave a partial file behind when the process is killed. */
  readonly resumeFromBytes: number;
}

/**
 * `never`: each caller gets content of the store. `private`: the repository is asked about content that no anonymous caller
 * got. `always`: the registry is also asked about the manifest of each image.
 */
export type Authenticate = 'never' | 'private' | 'always';

/** A rule for a registry or a part of it, as `[[registry]]` in containers-registries.conf(5). */
export interface RegistryRule {
  /** `host[:port][/path]`, or `*.domain`. */
  readonly prefix: string;
  /** Replaces the prefix in requests to the registry itself; equal to the prefix where the file has none. */
  readonly location: string;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrors: readonly Mirror[];
  /** The file with the rule, for messages. */
  readonly from: string;
}

export interface Mirror {
  /** `host[:port][/path]`. The part of the image's name after the prefix is appended. */
  readonly location: string;
  readonly insecure: boolean;
  /** The requests that it gets: content by digest only, tags only, or both. A mirror for tags is trusted. */
  readonly pulls: 'all' | 'digest-only' | 'tag-only';
}

export interface HostPolicy extends HostTls {
  /** Further hosts that may be given this registry's credentials for a token. */
  readonly tokenRealms: readonly string[];
  /** Hosts that this registry may redirect to although they lie in a private network and it does not. */
  readonly privateHosts: readonly string[];
  /** Name of a `docker-credential-<name>` program. */
  readonly helper: string | undefined;
}

export const defaultHost: HostPolicy = {
  ca: [],
  client: undefined,
  tokenRealms: [],
  privateHosts: [],
  helper: undefined,
};

export interface CredentialsPolicy {
  /** A docker `config.json` or containers' `auth.json`. */
  readonly configFile: string | undefined;
  /** The directories with `docker-credential-*` programs, colon-separated. */
  readonly helperPath: string;
  /** The whole environment of a helper. */
  readonly helperEnv: Readonly<Record<string, string>>;
  readonly helperTimeoutMs: number;
}

/** The defaults. `settings.schema.json`, which operators read, has the reason of each number. */
export const defaultPolicy: RegistryPolicy = {
  userAgent: 'graft',
  insecure: [],
  rules: [],
  hosts: {},
  certsDirs: ['/etc/containers/certs.d', '/etc/docker/certs.d'],
  roots: { file: undefined, directories: undefined },
  proxies: noProxies,
  credentials: {
    configFile: undefined,
    helperPath: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    helperEnv: {},
    helperTimeoutMs: 10_000,
  },
  deadlines: {
    connectMs: 10_000,
    answerMs: 60_000,
    idleMs: 30_000,
    slowWindowMs: 60_000,
    slowBytesPerSecond: 1024,
    totalMs: undefined,
  },
  retry: { attempts: 5, baseMs: 500, maxMs: 15_000, random: Math.random },
  retryAfterMaxMs: 60_000,
  parallel: 6,
  foreignHosts: [],
  requireDigest: false,
  authenticate: 'private',
  resumeFromBytes: 64 * 1024 * 1024,
};
