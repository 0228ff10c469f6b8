/** Tokens: one for all layers, renewed once, and nobody's secret where it does not belong (hostile rows 54 to 56). */
import { afterEach, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { defaultHost, defaultPolicy, type RegistryPolicy } from '../../../../lib/registry/policy/policy.ts';
import {
  errorAnswer,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  noise,
} from '../../../support/registries/fake-registry.ts';
import {
  type RawAnswer,
  type RawRequest,
  type RawServer,
  rawServer,
  whole,
} from '../../../support/registries/raw-server.ts';
import {
  login,
  NEVER,
  RecordingLog,
  readImage,
  readLayer,
  registrySource,
  rejection,
  type TestSourceOptions,
} from '../../../support/registries/registry-client.ts';
import { tempDir } from '../../../support/temp.ts';

const image = fakeImage([noise(1000, 1), noise(1000, 2), noise(1000, 3), noise(1000, 4)]);

const started: RawServer[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});
function start<T extends RawServer>(server: T): T {
  started.push(server);
  return server;
}

type Play = (request: RawRequest, answer: RawAnswer) => unknown;

/** A token server that answers with `token-1`, `token-2` …, or as `play` says. */
function tokenServer(play?: Play): RawServer {
  let count = 0;
  return start(
    rawServer(async (request, answer) => {
      if (play !== undefined) return void (await play(request, answer));
      count += 1;
      await answer.write(whole(200, JSON.stringify({ token: `token-${count}` })));
    }),
  );
}

interface Guard {
  /** The whole `WWW-Authenticate`. */
  readonly challenge: () => string;
  readonly lets: (authorization: string | null, request: RawRequest) => boolean;
}

/** A registry that wants what `guard` says. */
function guarded(guard: Guard): FakeRegistry {
  return start(
    fakeRegistry(image, {
      override: async (request, answer) => {
        if (request.target === '/' || guard.lets(request.headers.get('authorization'), request)) return false;
        await answer.write(
          errorAnswer(401, 'UNAUTHORIZED', 'authentication required', {
            'www-authenticate': guard.challenge(),
          }),
        );
        return true;
      },
    }),
  );
}

const bearer = (tokens: RawServer, more = 'service="test registry",scope="repository:app:pull"') =>
  `Bearer realm="http://${tokens.host}/token",${more}`;
const isToken = (authorization: string | null) => /^Bearer token-\d+$/.test(authorization ?? '');

async function pull(registry: FakeRegistry, options: TestSourceOptions = {}): Promise<string[]> {
  return readImage(registry.image(':latest'), {
    ...options,
    policy: { insecure: [registry.host], ...options.policy },
  });
}
const basic = (user: string, password: string) =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

