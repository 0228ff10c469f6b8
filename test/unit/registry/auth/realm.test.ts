import { describe, expect, test } from 'bun:test';
import { Failure } from '../../../../lib/http/failure.ts';
import { judgeRealm, type RealmTrust } from '../../../../lib/registry/auth/realm.ts';

describe('who may see the credentials of a registry', () => {
  const table: readonly [registry: string, realm: string, trust: RealmTrust][] = [
    ['https://registry-1.docker.io', 'https://auth.docker.io/token', 'credentials'],
    ['https://ghcr.io', 'https://ghcr.io/token', 'credentials'],
    ['https://registry.gitlab.com', 'https://gitlab.com/jwt/auth', 'credentials'],
    ['https://registry.example.co.uk', 'https://auth.example.co.uk/', 'credentials'],
    [
      'https://registry.cn-hangzhou.aliyuncs.com',
      'https://dockerauth.cn-hangzhou.aliyuncs.com/auth',
      'credentials',
    ],
    ['https://registry.example:5000', 'https://registry.example:5001/token', 'credentials'],
    ['http://registry.example:5000', 'http://registry.example:5001/token', 'credentials'],
    ['https://10.0.0.5:5000', 'https://10.0.0.5:5001/', 'credentials'],
    ['https://registry.example', 'https://auth.evil.test/token', 'anonymous'],
    ['https://registry.example.co.uk', 'https://evil.co.uk/token', 'anonymous'],
    ['https://registry.example', 'https://registry.example.evil.test/', 'anonymous'],
    ['https://registry.example', 'https://evilregistry.example/', 'anonymous'],
    ['https://one.azurecr.io', 'https://two.azurecr.io/oauth2/token', 'anonymous'],
    ['https://one.s3.amazonaws.com', 'https://two.s3.amazonaws.com/', 'anonymous'],
    ['https://10.0.0.5', 'https://10.0.0.6/', 'anonymous'],
    ['https://registry', 'https://auth/', 'anonymous'],
    // Without TLS a neighbour of the same domain proves nothing.
    ['http://registry.example.com', 'http://auth.example.com/', 'anonymous'],
    ['http://registry.example.com', 'https://auth.example.com/', 'credentials'],
    // Listed by the operator below.
    ['https://registry.example', 'https://login.partner.test/token', 'credentials'],
    ['https://registry.example', 'https://login.partner.test:8443/token', 'anonymous'],
  ];
  test.each(table)('%s and %s: %s', (registry, realm, trust) => {
    expect(judgeRealm(realm, new URL(registry), ['login.partner.test']).trust).toBe(trust);
  });
});

describe('what is no place to ask', () => {
  test.each([
    ['https://registry.example', 'http://registry.example/token', 'without TLS'],
    ['https://registry.example', 'file:///etc/passwd', 'file:'],
    ['https://registry.example', 'gopher://x/', 'gopher:'],
    ['https://registry.example', '/token', 'not a URL'],
    ['https://registry.example', '', 'not a URL'],
    ['https://registry.example', 'https://user:pw@registry.example/', 'credentials'],
  ])('%s and %p', (registry, realm, words) => {
    let thrown: unknown;
    try {
      judgeRealm(realm, new URL(registry), []);
    } catch (error) {
      thrown = error;
    }
    const failure = thrown instanceof Failure ? thrown.error : undefined;
    expect(failure?.code).toBe('REGISTRY_BAD_CHALLENGE');
    expect(JSON.stringify(failure?.subject)).toContain(words);
    expect(JSON.stringify(failure?.subject)).not.toContain('pw@');
  });
});
