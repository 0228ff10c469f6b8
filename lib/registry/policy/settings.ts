import { existsSync } from 'node:fs';
import { PluginError } from '../../base/errors/error.ts';
import { Secret } from '../../base/secret.ts';
import type { Deadlines } from '../../http/policy.ts';
import type { ProxySettings } from '../../http/proxy.ts';
import {
  type Authenticate,
  type CredentialsPolicy,
  defaultHost,
  defaultPolicy,
  type HostPolicy,
  type RegistryPolicy,
  type RegistryRule,
} from './policy.ts';
import { readRegistriesConf } from './registries-conf.ts';

/** The `registries:` part of the settings as `settings.schema.json` admits it. */
export interface RegistriesFile {
  readonly hosts?: Readonly<Record<string, HostFile>>;
  readonly insecure?: readonly string[];
  readonly require_digest?: boolean;
  readonly always_authenticate?: Authenticate | boolean;
  readonly when_unreachable?: 'fail' | 'last_known';
  readonly last_known_max_age_hours?: number;
  readonly docker_config?: string;
  readonly credential_helpers?: {
    readonly path?: string;
    readonly environment?: Readonly<Record<string, string>>;
    readonly timeout_ms?: number;
  };
  readonly certs_dirs?: readonly string[];
  readonly registries_conf?: readonly string[];
  readonly proxy?: { readonly http?: string; readonly https?: string; readonly no_proxy?: string };
  readonly parallel_downloads?: number;
  readonly resume_from_bytes?: number;
  readonly foreign_hosts?: readonly string[];
  readonly timeouts?: {
    readonly connect_ms?: number;
    readonly answer_ms?: number;
    readonly idle_ms?: number;
    readonly slow_window_ms?: number;
    readonly slow_bytes_per_second?: number;
    readonly total_ms?: number;
  };
  readonly retries?: {
    readonly attempts?: number;
    readonly first_pause_ms?: number;
    readonly longest_pause_ms?: number;
    readonly retry_after_max_ms?: number;
  };
}

interface HostFile {
  readonly mirrors?: readonly {
    readonly location: string;
    readonly insecure?: boolean;
    readonly trusted?: boolean;
  }[];
  readonly blocked?: boolean;
  readonly ca?: readonly string[];
  readonly client_certificate?: string;
  readonly client_key?: string;
  readonly credential_helper?: string;
  readonly token_realms?: readonly string[];
  readonly private_hosts?: readonly string[];
}

/** The inputs beside the file: the call's flags, GrootFS's file, and the environment as it was read at start. */
export interface PolicyInputs {
  /** `graft/1.2.3` */
  readonly userAgent: string;
  /** From `--insecure-registry` or `create.insecure_registries`. */
  readonly insecure: readonly string[];
  readonly requireDigest: boolean;
  readonly home: string | undefined;
  readonly path: string;
  readonly helperEnv: Readonly<Record<string, string>>;
  readonly proxy: {
    readonly http: string | undefined;
    readonly https: string | undefined;
    readonly all: string | undefined;
    readonly no: string | undefined;
  };
  readonly sslCertFile: string | undefined;
  readonly sslCertDir: string | undefined;
}

const REGISTRIES_CONF = ['/etc/containers/registries.conf', '/etc/containers/registries.conf.d'];

/**
 * The settings of registries for this call.
 * @param source names the settings file in errors
 * @throws CONFIG_INVALID for a fault that the schema cannot express, and for a registries.conf that cannot be read
 */
export function registryPolicy(
  file: RegistriesFile | undefined,
  source: string,
  given: PolicyInputs,
): RegistryPolicy {
  const settings = file ?? {};
  const hosts = lowerKeys(settings.hosts ?? {});
  const { retries } = settings;
  return {
    userAgent: given.userAgent,
    insecure: [...given.insecure, ...(settings.insecure ?? [])].map((host) => host.toLowerCase()),
    rules: [...rulesOf(hosts, source), ...rulesOfContainers(settings.registries_conf)],
    hosts: Object.fromEntries(
      Object.entries(hosts).map(([name, host]) => [name, hostOf(name, host, source)]),
    ),
    certsDirs: settings.certs_dirs ?? [...homeCerts(given.home), ...defaultPolicy.certsDirs],
    roots: { file: given.sslCertFile, directories: given.sslCertDir },
    proxies: proxiesOf(settings, given),
    credentials: credentialsOf(settings, given),
    deadlines: deadlinesOf(settings),
    retry: {
      attempts: retries?.attempts ?? defaultPolicy.retry.attempts,
      baseMs: retries?.first_pause_ms ?? defaultPolicy.retry.baseMs,
      maxMs: retries?.longest_pause_ms ?? defaultPolicy.retry.maxMs,
      random: defaultPolicy.retry.random,
    },
    retryAfterMaxMs: retries?.retry_after_max_ms ?? defaultPolicy.retryAfterMaxMs,
    parallel: settings.parallel_downloads ?? defaultPolicy.parallel,
    foreignHosts: (settings.foreign_hosts ?? []).map((host) => host.toLowerCase()),
    requireDigest: given.requireDigest || settings.require_digest === true,
    authenticate: authenticateOf(settings),
    resumeFromBytes: settings.resume_from_bytes ?? defaultPolicy.resumeFromBytes,
  };
}