describe('bearer', () => {
  test('gets one token for the manifest and all layers', async () => {
    const tokens = tokenServer();
    const registry = guarded({ challenge: () => bearer(tokens), lets: isToken });
    expect((await pull(registry)).length).toBe(4);
    expect(tokens.requests.map(({ target }) => target)).toEqual([
      '/token?service=test+registry&scope=repository%3Aapp%3Apull',
    ]);
    expect(tokens.requests[0]?.headers.get('authorization')).toBeNull();
  });

  test('sends user and password to the token server, and to nobody else', async () => {
    const tokens = tokenServer();
    const registry = guarded({ challenge: () => bearer(tokens), lets: isToken });
    await pull(registry, { credentials: login('me', 'S3CRET') });
    expect(tokens.requests[0]?.headers.get('authorization')).toBe(basic('me', 'S3CRET'));
    expect(new URLSearchParams(tokens.requests[0]?.target.split('?')[1]).get('account')).toBe('me');
    const seen = registry.requests.map(({ headers }) => headers.get('authorization'));
    expect(seen.filter((value) => value !== null && !isToken(value))).toEqual([]);
  });

  test('reads a token as Go does: the case of the key does not count', async () => {
    const tokens = tokenServer((_request, answer) => answer.write(whole(200, '{"Token":"token-1"}')));
    await pull(guarded({ challenge: () => bearer(tokens), lets: isToken }));
    const twice = tokenServer((_request, answer) =>
      answer.write(whole(200, '{"token":"token-1","TOKEN":"x"}')),
    );
    const refused = await rejection(pull(guarded({ challenge: () => bearer(twice), lets: isToken })));
    expect([refused.code, String(refused.subject['reason'])]).toEqual([
      'REGISTRY_BAD_RESPONSE',
      'its token server answers with a key twice, in capital and small letters',
    ]);
  });

  test('posts a refresh token, as OAuth 2 has it', async () => {
    await using dir = tempDir();
    const tokens = tokenServer((_request, answer) => answer.write(whole(200, '{"access_token":"token-1"}')));
    const registry = guarded({ challenge: () => bearer(tokens), lets: isToken });
    const configFile = dir.at('config.json');
    writeFileSync(configFile, JSON.stringify({ auths: { [registry.host]: { identitytoken: 'REFRESH' } } }));
    await pull(registry, { policy: { credentials: { ...defaultPolicy.credentials, configFile } } });
    const [posted] = tokens.requests;
    expect([posted?.method, posted?.target]).toEqual(['POST', '/token']);
    expect(Object.fromEntries(new URLSearchParams(posted?.body))).toEqual({
      grant_type: 'refresh_token',
      client_id: 'graft',
      scope: 'repository:app:pull',
      refresh_token: 'REFRESH',
      service: 'test registry',
    });
  });

  test('is not waited for by who is stopped', async () => {
    const asked = Promise.withResolvers<void>();
    const tokens = tokenServer(() => asked.resolve());
    const registry = guarded({ challenge: () => bearer(tokens), lets: isToken });
    const source = registrySource(registry.image(':latest'), { policy: { insecure: [registry.host] } });
    const stop = new AbortController();
    const resolved = rejection(source.resolve(stop.signal));
    await asked.promise;
    const stopped = performance.now();
    stop.abort(new Error('stopped'));
    expect(String(await resolved)).toBe('Error: stopped');
    // The token server has 4 seconds for an answer that never comes.
    expect(performance.now() - stopped).toBeLessThan(2000);
    await source.close();
  });

  test('renews a token that ran out, once for all layers that meet it', async () => {
    const tokens = tokenServer();
    let valid = 'Bearer token-1';
    const registry = guarded({
      challenge: () => bearer(tokens),
      lets: (authorization) => authorization === valid,
    });
    const source = registrySource(registry.image(':latest'), { policy: { insecure: [registry.host] } });
    const { layers } = await source.resolve(NEVER);
    valid = 'Bearer token-2';
    await Promise.all(layers.map((layer) => readLayer(source, layer)));
    await source.close();
    expect(tokens.requests.length).toBe(2);
  });

  test('renews once for one request, then believes the registry', async () => {
    const tokens = tokenServer();
    const registry = guarded({ challenge: () => bearer(tokens), lets: () => false });
    const error = await rejection(pull(registry));
    expect([error.code, error.subject['reason']]).toEqual([
      'REGISTRY_UNAUTHORIZED',
      'authentication required',
    ]);
    expect(tokens.requests.length).toBe(1);
    expect(registry.asked('latest').length).toBe(2);
  });

  test('with a right password and too few rights is a denial, not a wrong password', async () => {
    const tokens = tokenServer();
    const registry = guarded({ challenge: () => bearer(tokens), lets: () => false });
    const error = await rejection(pull(registry, { credentials: login('me', 'S3CRET') }));
    expect(error.code).toBe('REGISTRY_DENIED');
  });

  test('with a wrong password says so, and asks once', async () => {
    const tokens = tokenServer((_request, answer) =>
      answer.write(whole(401, '{"details":"incorrect username or password"}')),
    );
    const registry = guarded({ challenge: () => bearer(tokens), lets: () => false });
    const error = await rejection(pull(registry, { credentials: login('me', 'wrong') }));
    expect([error.code, error.subject['reason']]).toEqual([
      'REGISTRY_BAD_CREDENTIALS',
      'incorrect username or password',
    ]);
    expect(tokens.requests.length).toBe(1);
  });

  test('asks again for a token when the token server stumbles', async () => {
    let nth = 0;
    const tokens = tokenServer((_request, answer) => {
      nth += 1;
      return answer.write(nth === 1 ? whole(503, 'later') : whole(200, '{"token":"token-1"}'));
    });
    const registry = guarded({ challenge: () => bearer(tokens), lets: isToken });
    expect((await pull(registry)).length).toBe(4);
    expect(nth).toBe(2);
  });

  test.each([
    [
      'pulling another name, as a mirror that rewrites names asks',
      'repository:library/app:pull',
      'repository:library/app:pull',
    ],
    ['pushing', 'repository:app:pull,push', 'repository:app:pull'],
    ['everything', 'repository:*:pull', 'repository:app:pull'],
    ['several repositories', 'repository:app:pull repository:other:pull', 'repository:app:pull'],
    ['the catalogue', 'registry:catalog:*', 'repository:app:pull'],
    ['nothing', '', 'repository:app:pull'],
  ])('asked for %s, it asks for no more than one pull', async (_what, wanted, sent) => {
    const tokens = tokenServer();
    const registry = guarded({
      challenge: () => bearer(tokens, `service="s",scope="${wanted}"`),
      lets: isToken,
    });
    await pull(registry);
    expect(new URLSearchParams(tokens.requests[0]?.target.split('?')[1]).get('scope')).toBe(sent);
  });

  test.each([
    ['a token with a line break', '{"token":"a\\r\\nx-evil: 1"}'],
    ['a token with a space', '{"token":"a b"}'],
    ['a number', '{"token":5}'],
    ['an empty token', '{"token":""}'],
    ['no token', '{}'],
    ['null', 'null'],
    ['no JSON', 'token'],
  ])('does not use %s', async (_what, body) => {
    const tokens = tokenServer((_request, answer) => answer.write(whole(200, body)));
    const registry = guarded({ challenge: () => bearer(tokens), lets: () => false });
    expect((await rejection(pull(registry))).code).toBe('REGISTRY_BAD_RESPONSE');
  });

  test('stops reading a token of more than 64 KiB', async () => {
    const tokens = tokenServer((_request, answer) =>
      answer.write(whole(200, JSON.stringify({ token: 'x'.repeat(70_000) }))),
    );
    const registry = guarded({ challenge: () => bearer(tokens), lets: () => false });
    const error = await rejection(pull(registry));
    expect([error.code, error.subject['what'], error.subject['limit']]).toEqual([
      'REGISTRY_BODY_TOO_LARGE',
      'a token',
      65536,
    ]);
  });
});

