/** A token server for docker-registry (distribution's token specification): it signs, counts, and forgets. */
import { createPrivateKey, createSign, randomUUID, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Pair } from './certificates.ts';

interface TokenRequest {
  readonly method: string;
  readonly scope: string | null;
  readonly service: string | null;
  readonly authorization: string | null;
}

export interface TokenServer extends AsyncDisposable {
  readonly url: string;
  readonly requests: readonly TokenRequest[];
  /** The token it gave last. */
  last(): string;
  /** Seconds for which the next tokens are good; the registry allows itself none beyond. */
  validFor(seconds: number): void;
  stop(): Promise<void>;
}

export interface TokenServerOptions {
  /** Signs the tokens; docker-registry trusts its certificate. */
  readonly signer: Pair;
  readonly issuer: string;
  readonly tls?: { readonly cert: string; readonly key: string };
  /** Another place than a free port of 127.0.0.1. */
  readonly listen?: { readonly hostname: string; readonly port: number };
  /** Whom it lets in; anybody, where this is left out. */
  readonly login?: { readonly username: string; readonly password: string };
  /** What may be posted instead, as OAuth 2 has it. */
  readonly identityToken?: string;
}

export function tokenServer(options: TokenServerOptions): TokenServer {
  const requests: TokenRequest[] = [];
  let seconds = 300;
  let last = '';
  const server = Bun.serve({
    hostname: '127.0.0.1',
    port: 0,
    ...options.listen,
    ...(options.tls && { tls: options.tls }),
    async fetch(request) {
      const { method } = request;
      const posted = method === 'POST';
      const query = posted ? new URLSearchParams(await request.text()) : new URL(request.url).searchParams;
      const authorization = request.headers.get('authorization');
      requests.push({ method, scope: query.get('scope'), service: query.get('service'), authorization });
      const wrong = posted
        ? query.get('refresh_token') !== options.identityToken
        : authorization !== null && authorization !== expected(options.login);
      if (wrong)
        return Response.json(
          { errors: [{ code: 'UNAUTHORIZED', message: 'incorrect username or password' }] },
          { status: 401 },
        );
      const anonymous = options.login !== undefined && authorization === null && !posted;
      last = sign(options, query, seconds, anonymous);
      return Response.json({ token: last, expires_in: seconds, issued_at: new Date().toISOString() });
    },
  });
  const scheme = options.tls === undefined ? 'http' : 'https';
  return {
    url: `${scheme}://127.0.0.1:${server.port}/token`,
    requests,
    last: () => last,
    validFor: (value) => {
      seconds = value;
    },
    stop: () => server.stop(true),
    [Symbol.asyncDispose]: () => server.stop(true),
  };
}

function expected(login: TokenServerOptions['login']): string | undefined {
  return login && `Basic ${Buffer.from(`${login.username}:${login.password}`).toString('base64')}`;
}

/** A JSON web token with the scopes that were asked for, or with none for nobody. */
function sign(
  options: TokenServerOptions,
  query: URLSearchParams,
  seconds: number,
  anonymous: boolean,
): string {
  const certificate = new X509Certificate(readFileSync(options.signer.certificate));
  const now = Math.floor(Date.now() / 1000);
  const access = query.getAll('scope').map((scope) => {
    const [type, name, actions = ''] = scope.split(':');
    return { type, name, actions: actions.split(',') };
  });
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const head = part({ typ: 'JWT', alg: 'ES256', x5c: [certificate.raw.toString('base64')] });
  const body = part({
    iss: options.issuer,
    aud: query.get('service'),
    sub: 'somebody',
    // docker-registry allows a minute of difference between clocks.
    exp: now + seconds - 60,
    nbf: now - 120,
    iat: now - 120,
    jti: randomUUID(),
    access: anonymous ? [] : access,
  });
  const key = createPrivateKey(readFileSync(options.signer.key));
  const signature = createSign('sha256').update(`${head}.${body}`).sign({ key, dsaEncoding: 'ieee-p1363' });
  return `${head}.${body}.${signature.toString('base64url')}`;
}
