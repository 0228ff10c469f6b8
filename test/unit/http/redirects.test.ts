/** Where a registry may lead us, and what travels along (hostile rows 53 to 55). */
import { afterEach, describe, expect, test } from 'bun:test';
import { Secret } from '../../../lib/base/secret.ts';
import { Failure } from '../../../lib/http/failure.ts';
import { noProxies, Proxies } from '../../../lib/http/proxy.ts';
import { Routes } from '../../../lib/http/route.ts';
import { defaultPolicy } from '../../../lib/registry/policy/policy.ts';
import {
  contentAnswer,
  errorAnswer,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  noise,
} from '../../support/registries/fake-registry.ts';
import {
  type RawAnswer,
  type RawRequest,
  type RawServer,
  rawServer,
  whole,
} from '../../support/registries/raw-server.ts';
import {
  login,
  RecordingLog,
  readImage,
  rejection,
  type TestSourceOptions,
} from '../../support/registries/registry-client.ts';

const image = fakeImage([noise(5000)]);
const layer = image.layers[0] ?? image.config;

const started: RawServer[] = [];
afterEach(async () => {
  for (const server of started.splice(0)) await server.stop();
});

/** A registry with basic authentication that answers for the layer with this redirect. */
function redirecting(location: (nth: number) => string, status = 307): FakeRegistry {
  let nth = 0;
  const registry = fakeRegistry(image, {
    override: async (request, answer) => {
      if (request.target === '/') return false;
      if (request.headers.get('authorization') === null) {
        await answer.write(
          errorAnswer(401, 'UNAUTHORIZED', 'log in', { 'www-authenticate': 'Basic realm="x"' }),
        );
        return true;
      }
      if (!request.target.endsWith(layer.digest)) return false;
      nth += 1;
      await answer.write(whole(status, 'moved', { location: location(nth) }));
      return true;
    },
  });
  started.push(registry);
  return registry;
}

/** A content network, at an origin of its own. */
function content(play?: (request: RawRequest, answer: RawAnswer) => unknown): RawServer {
  const server = rawServer(async (request, answer) => {
    if (play !== undefined) return void (await play(request, answer));
    await answer.write(contentAnswer(request, layer, undefined));
  });
  started.push(server);
  return server;
}

const pull = (registry: FakeRegistry, options: TestSourceOptions = {}) =>
  readImage(registry.image(':latest'), {
    credentials: login('me', 'S3CRET'),
    ...options,
    policy: { insecure: [registry.host], ...options.policy },
  });

describe('credentials', () => {
  test.each([301, 302, 303, 307, 308])('do not follow a %d to another origin', async (status) => {
    const network = content();
    const registry = redirecting(() => `http://${network.host}/blob?X-Amz-Signature=abc`, status);
    await pull(registry);
    expect(network.requests.length).toBe(1);
    expect(network.requests[0]?.target).toBe('/blob?X-Amz-Signature=abc');
    expect(network.requests[0]?.headers.get('authorization')).toBeNull();
    expect(network.requests[0]?.headers.get('cookie')).toBeNull();
  });

  test('follow to another path of the same origin', async () => {
    const registry: FakeRegistry = redirecting((nth) => (nth === 1 ? '../elsewhere/x' : 'unused'));
    const error = await rejection(pull(registry));
    expect(error.code).toBe('REGISTRY_NOT_FOUND');
    const moved = registry.requests.filter(({ target }) => target.endsWith('/elsewhere/x'));
    expect(moved[0]?.headers.get('authorization')).toBe(
      `Basic ${Buffer.from('me:S3CRET').toString('base64')}`,
    );
  });

  test('do not come back from another origin with a redirect to the first', async () => {
    const network = content((_request, answer) =>
      answer.write(whole(302, '', { location: `http://${registry.host}/v2/x` })),
    );
    const registry = redirecting(() => `http://${network.host}/`);
    await rejection(pull(registry));
    // Whoever says where a request goes says what is done with our name: it stays ours to give to the registry.
    expect(network.requests[0]?.headers.get('authorization')).toBeNull();
  });

  test('are not made of the userinfo of a redirect', async () => {
    const network = content();
    await pull(redirecting(() => `http://other:password@${network.host}/`));
    expect(network.requests[0]?.headers.get('authorization')).toBeNull();
  });

  test('are not asked for on behalf of another origin', async () => {
    const network = content((_request, answer) =>
      answer.write(
        errorAnswer(401, 'UNAUTHORIZED', 'who are you', { 'www-authenticate': 'Basic realm="give"' }),
      ),
    );
    const error = await rejection(pull(redirecting(() => `http://${network.host}/`)));
    expect(network.requests.map(({ headers }) => headers.get('authorization'))).toEqual([null]);
    expect(error.subject['registry']).toBe(network.host);
  });
});

