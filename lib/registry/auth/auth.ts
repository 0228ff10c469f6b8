import { type Grade, strictest } from '../../base/grade.ts';
import type { Logger } from '../../base/log.ts';
import { unlessAborted } from '../../base/retry.ts';
import type { RedirectRules, Redirects } from '../../http/redirects.ts';
import type { Routes } from '../../http/route.ts';
import type { AskedAs } from '../answers/status.ts';
import { type Challenge, parseChallenge } from './challenge.ts';
import { type Credential, isOfCall } from './credential.ts';
import type { Credentials } from './credentials.ts';
import { credentialMask } from './mask-credential.ts';
import { judgeRealm, type Realm } from './realm.ts';
import { basic, fetchToken } from './token.ts';

/** The registry and the repository of an authorization. */
export interface AuthContext {
  /** The name under which credentials are stored: `host[:port]`, `docker.io` for Docker Hub. */
  readonly name: string;
  readonly repository: string;
  readonly tokenRealms: readonly string[];
  readonly rules: () => RedirectRules;
  /** Undefined to pull. */
  readonly push?: PushScope | undefined;
}

/** The rights that a push asks a token server for, beside those to pull and push the repository itself. */
export interface PushScope {
  /** Repositories of the same registry, from which blobs are mounted. */
  readonly mountFrom: readonly string[];
}

/**
 * The Authorization header for a repository at a registry. Layers that get a 401 at the same time renew it once: the
 * first asks for a token, and the others wait for it.
 */
export class Auth {
  readonly #context: AuthContext;
  readonly #credentials: Credentials;
  readonly #redirects: Redirects;
  readonly #routes: Routes;
  readonly #log: Logger;
  /** The signal of the whole image, since a token outlives the request that asked for it. */
  readonly #lifetime: AbortSignal;
  #header: string | undefined;
  #renewing: Promise<void> | undefined;
  #hadCredentials = false;
  #withheld: string | undefined;
  /** The strictest grade so far: once credentials were sent, it holds for all later content. */
  #grade: Grade = 'everybody';
  #credential: Credential | undefined;

  constructor(
    context: AuthContext,
    parts: {
      credentials: Credentials;
      redirects: Redirects;
      routes: Routes;
      log: Logger;
      lifetime: AbortSignal;
    },
  ) {
    this.#context = context;
    this.#credentials = parts.credentials;
    this.#redirects = parts.redirects;
    this.#routes = parts.routes;
    this.#log = parts.log;
    this.#lifetime = parts.lifetime;
  }

  get header(): string | undefined {
    return this.#header;
  }

  /** The identity of the next request. A 401 has a meaning for each. */
  get askedAs(): AskedAs {
    if (this.#header?.startsWith('Basic ')) return 'password';
    return this.#hadCredentials ? 'token' : 'anonymous';
  }

  /** The grade of content that this authorization got. */
  get grade(): Grade {
    return this.#grade;
  }

  /** Why credentials that exist were not sent, for the sentence of a refusal. */
  get withheld(): string | undefined {
    return this.#withheld;
  }

  /** Removes the credentials and the token that were sent from a text of the registry. */
  mask(text: string): string {
    return credentialMask(this.#credential, this.#header)(text);
  }

  /**
   * True when there are credentials for the repository. False also when a helper fails: the registry has not asked for
   * credentials, so its own answer is the better sentence.
   */
  async hasCredential(): Promise<boolean> {
    const { name, repository } = this.#context;
    try {
      return (await this.#credentials.find(name, repository, this.#lifetime)) !== undefined;
    } catch (error) {
      this.#log.info('credentials-unused', { registry: name, error: String(error) });
      return false;
    }
  }

  /**
   * Answers a 401 to a request with the header `used`, if any. True when the header has changed, so that another try is
   * useful.
   * @throws Failure REGISTRY_BAD_CHALLENGE, REGISTRY_BAD_CREDENTIALS …; the signal's reason when it aborts
   */
  async renew(
    used: string | undefined,
    wwwAuthenticate: string | null,
    signal: AbortSignal,
  ): Promise<boolean> {
    // Another request has renewed the header since.
    if (this.#header !== used) return true;
    const before = this.#header;
    this.#renewing ??= this.#authenticate(wwwAuthenticate).finally(() => {
      this.#renewing = undefined;
    });
    await unlessAborted(this.#renewing, signal);
    return this.#header !== before;
  }

  async #authenticate(wwwAuthenticate: string | null): Promise<void> {
    const { name, repository, tokenRealms } = this.#context;
    const rules = this.#context.rules();
    const challenge = parseChallenge(wwwAuthenticate, rules.registry.host);
    const credential = await this.#credentials.find(name, repository, this.#lifetime);
    this.#credential = credential;
    if (challenge.scheme === 'basic') {
      // Without a password the 401 is final.
      if (credential?.kind !== 'password') return;
      this.#sends(credential);
      this.#header = basic(credential);
      return;
    }
    const realm = judgeRealm(challenge.realm, rules.registry, tokenRealms);
    this.#noteTrust(realm, credential);
    if (realm.trust === 'credentials' && credential !== undefined) this.#sends(credential);
    const referrer = { from: rules.registry, listed: rules.privateHosts, what: 'its token server' };
    const addresses = await this.#routes.check(realm.url, referrer);
    const request = {
      realm,
      service: challenge.service,
      scopes: this.#scopes(challenge),
      credential,
      repository,
    };
    this.#log.debug('token', { realm: realm.url.host, scope: request.scopes.join(' '), trust: realm.trust });
    this.#header = `Bearer ${await fetchToken(this.#redirects, rules, request, addresses, this.#lifetime)}`;
    if (this.#redirects.showedCertificateTo(realm.url.host)) this.#grade = strictest([this.#grade, 'cell']);
  }

  #sends(credential: Credential): void {
    this.#grade = strictest([this.#grade, isOfCall(credential) ? 'asked' : 'cell']);
  }

  #noteTrust(realm: Realm, credential: Credential | undefined): void {
    this.#hadCredentials = credential !== undefined && realm.trust === 'credentials';
    this.#withheld = undefined;
    if (credential === undefined || realm.trust === 'credentials') return;
    const host = realm.url.host;
    this.#withheld = `the credentials were not sent to its token server ${host}, which is not known to belong to it`;
    this.#log.info('credentials-withheld', {
      registry: this.#context.name,
      realm: host,
      setting: 'token_realms',
    });
  }

  /**
   * The scopes of the token. To pull: a mirror that rewrites names has another repository in its challenge, and that scope
   * is used when it too is to pull a single repository. A push always goes to the registry itself.
   */
  #scopes(challenge: Extract<Challenge, { scheme: 'bearer' }>): string[] {
    const { repository, push } = this.#context;
    if (push !== undefined) {
      const others = push.mountFrom.filter((other) => other !== repository);
      // To drop an upload that failed, docker-registry wants the right to delete, and says so at that request only.
      const more = challenge.scope === `repository:${repository}:delete` ? ',delete' : '';
      return [
        `repository:${repository}:pull,push${more}`,
        ...others.map((other) => `repository:${other}:pull`),
      ];
    }
    const asked = challenge.scope ?? '';
    return [/^repository:[^\s,*]+:pull$/.test(asked) ? asked : `repository:${repository}:pull`];
  }
}
