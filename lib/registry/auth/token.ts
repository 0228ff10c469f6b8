import { PluginError } from '../../base/errors/error.ts';
import { KiB } from '../../base/limits.ts';
import { Failure } from '../../http/failure.ts';
import type { RedirectRules, Redirects } from '../../http/redirects.ts';
import type { Answer } from '../../http/transport.ts';
import { asGoReads, structure, TEXT } from '../../oci/go-json.ts';
import { JsonRefused } from '../../oci/json.ts';
import { statusFailure } from '../answers/status.ts';
import type { Credential } from './credential.ts';
import { credentialMask } from './mask-credential.ts';
import type { Realm } from './realm.ts';

/** JSON web tokens with many scopes reach some KiB; go-containerregistry stops at the same size. */
const MAX_TOKEN_ANSWER = 64 * KiB;

export interface TokenRequest {
  readonly realm: Realm;
  readonly service: string | undefined;
  /** At least one. */
  readonly scopes: readonly string[];
  readonly credential: Credential | undefined;
  readonly repository: string;
}

/**
 * Fetches a bearer token, as distribution's token specification describes: by GET with basic authentication or without,
 * and by POST in OAuth 2 form where the credential is a refresh token.
 * @throws Failure REGISTRY_BAD_CREDENTIALS when the token server refuses the credentials
 */
export async function fetchToken(
  redirects: Redirects,
  rules: RedirectRules,
  request: TokenRequest,
  addresses: readonly string[] | undefined,
  signal: AbortSignal,
): Promise<string> {
  const { realm } = request;
  const credential = realm.trust === 'credentials' ? request.credential : undefined;
  const answer = await redirects.follow(
    {
      ...(credential?.kind === 'identity-token'
        ? refresh(request, credential.token.reveal())
        : plain(request, credential)),
      insecure: rules.insecure(realm.url.host),
      addresses,
      // A token that a client certificate bought must not go to another party's registry.
      certificate: realm.trust === 'credentials',
      signal,
    },
    rules,
  );
  if (answer.status !== 200) throw await tokenFailure(answer, request, credential);
  return readToken(await answer.body.bytes(MAX_TOKEN_ANSWER, 'a token'), rules.registry.host);
}

function plain({ realm, service, scopes }: TokenRequest, credential: Credential | undefined) {
  const url = new URL(realm.url);
  if (service !== undefined) url.searchParams.set('service', service);
  for (const scope of scopes) url.searchParams.append('scope', scope);
  const headers: Record<string, string> = { accept: 'application/json' };
  if (credential?.kind === 'password') {
    url.searchParams.set('account', credential.username);
    headers['authorization'] = basic(credential);
  }
  return { method: 'GET' as const, url, headers };
}

function refresh({ realm, service, scopes }: TokenRequest, token: string) {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'graft',
    scope: scopes.join(' '),
    refresh_token: token,
  });
  if (service !== undefined) form.set('service', service);
  return {
    method: 'POST' as const,
    url: realm.url,
    headers: { accept: 'application/json', 'content-type': 'application/x-www-form-urlencoded' },
    body: form.toString(),
  };
}

export function basic(credential: Extract<Credential, { kind: 'password' }>): string {
  const pair = Buffer.from(`${credential.username}:${credential.password.reveal()}`, 'utf8');
  return `Basic ${pair.toString('base64')}`;
}

async function tokenFailure(
  answer: Answer,
  request: TokenRequest,
  credential: Credential | undefined,
): Promise<Failure> {
  const context = {
    registry: answer.url.host,
    repository: request.repository,
    reference: '',
    what: 'a token',
    askedAs: credential === undefined ? ('anonymous' as const) : ('password' as const),
    mask: credentialMask(credential, undefined),
  };
  return statusFailure(answer, context);
}

/** Other clients read the answer in Go: the case of a key does not count. */
const ANSWER = structure({ token: TEXT, access_token: TEXT });

function readToken(bytes: Uint8Array, registry: string): string {
  const bad = (reason: string) =>
    new Failure('final', new PluginError('REGISTRY_BAD_RESPONSE', { registry, reason }));
  let value: { token?: unknown; access_token?: unknown } | null;
  try {
    value = asGoReads(JSON.parse(Buffer.from(bytes).toString('utf8')), ANSWER) as typeof value;
  } catch (error) {
    if (error instanceof JsonRefused)
      throw bad('its token server answers with a key twice, in capital and small letters');
    throw bad('its token server does not answer in JSON');
  }
  // Both names are in use. Where both are there, they are equal (token specification).
  const token = value?.token || value?.access_token;
  // Other characters could end the Authorization header and begin another.
  if (typeof token !== 'string' || !/^[\x21-\x7e]+$/.test(token))
    throw bad('its token server gives no usable token');
  return token;
}