describe('a redirect is refused', () => {
  test('after ten', async () => {
    const registry = redirecting(() => `../registry/${layer.digest}`);
    const error = await rejection(pull(registry));
    expect([error.code, error.subject['reason']]).toEqual([
      'REGISTRY_REDIRECT',
      'it redirects more than 10 times',
    ]);
    expect(registry.asked(layer.digest).length).toBe(11);
  });

  test.each([
    ['file:///etc/passwd', 'file:'],
    ['javascript:alert(1)', 'javascript:'],
    ['http://', 'not a URL'],
    ['http://[::1', 'not a URL'],
  ])('to %p', async (location, words) => {
    const error = await rejection(pull(redirecting(() => location)));
    expect(error.code).toBe('REGISTRY_REDIRECT');
    expect(String(error.subject['reason'])).toContain(words);
  });

  test('without a Location', async () => {
    const registry = fakeRegistry(image, {
      override: async (request, answer) => {
        if (!request.target.endsWith(layer.digest)) return false;
        await answer.write(whole(302));
        return true;
      },
    });
    started.push(registry);
    expect((await rejection(pull(registry))).code).toBe('REGISTRY_REDIRECT');
  });

  test.each([
    'http://169.254.169.254/latest/meta-data/',
    'http://[fe80::1]/',
    'http://[::ffff:169.254.169.254]/',
  ])('to the metadata service %s, even from this machine itself', async (location) => {
    const log = new RecordingLog();
    const error = await rejection(
      pull(
        redirecting(() => location),
        { log },
      ),
    );
    expect([error.code, error.subject['what']]).toEqual(['REGISTRY_ADDRESS', 'a redirect']);
    expect(log.of('registry-address')).toMatchObject([
      { address: expect.stringMatching(/^(169|fe80|::ffff)/) },
    ]);
  });
});

describe('a refusal tells nothing about what is there', () => {
  /** Of a public registry that leads to `location`. */
  async function refusal(location: string): Promise<unknown> {
    const routes = new Routes(new Proxies(noProxies), async () => ['203.0.113.1']);
    const referrer = { from: new URL('https://public.test'), listed: [], what: 'a redirect' };
    return routes.check(new URL(location), referrer).then(
      () => 'led',
      (error: unknown) => (error instanceof Failure ? [error.error.code, error.error.subject] : error),
    );
  }

  test('an open port, a closed one and one that never answers give the same, and are not dialled', async () => {
    const open = content();
    const silent = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data() {} } });
    const closed = content();
    await closed.stop();
    try {
      const facts = [];
      for (const port of [open.port, closed.port, silent.port]) {
        const said = JSON.stringify(await refusal(`https://127.0.0.1:${port}/`));
        facts.push(said.replaceAll(String(port), 'PORT'));
      }
      expect(new Set(facts).size).toBe(1);
      expect(facts[0]).toStartWith('["REGISTRY_ADDRESS"');
      expect(open.connections()).toBe(0);
    } finally {
      silent.stop(true);
    }
  });
});

