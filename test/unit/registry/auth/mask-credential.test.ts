import { expect, test } from 'bun:test';
import { Secret } from '../../../../lib/base/secret.ts';
import { credentialMask } from '../../../../lib/registry/auth/mask-credential.ts';

const of = (username: string, password: string) =>
  credentialMask(
    { kind: 'password', username, password: new Secret(password), from: 'flags' } as never,
    undefined,
  );

test.each([
  ['one letter: not inside words', 'a', 'a bad name or a password', 'a bad name or a password'],
  ['one letter: as a value', 'a', 'password "a" is bad, u:a@host', 'password "***" is bad, u:***@host'],
  ['a short word', 'tags', 'no tags here, no hashtags', 'no *** here, no hashtags'],
  ['a long one, anywhere', 'hunter2222', 'xhunter2222y', 'x***y'],
  ['in the encoding of a URL', 'long secret/ü', 'x?p=long%20secret%2F%C3%BC', 'x?p=***'],
  ['in the encoding of a form', 'long secret/ü', 'p=long+secret%2F%C3%BC', 'p=***'],
  ['as it is quoted in JSON', 'long "secret"', '{"a":"long \\"secret\\""}', '{"a":"***"}'],
  ['half a surrogate pair', 'secret-\ud800', 'you said secret-\ud800', 'you said ***'],
])('%s', (_name, password, text, masked) => {
  expect(of('user', password)(text)).toBe(masked);
});

test('what was sent in the header goes, the scheme stays', () => {
  const pair = Buffer.from('user:a').toString('base64');
  expect(of('user', 'a')(`you said Basic ${pair}`)).toBe('you said Basic ***');
  expect(credentialMask(undefined, 'Bearer T0KEN')('you said Bearer T0KEN')).toBe('you said Bearer ***');
});
