import { type Grade, strictest } from '../../base/grade.ts';
import type { Logger } from '../../base/log.ts';
import { unlessAborted } from '../../base/retry.ts';
import type { RedirectRules, Redirects } from '../../http/redirects.ts';
import type { Routes } from '../../http/route.ts';
import type { Standing } from '../answers/status.ts';
import { type Challenge, parseChallenge } from './challenge.ts';
import { concealer } from './conceal.ts';
import { type Credential, type Credentials, isOfCall } from './credentials.ts';
import { judgeRealm, type Realm } from './realm.ts';
import { basic, fetchToken } from './token.ts';

/** Whom we authenticate to, and as what. */
export interface AuthContext {
  /** The name credentials are kept under: `host[:port]`, `docker.io` for Docker Hub. */
  readonly name: string;
  readonly repository: string;
  readonly tokenRealms: readonly string[];
  readonly rules: () => RedirectRules;
}

/**
 * The Authorization header for one repository at one registry. Eight layers that meet a 401 together renew it
 * once: whoever comes second waits for the first one's token.
 */
export class Auth {
  readonly #context: AuthContext;
  readonly #credentials: Credentials;
  readonly #redirects: Redirects;
  readonly #routes: Routes;
  readonly #log: Logger;
  /** Of the whole image: a token outlives the one request that happened to ask for it. */
  readonly #lifetime: AbortSignal;
  #header: string | undefined;
  #renewing: Promise<void> | undefined;
  #hadCredentials = false;
  #withheld: string | undefined;
  /** As whom we have asked so far; what was sent once counts for all that came. */
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

  /** What the registry knows of us; it decides what a 401 means now. */
  get standing(): Standing {
    if (this.#header?.startsWith('Basic ')) return 'password';
    return this.#hadCredentials ? 'token' : 'anonymous';
  }

  /** Who may have what this authorization got. */
  get grade(): Grade {
    return this.#grade;
  }

  /** Why credentials that exist were not sent, for the sentence of a refusal. */
  get withheld(): string | undefined {
    return this.#withheld;
  }

  /** Takes what was sent out of a text that the registry sent. */
  conceal(text: string): string {
    return concealer(this.#credential, this.#header)(text);
  }

  /**
   * Whether there is a login to give. A helper that fails says no: nobody has asked for it, and the registry's own
   * answer is the better sentence.
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
   * Answers a 401 that came for `used` (the header that was sent, if any). True when another try makes sense.
   * @throws Failure REGISTRY_BAD_CHALLENGE, REGISTRY_BAD_CREDENTIALS …; the signal's reason when it aborts
   */
  async renew(
    used: string | undefined,
    wwwAuthenticate: string | null,
    signal: AbortSignal,
  ): Promise<boolean> {
    // Somebody else has renewed it since.
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
      // Without a password to give the 401 stands.
      if (credential?.kind !== 'password') return;
      this.#sends(credential);
      this.#header = basic(credential);
      return;
    }
    const realm = judgeRealm(challenge.realm, rules.registry, tokenRealms);
    this.#noteTrust(realm, credential);
    if (realm.trust === 'credentials' && credential !== undefined) this.#sends(credential);
    const lead = { from: rules.registry, listed: rules.privateHosts, what: 'its token server' };
    const addresses = await this.#routes.check(realm.url, lead);
    const request = {
      realm,
      service: challenge.service,
      scope: this.#scope(challenge),
      credential,
      repository,
    };
    this.#log.debug('token', { realm: realm.url.host, scope: request.scope, trust: realm.trust });
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
   * What we need is to pull one repository. A mirror that rewrites names asks for its own in the challenge; that
   * is taken when it too is pulling one repository, and nothing beyond.
   */
  #scope(challenge: Extract<Challenge, { scheme: 'bearer' }>): string {
    const asked = challenge.scope ?? '';
    return /^repository:[^\s,*]+:pull$/.test(asked) ? asked : `repository:${this.#context.repository}:pull`;
  }
}