describe('where a redirect may lead', () => {
  const names: Record<string, string[]> = {
    'public.test': ['203.0.113.1'],
    'other.test': ['203.0.113.2', '2001:db8::2'],
    'inside.test': ['10.0.0.5'],
    'two-faced.test': ['203.0.113.3', '10.0.0.6'],
    'metadata.test': ['169.254.169.254'],
    'here.test': ['127.0.0.1'],
    'broken.test': ['not an address'],
  };
  function routes(proxy?: string) {
    const asked: string[] = [];
    const settings = proxy === undefined ? noProxies : { ...noProxies, https: new Secret(proxy) };
    const made = new Routes(new Proxies(settings), async (name) => {
      asked.push(name);
      const found = names[name];
      if (found === undefined) throw Object.assign(new Error('no such name'), { code: 'ENOTFOUND' });
      return found;
    });
    return { made, asked };
  }
  const check = (to: string, from: string, listed: string[] = [], proxy?: string) =>
    routes(proxy)
      .made.check(new URL(to), {
        from: from === 'outside' ? from : new URL(from),
        listed,
        what: 'a redirect',
      })
      .then((addresses) => addresses?.[0])
      .catch((error: unknown) => (error instanceof Failure ? error.error.code : String(error)));

  const table: readonly [from: string, to: string, outcome: string | undefined][] = [
    // The address that was judged is the one to dial.
    ['https://public.test', 'https://other.test/x', '203.0.113.2'],
    ['https://inside.test', 'https://other.test/x', '203.0.113.2'],
    ['https://inside.test', 'https://two-faced.test/x', '203.0.113.3'],
    ['https://10.1.1.1', 'https://inside.test/', '10.0.0.5'],
    ['http://127.0.0.1:5000', 'http://inside.test/', '10.0.0.5'],
    // The same host, whatever it is, at the same address; literal addresses, which nobody looks up.
    ['https://metadata.test', 'https://metadata.test:8443/', '169.254.169.254'],
    ['https://public.test', 'https://203.0.113.9/', undefined],
    ['http://127.0.0.1:5000', 'http://127.0.0.1:6000/', undefined],
    // Inwards.
    ['https://public.test', 'https://inside.test/', 'REGISTRY_ADDRESS'],
    ['https://public.test', 'https://two-faced.test/', 'REGISTRY_ADDRESS'],
    ['https://public.test', 'https://10.0.0.5/', 'REGISTRY_ADDRESS'],
    ['https://public.test', 'https://metadata.test/', 'REGISTRY_ADDRESS'],
    ['https://inside.test', 'https://metadata.test/', 'REGISTRY_ADDRESS'],
    ['https://inside.test', 'http://here.test/', 'REGISTRY_ADDRESS'],
    ['http://127.0.0.1', 'http://metadata.test/', 'REGISTRY_ADDRESS'],
    ['https://public.test', 'https://broken.test/', 'REGISTRY_ADDRESS'],
    ['https://unknown.test', 'https://inside.test/', 'REGISTRY_ADDRESS'],
    // Who has a public address is a stranger, whatever further address he gave himself.
    ['https://two-faced.test', 'https://inside.test/', 'REGISTRY_ADDRESS'],
    ['https://two-faced.test', 'https://10.0.0.6/', 'REGISTRY_ADDRESS'],
    ['https://two-faced.test', 'https://metadata.test/', 'REGISTRY_ADDRESS'],
    ['https://public.test', 'https://nowhere.test/', 'REGISTRY_UNREACHABLE'],
  ];
  test.each(table)('from %s to %s: %p', async (from, to, outcome) => {
    expect(await check(to, from)).toBe(outcome as string);
  });

  test('a listed host may lie in a private network, and nowhere further inside', async () => {
    const listed = ['inside.test', 'metadata.test', 'here.test'];
    expect(await check('https://inside.test/', 'https://public.test', listed)).toBe('10.0.0.5');
    expect(await check('https://inside.test:8443/', 'https://public.test', listed)).toBe('REGISTRY_ADDRESS');
    expect(await check('https://metadata.test/', 'https://public.test', listed)).toBe('REGISTRY_ADDRESS');
    expect(await check('https://here.test/', 'https://public.test', listed)).toBe('REGISTRY_ADDRESS');
  });

  test.each([
    ['https://public.test/', '203.0.113.1'],
    ['https://inside.test/', '10.0.0.5'],
    ['https://metadata.test/', 'REGISTRY_ADDRESS'],
    ['https://here.test/', 'REGISTRY_ADDRESS'],
    ['https://127.0.0.1/', 'REGISTRY_ADDRESS'],
  ])('what a manifest names, %s, is held against the list alone: %s', async (url, outcome) => {
    expect(await check(url, 'outside', [new URL(url).host])).toBe(outcome);
    if (outcome === '10.0.0.5') expect(await check(url, 'outside')).toBe('REGISTRY_ADDRESS');
  });

  test('behind a proxy names are the proxy’s to look up; what is plainly inside is refused all the same', async () => {
    const proxy = 'http://proxy.test:3128';
    expect(await check('https://nowhere.test/', 'https://public.test', [], proxy)).toBeUndefined();
    expect(await check('https://other.test/', 'https://public.test', [], proxy)).toBeUndefined();
    expect(await check('https://inside.test/', 'https://public.test', [], proxy)).toBe('REGISTRY_ADDRESS');
    expect(await check('https://169.254.169.254/', 'https://public.test', [], proxy)).toBe(
      'REGISTRY_ADDRESS',
    );
  });

  describe('once an address has answered, its zone is the registry’s', () => {
    const url = (name: string) => new URL(`https://${name}.test/`);
    const from = url('two-faced');
    const referrer = { from, listed: [], what: 'x' };
    const refusal = (promise: Promise<unknown>) =>
      promise.then(
        () => undefined,
        (error: unknown) => (error instanceof Failure ? error.error.code : String(error)),
      );

    test('so one that is dialled inside may lead to its neighbours', async () => {
      const { made } = routes();
      made.noteAnswer(from, '10.0.0.6');
      expect(await made.check(url('inside'), referrer)).toEqual(['10.0.0.5']);
      expect(await refusal(made.check(url('here'), referrer))).toBe('REGISTRY_ADDRESS');
      expect(await made.own(from)).toEqual(['10.0.0.6', '203.0.113.3']);
    });

    test('and one that is dialled outside is not dialled further inside later', async () => {
      const { made } = routes();
      expect(await made.own(from)).toEqual(['203.0.113.3', '10.0.0.6']);
      made.noteAnswer(from, '203.0.113.3');
      expect(await refusal(made.check(url('inside'), referrer))).toBe('REGISTRY_ADDRESS');
      expect(await made.check(new URL('https://two-faced.test:8443/'), referrer)).toEqual(['203.0.113.3']);
      expect(await made.own(from)).toEqual(['203.0.113.3']);
    });

    test('and a later answer from elsewhere does not move it', async () => {
      const { made } = routes();
      made.noteAnswer(from, '203.0.113.3');
      made.noteAnswer(from, '10.0.0.6');
      expect(await refusal(made.check(url('inside'), referrer))).toBe('REGISTRY_ADDRESS');
    });
  });

  test('a name is looked up once, so a second answer changes nothing', async () => {
    const { made, asked } = routes();
    const [from, to] = [new URL('https://public.test'), new URL('https://other.test')];
    const referrer = { from, listed: [], what: 'x' };
    await Promise.all([made.check(to, referrer), made.check(to, referrer)]);
    await made.check(to, referrer);
    expect(asked.sort()).toEqual(['other.test', 'public.test']);
  });
});

test('the addresses that were judged are dialled until one answers, under the name that was asked for', async () => {
  const network = content();
  const registry = redirecting(() => `http://content.test:${network.port}/blob`);
  await pull(registry, {
    lookup: async () => ['127.0.0.9', '::1', '127.0.0.1'],
    policy: { ...defaultPolicy, insecure: [registry.host] },
  });
  expect(network.requests[0]?.headers.get('host')).toBe(`content.test:${network.port}`);
});