describe('basic', () => {
  test('sends the password when asked, not before', async () => {
    const expected = basic('me', 'p:ß');
    const registry = guarded({
      challenge: () => 'Basic realm="x"',
      lets: (authorization) => authorization === expected,
    });
    await pull(registry, { credentials: login('me', 'p:ß') });
    const [first, second] = registry.requests.map(({ headers }) => headers.get('authorization'));
    expect([first, second]).toEqual([null, expected]);
  });

  test('with a wrong password says so, in two requests', async () => {
    const registry = guarded({ challenge: () => 'Basic realm="x"', lets: () => false });
    const error = await rejection(pull(registry, { credentials: login('me', 'wrong') }));
    expect(error.code).toBe('REGISTRY_BAD_CREDENTIALS');
    expect(registry.asked('latest').length).toBe(2);
  });

  test('without credentials says that it needs some', async () => {
    const registry = guarded({ challenge: () => 'Basic realm="x"', lets: () => false });
    expect((await rejection(pull(registry))).code).toBe('REGISTRY_UNAUTHORIZED');
  });
});

describe('a realm at another host', () => {
  /** 127.0.0.2 is another host than 127.0.0.1, and this machine all the same. */
  function strange(play: Play): RawServer {
    return start(
      rawServer(async (request, answer) => void (await play(request, answer)), { hostname: '127.0.0.2' }),
    );
  }

  test('gets an anonymous request, and the error says what was kept back', async () => {
    const evil = strange((_request, answer) => answer.write(whole(200, '{"token":"token-1"}')));
    const registry = guarded({ challenge: () => bearer(evil), lets: () => false });
    const log = new RecordingLog();
    const error = await rejection(pull(registry, { credentials: login('me', 'S3CRET'), log }));
    expect(evil.requests.length).toBeGreaterThan(0);
    for (const { headers, target } of evil.requests) {
      expect(headers.get('authorization')).toBeNull();
      expect(target).not.toContain('account');
    }
    expect(error.code).toBe('REGISTRY_UNAUTHORIZED');
    expect(String(error.subject['reason'])).toContain(`not sent to its token server ${evil.host}`);
    expect(log.of('credentials-withheld')[0]).toMatchObject({ realm: evil.host, setting: 'token_realms' });
  });

  test('gets the credentials where the operator lists it', async () => {
    const partner = strange((_request, answer) => answer.write(whole(200, '{"token":"token-1"}')));
    const registry = guarded({ challenge: () => bearer(partner), lets: isToken });
    const hosts = { [registry.host]: { ...defaultHost, tokenRealms: [partner.host] } };
    await pull(registry, { credentials: login('me', 'S3CRET'), policy: { hosts } });
    expect(partner.requests[0]?.headers.get('authorization')).toBe(basic('me', 'S3CRET'));
  });

  test('never gets a refresh token', async () => {
    await using dir = tempDir();
    const evil = strange((_request, answer) => answer.write(whole(200, '{"token":"token-1"}')));
    const registry = guarded({ challenge: () => bearer(evil), lets: () => false });
    const configFile = dir.at('config.json');
    writeFileSync(configFile, JSON.stringify({ auths: { [registry.host]: { identitytoken: 'REFRESH' } } }));
    await rejection(
      pull(registry, { policy: { credentials: { ...defaultPolicy.credentials, configFile } } }),
    );
    for (const { method, target } of evil.requests)
      expect([method, target]).toEqual(['GET', expect.not.stringContaining('REFRESH')]);
  });

  test('that a token server redirects to does not get what the token server got', async () => {
    const evil = strange((_request, answer) => answer.write(whole(200, '{"token":"token-1"}')));
    const tokens = tokenServer((_request, answer) =>
      answer.write(whole(307, '', { location: `http://${evil.host}/token` })),
    );
    const registry = guarded({ challenge: () => bearer(tokens), lets: isToken });
    await pull(registry, { credentials: login('me', 'S3CRET') });
    expect(tokens.requests[0]?.headers.get('authorization')).toBe(basic('me', 'S3CRET'));
    expect(evil.requests.map(({ headers }) => headers.get('authorization'))).toEqual([null]);
  });
});