/** The setting; `true` and `false` are its older values. */
export function authenticateOf(settings: RegistriesFile | undefined): Authenticate {
  const said = settings?.always_authenticate ?? defaultPolicy.authenticate;
  if (typeof said === 'string') return said;
  return said ? 'always' : 'never';
}

/** Host names in lower case, since their case does not count. */
function lowerKeys(hosts: Readonly<Record<string, HostFile>>): Record<string, HostFile> {
  return Object.fromEntries(Object.entries(hosts).map(([name, host]) => [name.toLowerCase(), host]));
}

function rulesOf(hosts: Readonly<Record<string, HostFile>>, source: string): RegistryRule[] {
  return Object.entries(hosts)
    .filter(([, host]) => host.mirrors !== undefined || host.blocked !== undefined)
    .map(([prefix, host]) => ({
      prefix,
      location: prefix,
      insecure: false,
      blocked: host.blocked ?? false,
      mirrors: (host.mirrors ?? []).map(({ location, insecure, trusted }) => ({
        location,
        insecure: insecure ?? false,
        pulls: trusted ? 'all' : 'digest-only',
      })),
      from: source,
    }));
}

/** Reads the files that the operator names, which must exist, or else the default files that exist. */
function rulesOfContainers(named: readonly string[] | undefined): RegistryRule[] {
  return readRegistriesConf(named ?? REGISTRIES_CONF.filter((path) => existsSync(path)));
}

function hostOf(name: string, host: HostFile, source: string): HostPolicy {
  const { client_certificate: certificate, client_key: key } = host;
  const bad = (reason: string) =>
    new PluginError('CONFIG_INVALID', { path: source, reason: `registries.hosts.${name}: ${reason}` });
  if ((certificate === undefined) !== (key === undefined)) {
    throw bad('client_certificate and client_key go together');
  }
  if (name.includes('/') && OF_HOSTS_ONLY.some((setting) => host[setting] !== undefined)) {
    throw bad('a part of a registry has mirrors and blocked; everything else belongs to the whole host');
  }
  return {
    ca: host.ca ?? defaultHost.ca,
    client: certificate !== undefined && key !== undefined ? { certificate, key } : undefined,
    tokenRealms: (host.token_realms ?? []).map((realm) => realm.toLowerCase()),
    privateHosts: (host.private_hosts ?? []).map((other) => other.toLowerCase()),
    helper: host.credential_helper,
  };
}

const OF_HOSTS_ONLY = [
  'ca',
  'client_certificate',
  'client_key',
  'credential_helper',
  'token_realms',
  'private_hosts',
] as const;

function homeCerts(home: string | undefined): string[] {
  return home?.startsWith('/') ? [`${home}/.config/containers/certs.d`] : [];
}

function proxiesOf({ proxy }: RegistriesFile, given: PolicyInputs): ProxySettings {
  const secret = (text: string | undefined) => (text === undefined ? undefined : new Secret(text));
  if (proxy !== undefined)
    return { http: secret(proxy.http), https: secret(proxy.https), no: proxy.no_proxy };
  const { http, https, all, no } = given.proxy;
  return { http: secret(http ?? all), https: secret(https ?? all), no };
}

function credentialsOf(settings: RegistriesFile, given: PolicyInputs): CredentialsPolicy {
  const helpers = settings.credential_helpers;
  return {
    configFile: settings.docker_config,
    helperPath: helpers?.path ?? given.path,
    helperEnv: { ...given.helperEnv, ...helpers?.environment },
    helperTimeoutMs: helpers?.timeout_ms ?? defaultPolicy.credentials.helperTimeoutMs,
  };
}

function deadlinesOf({ timeouts }: RegistriesFile): Deadlines {
  const usual = defaultPolicy.deadlines;
  return {
    connectMs: timeouts?.connect_ms ?? usual.connectMs,
    answerMs: timeouts?.answer_ms ?? usual.answerMs,
    idleMs: timeouts?.idle_ms ?? usual.idleMs,
    slowWindowMs: timeouts?.slow_window_ms ?? usual.slowWindowMs,
    slowBytesPerSecond: timeouts?.slow_bytes_per_second ?? usual.slowBytesPerSecond,
    totalMs: timeouts?.total_ms,
  };
}
