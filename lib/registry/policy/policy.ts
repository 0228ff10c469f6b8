import type { RetryPolicy } from '../../base/retry.ts';
import type { HostTls, HttpPolicy } from '../../http/policy.ts';
import { noProxies } from '../../http/proxy.ts';

/**
 * Everything about registries that somebody may configure, as typed values. It is made in one place from the
 * operator's settings, GrootFS's file, flags and environment (`settings.ts`); nothing below reads any of those.
 */
export interface RegistryPolicy extends HttpPolicy {
  /** `host[:port]`, exact: TLS is not verified, and plain HTTP is spoken where TLS is not. */
  readonly insecure: readonly string[];
  /** By registry host or longer prefix; the longest that fits an image holds. */
  readonly rules: readonly RegistryRule[];
  /** By exact `host[:port]`. */
  readonly hosts: Readonly<Record<string, HostPolicy>>;
  readonly credentials: CredentialsPolicy;
  readonly retry: RetryPolicy;
  /** Longest `Retry-After` that is waited for; a longer one fails at once with the registry's words. */
  readonly retryAfterMaxMs: number;
  /** Blobs downloaded at the same time, over all registries. */
  readonly parallel: number;
  /** Hosts whose `urls` of foreign layers may be fetched for images from registries. */
  readonly foreignHosts: readonly string[];
  /** Refuse every image that is not named by digest. */
  readonly requireDigest: boolean;
  /** When the registry is asked whether whoever asks may have what is in the store. */
  readonly authenticate: Authenticate;
  /** Blobs from this size on leave a partial file behind when the process is killed. */
  readonly resumeFromBytes: number;
}

/**
 * `never`: what is in the store is given to whoever names it; `private`: what no anonymous caller got is asked for, where
 * it came from; `always`: so is each image, by its manifest.
 */
export type Authenticate = 'never' | 'private' | 'always';

/** What replaces a registry, or a part of one, as `[[registry]]` does in registries.conf(5). */
export interface RegistryRule {
  /** `host[:port][/path]`, or `*.domain`. */
  readonly prefix: string;
  /** What the prefix becomes at the origin; the prefix itself where nothing is said. */
  readonly location: string;
  readonly insecure: boolean;
  readonly blocked: boolean;
  readonly mirrors: readonly Mirror[];
  /** Where this was said, for messages. */
  readonly from: string;
}

export interface Mirror {
  /** `host[:port][/path]`; what follows the prefix in the image's name is appended. */
  readonly location: string;
  readonly insecure: boolean;
  /** What it is asked for: content by digest only, tags only, or both. A mirror for tags is a trusted one. */
  readonly pulls: 'all' | 'digest-only' | 'tag-only';
}

export interface HostPolicy extends HostTls {
  /** Further hosts that may be given this registry's credentials for a token. */
  readonly tokenRealms: readonly string[];
  /** Hosts that this registry may lead to although they lie in a private network and it does not. */
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
  /** Where `docker-credential-*` programs are looked for, colon-separated. */
  readonly helperPath: string;
  /** The whole environment of a helper. */
  readonly helperEnv: Readonly<Record<string, string>>;
  readonly helperTimeoutMs: number;
}

/** Values nobody has to set. Each number has its reason in `settings.schema.json`, where operators read it. */
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