describe('a registry that asks for a login at /v2/ only', () => {
  const given = { credentials: login('me', 'S3CRET') };
  /** To strangers it shows this; whoever has the right header gets the image. */
  function hiding(status: number, challenge: () => string, right: string, ping = 401): FakeRegistry {
    return start(
      fakeRegistry(image, {
        override: async (request, answer) => {
          if (request.headers.get('authorization') === right) return false;
          const asking = request.target === '/v2/';
          const headers = asking ? { 'www-authenticate': challenge() } : {};
          await answer.write(errorAnswer(asking ? ping : status, 'X', 'not for strangers', headers));
          return true;
        },
      }),
    );
  }
  const targets = (of: FakeRegistry) => of.requests.map(({ target }) => target);

  test.each([401, 403, 404])('and else answers %d gets the password, and is asked again', async (status) => {
    const registry = hiding(status, () => 'Basic realm="x"', basic('me', 'S3CRET'));
    expect((await pull(registry, given)).length).toBe(4);
    expect(targets(registry).slice(0, 3)).toEqual([
      '/v2/app/manifests/latest',
      '/v2/',
      '/v2/app/manifests/latest',
    ]);
    expect(targets(registry).filter((target) => target === '/v2/').length).toBe(1);
  });

  test('may want a token', async () => {
    const tokens = tokenServer();
    const registry = hiding(404, () => bearer(tokens), 'Bearer token-1');
    expect((await pull(registry, given)).length).toBe(4);
    expect(tokens.requests.map(({ headers }) => headers.get('authorization'))).toEqual([
      basic('me', 'S3CRET'),
    ]);
    expect(tokens.requests[0]?.target).toContain('scope=repository%3Aapp%3Apull');
  });

  test('is not asked by whoever has no login', async () => {
    const registry = hiding(404, () => 'Basic realm="x"', basic('me', 'S3CRET'));
    expect((await rejection(pull(registry))).code).toBe('REGISTRY_NOT_FOUND');
    expect(targets(registry)).not.toContain('/v2/');
  });

  test('has the last word about a wrong password', async () => {
    const registry = hiding(404, () => 'Basic realm="x"', basic('me', 'other'));
    expect((await rejection(pull(registry, given))).code).toBe('REGISTRY_NOT_FOUND');
    expect(registry.requests.at(-1)?.headers.get('authorization')).toBe(basic('me', 'S3CRET'));
  });

  test.each([200, 404, 503])('is not believed to ask when its answer there is %d', async (ping) => {
    const registry = hiding(404, () => 'Basic realm="x"', basic('me', 'S3CRET'), ping);
    expect((await rejection(pull(registry, given))).code).toBe('REGISTRY_NOT_FOUND');
    expect(registry.requests.map(({ headers }) => headers.get('authorization'))).not.toContain(
      basic('me', 'S3CRET'),
    );
  });

  test('is not asked for the sake of another that it redirects to', async () => {
    const other = start(rawServer((_request, answer) => answer.write(errorAnswer(404, 'BLOB_UNKNOWN'))));
    const registry = start(
      fakeRegistry(image, {
        override: async (request, answer) => {
          if (!request.target.includes('/blobs/')) return false;
          await answer.write(whole(307, '', { location: `http://${other.host}/blob` }));
          return true;
        },
      }),
    );
    expect((await rejection(pull(registry, given))).code).toBe('REGISTRY_NOT_FOUND');
    expect(targets(registry)).not.toContain('/v2/');
    expect(other.requests.map(({ headers }) => headers.get('authorization'))).toEqual([null]);
  });
});

