import type { Logger } from '../../base/log.ts';
import type { Secret } from '../../base/secret.ts';
import type { CredentialsPolicy, HostPolicy } from '../policy/policy.ts';
import { type Credential, FLAGS, IMAGE_URI } from './credential.ts';
import { type DockerConfig, readDockerConfig } from './docker-config.ts';
import { runHelper } from './helper.ts';

/** A user name and a password of the call, for the image's own registry only. */
export interface GivenCredentials {
  readonly username: string;
  readonly password: Secret;
}

export interface CredentialSources {
  /** The registry of the image, which alone gets `flags` and `userinfo`; mirrors never get them. */
  readonly registry: string;
  readonly flags: GivenCredentials | undefined;
  readonly userinfo: GivenCredentials | undefined;
  readonly policy: CredentialsPolicy;
  readonly hosts: Readonly<Record<string, HostPolicy>>;
}

/**
 * Finds the credential for a host, in this order: flags, userinfo of the URI, docker's configuration file, helpers. Whole
 * hosts are compared, since a substring match would give `registry.example`'s password to `registry.example.evil.test`.
 * The search starts when a registry asks for credentials, and runs once for each repository.
 */
export class Credentials {
  readonly #sources: CredentialSources;
  readonly #log: Logger;
  readonly #found = new Map<string, Promise<Credential | undefined>>();
  #config: DockerConfig | undefined;

  constructor(sources: CredentialSources, log: Logger) {
    this.#sources = sources;
    this.#log = log;
  }

  /** @throws CONFIG_INVALID, REGISTRY_HELPER */
  find(host: string, repository: string, signal: AbortSignal): Promise<Credential | undefined> {
    const key = `${host}/${repository}`;
    const known = this.#found.get(key);
    if (known) return known;
    const search = this.#search(host, repository, signal);
    this.#found.set(key, search);
    return search;
  }

  async #search(host: string, repository: string, signal: AbortSignal): Promise<Credential | undefined> {
    const found = (await this.#given(host)) ?? (await this.#configured(host, repository, signal));
    this.#log.debug('credentials', { host, from: found?.where ?? 'nowhere' });
    return found;
  }

  async #given(host: string): Promise<Credential | undefined> {
    const { flags, userinfo, registry } = this.#sources;
    if (host !== registry) return undefined;
    const password = (given: GivenCredentials | undefined, where: string): Credential | undefined =>
      given && (given.username !== '' || given.password.reveal() !== '')
        ? { kind: 'password', ...given, where }
        : undefined;
    return password(flags, FLAGS) ?? password(userinfo, IMAGE_URI);
  }

  async #configured(host: string, repository: string, signal: AbortSignal): Promise<Credential | undefined> {
    const { policy, hosts } = this.#sources;
    if (policy.configFile !== undefined) this.#config ??= readDockerConfig(policy.configFile);
    const stored = this.#config?.find(host, repository);
    if (stored) return stored;
    const helper = hosts[host]?.helper ?? this.#config?.helperFor(host);
    return helper === undefined ? undefined : runHelper(helper, host, policy, signal);
  }
}
