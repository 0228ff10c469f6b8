import { describe, expect, test } from 'bun:test';
import { Failure } from '../../../../lib/http/failure.ts';
import { type Challenge, parseChallenge } from '../../../../lib/registry/auth/challenge.ts';

const bearer = (more: Partial<Extract<Challenge, { scheme: 'bearer' }>>): Challenge => ({
  scheme: 'bearer',
  realm: 'https://auth.example/token',
  service: undefined,
  scope: undefined,
  error: undefined,
  ...more,
});

describe('a challenge is read', () => {
  const table: readonly [header: string, challenge: Challenge][] = [
    ['Basic realm="registry"', { scheme: 'basic' }],
    ['basic', { scheme: 'basic' }],
    ['BASIC REALM=x', { scheme: 'basic' }],
    ['Bearer realm="https://auth.example/token"', bearer({})],
    ['bearer realm=https', { ...bearer({}), realm: 'https' } as Challenge],
    [
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"',
      bearer({ service: 'registry.example', scope: 'repository:a/b:pull,push' }),
    ],
    [
      'Bearer  realm = "https://auth.example/token" , service = "s" ,, error="insufficient_scope"',
      bearer({ service: 's', error: 'insufficient_scope' }),
    ],
    ['Bearer service="a\\"b\\\\", realm="https://auth.example/token"', bearer({ service: 'a"b\\' })],
    ['Basic realm="a, b=c", Bearer realm="https://auth.example/token",service="s"', bearer({ service: 's' })],
    ['Bearer realm="https://auth.example/token", Basic realm="a"', bearer({})],
    ['Negotiate, Basic realm="a"', { scheme: 'basic' }],
    ['Negotiate TlRMTVNTUAAB=, Basic realm="a"', { scheme: 'basic' }],
    ['NTLM TlRMTVNTUAAB==, Bearer realm="https://auth.example/token"', bearer({})],
    // The first of equal names holds: a second one could be somebody else's.
    ['Bearer realm="https://auth.example/token",realm="https://evil.test/"', bearer({})],
    ['Bearer realm="", Basic realm="x"', { scheme: 'basic' }],
  ];
  test.each(table)('%s', (header, challenge) => {
    expect(parseChallenge(header, 'r')).toEqual(challenge);
  });
});

describe('what cannot be answered is refused', () => {
  test.each([
    null,
    '',
    '   ',
    ',,,',
    'Bearer',
    'Bearer service="s"',
    'Negotiate',
    'Bearer realm="never ends',
    'Bearer realm=',
    '="x"',
    '"quoted"',
    'Bearer realm="https://auth.example/token" garbage="',
    `Bearer realm="https://auth.example/${'a'.repeat(10_000)}"`,
  ])('%p', (header) => {
    let thrown: unknown;
    try {
      parseChallenge(header, 'registry.example');
    } catch (error) {
      thrown = error;
    }
    expect(thrown instanceof Failure && [thrown.kind, thrown.error.code]).toEqual([
      'final',
      'REGISTRY_BAD_CHALLENGE',
    ]);
  });
});

test('any bytes end in a challenge or a refusal, and quickly', () => {
  const pieces = [
    'Bearer',
    'Basic',
    ' ',
    ',',
    '=',
    '"',
    '\\',
    'realm',
    'https://a/',
    '\t',
    'x==',
    'ü',
    '='.repeat(50),
  ];
  let state = 7;
  const next = (n: number) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state % n;
  };
  const started = performance.now();
  for (let i = 0; i < 20_000; i += 1) {
    const header = Array.from({ length: 1 + next(20) }, () => pieces[next(pieces.length)]).join('');
    try {
      parseChallenge(header, 'r');
    } catch (error) {
      expect(error).toBeInstanceOf(Failure);
    }
  }
  for (const long of [' ', ',', '"', '\\', 'a=', 'a '].map((piece) => piece.repeat(8000 / piece.length))) {
    try {
      parseChallenge(`Bearer ${long}`, 'r');
    } catch (error) {
      expect(error).toBeInstanceOf(Failure);
    }
  }
  expect(performance.now() - started).toBeLessThan(5000);
});