describe('a challenge that is no use', () => {
  test.each([
    'Bearer realm="file:///etc/passwd"',
    'Bearer realm="http://169.254.169.254/latest/meta-data"',
    'Bearer realm="http://[fe80::1]/"',
    'Negotiate',
    'Bearer',
    '"',
  ])('%s ends in an error, and nothing is asked anywhere', async (challenge) => {
    const registry = guarded({ challenge: () => challenge, lets: () => false });
    const error = await rejection(pull(registry, { credentials: login('me', 'S3CRET') }));
    expect(['REGISTRY_BAD_CHALLENGE', 'REGISTRY_ADDRESS']).toContain(error.code);
  });

  test('none at all leaves the 401 as it is', async () => {
    const registry = start(
      fakeRegistry(image, {
        override: async (request, answer) => {
          if (request.target === '/') return false;
          await answer.write(errorAnswer(401, 'UNAUTHORIZED', 'no way in'));
          return true;
        },
      }),
    );
    const error = await rejection(pull(registry, { credentials: login('me', 'S3CRET') }));
    expect([error.code, error.subject['reason']]).toEqual(['REGISTRY_UNAUTHORIZED', 'no way in']);
    for (const { headers } of registry.requests) expect(headers.get('authorization')).toBeNull();
  });
});

test('no secret is in the log or in an error, whatever goes wrong', async () => {
  const policies: Partial<RegistryPolicy>[] = [{}, { parallel: 1 }];
  for (const policy of policies) {
    const log = new RecordingLog();
    const tokens = tokenServer((_request, answer) => answer.write(whole(500, 'broken')));
    const registry = guarded({ challenge: () => bearer(tokens), lets: () => false });
    const error = await rejection(
      readImage(`docker://someone:S3CRET@${registry.host}/app:latest`, {
        policy: { insecure: [registry.host], ...policy },
        log,
      }),
    );
    expect(error.code).toBe('REGISTRY_ERROR');
    const all = `${log.text()} ${JSON.stringify(error)} ${Bun.inspect(error)}`;
    expect(all).not.toContain('S3CRET');
    expect(all).not.toContain(Buffer.from('someone:S3CRET').toString('base64'));
  }
});

describe('a registry that repeats what it was sent', () => {
  const said = (authorization: string) => {
    const plain = Buffer.from(authorization.replace(/^Basic /, ''), 'base64').toString('utf8');
    return `you said ${authorization}, which is ${plain} or ${encodeURIComponent(plain)}`;
  };
  const echoing = (challenge: () => string) =>
    start(
      rawServer(async (request, answer) => {
        const authorization = request.headers.get('authorization');
        await answer.write(
          authorization === null
            ? errorAnswer(401, 'UNAUTHORIZED', 'who are you?', { 'www-authenticate': challenge() })
            : errorAnswer(403, 'DENIED', said(authorization)),
        );
      }),
    );

  async function refusal(image: string, host: string, options: TestSourceOptions): Promise<string> {
    const log = new RecordingLog();
    const error = await rejection(readImage(image, { log, ...options, policy: { insecure: [host] } }));
    expect(error.code).toBe('REGISTRY_DENIED');
    const text = `${JSON.stringify(error.subject)}${log.text()}`;
    expect(text).toContain('you said Basic ***, which is ');
    return text;
  }

  test.each([
    ['flags', (host: string) => `docker://${host}/app`, login('me', 'S3 "CRET"/ü')],
    ['the URI', (host: string) => `docker://me:S3%20%22CRET%22%2F%C3%BC@${host}/app`, undefined],
  ])('does not bring a password of %s into an error', async (_from, image, given) => {
    const registry = echoing(() => 'Basic realm="x"');
    const text = await refusal(image(registry.host), registry.host, given ? { credentials: given } : {});
    for (const secret of ['CRET', basic('me', 'S3 "CRET"/ü').slice(6)]) expect(text).not.toContain(secret);
  });

  test('does not bring a token into an error', async () => {
    const tokens = tokenServer((_request, answer) => answer.write(whole(200, '{"token":"T0KEN"}')));
    const registry = start(
      rawServer(async (request, answer) => {
        const authorization = request.headers.get('authorization');
        const challenge = { 'www-authenticate': bearer(tokens) };
        await answer.write(errorAnswer(401, 'UNAUTHORIZED', `you said ${authorization}`, challenge));
      }),
    );
    const policy = { insecure: [registry.host] };
    const error = await rejection(readImage(`docker://${registry.host}/app`, { policy }));
    expect(String(error.subject['reason'])).toBe('you said Bearer ***');
  });
});
