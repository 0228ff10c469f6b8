/** Who gets which password: the order of the sources, and exact hosts (hostile row 59). */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import type { Credential } from '../../../../lib/registry/auth/credential.ts';
import { Credentials } from '../../../../lib/registry/auth/credentials.ts';
import { readDockerConfig } from '../../../../lib/registry/auth/docker-config.ts';
import { defaultHost, defaultPolicy } from '../../../../lib/registry/policy/policy.ts';
import { login, NEVER, RecordingLog } from '../../../support/registries/registry-client.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

let files = 0;
function config(content: unknown): string {
  files += 1;
  const path = dir.at(`config-${files}.json`);
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}
const auth = (text: string) => ({ auth: Buffer.from(text).toString('base64') });
const shown = (found: Credential | undefined) =>
  found === undefined
    ? undefined
    : found.kind === 'password'
      ? `${found.username}:${found.password.reveal()}`
      : `token ${found.token.reveal()}`;

describe('a docker configuration', () => {
  const lookUp = (auths: unknown, host: string, repository = 'app') =>
    shown(readDockerConfig(config({ auths })).find(host, repository));

  test('gives the entry of exactly this host', () => {
    const auths = { 'registry.example': auth('u:p'), 'registry.example:5000': auth('v:q') };
    expect(lookUp(auths, 'registry.example')).toBe('u:p');
    expect(lookUp(auths, 'registry.example:5000')).toBe('v:q');
    for (const other of [
      'registry.example.evil.test',
      'example',
      'registry.example:443',
      'xregistry.example',
      'registry',
    ])
      expect(lookUp(auths, other)).toBeUndefined();
  });
  test('has keys with scheme and path, as old Docker wrote them', () => {
    expect(lookUp({ 'https://registry.example/v1/': auth('u:p') }, 'registry.example')).toBe('u:p');
    expect(lookUp({ 'https://registry.example/v2': auth('u:p') }, 'registry.example')).toBe('u:p');
    expect(lookUp({ 'HTTPS://Registry.Example': auth('u:p') }, 'registry.example')).toBe('u:p');
  });
  test.each(['https://index.docker.io/v1/', 'docker.io', 'index.docker.io', 'registry-1.docker.io'])(
    'knows Docker Hub as %s',
    (key) => expect(lookUp({ [key]: auth('u:p') }, 'docker.io')).toBe('u:p'),
  );
  test('has entries for namespaces, as podman writes them: the closest counts, at whole components', () => {
    const auths = {
      'quay.io': auth('all:1'),
      'quay.io/org': auth('org:2'),
      'quay.io/org/app': auth('app:3'),
    };
    expect(lookUp(auths, 'quay.io', 'other/app')).toBe('all:1');
    expect(lookUp(auths, 'quay.io', 'org/x')).toBe('org:2');
    expect(lookUp(auths, 'quay.io', 'org/app')).toBe('app:3');
    expect(lookUp(auths, 'quay.io', 'org/app/sub')).toBe('app:3');
    expect(lookUp(auths, 'quay.io', 'organism/x')).toBe('all:1');
  });
  test('keeps colons of a password, and NULs at the end out of it', () => {
    expect(lookUp({ r: auth('u:p:q:r') }, 'r')).toBe('u:p:q:r');
    expect(lookUp({ r: auth('u:p\0\0') }, 'r')).toBe('u:p');
  });
  test('has plain fields, and identity tokens, which go before', () => {
    expect(lookUp({ r: { username: 'u', password: 'p' } }, 'r')).toBe('u:p');
    expect(lookUp({ r: { ...auth('u:p'), identitytoken: 'refresh' } }, 'r')).toBe('token refresh');
  });
  test('has empty entries where a credential store has the secret', () => {
    expect(lookUp({ r: {} }, 'r')).toBeUndefined();
    expect(lookUp({ r: { auth: '' } }, 'r')).toBeUndefined();
  });
  test.each([
    ['SECRET{', 'not JSON'],
    ['[]', 'not a JSON object'],
    ['"SECRET"', 'not a JSON object'],
    [JSON.stringify({ auths: ['SECRET'] }), 'auths'],
    [JSON.stringify({ auths: { r: 'SECRET' } }), 'not an object'],
    [JSON.stringify({ auths: { r: { auth: 5 } } }), 'auth is not text'],
    [JSON.stringify({ auths: { r: { auth: Buffer.from('SECRET').toString('base64') } } }), 'base64'],
    [JSON.stringify({ credHelpers: { r: 5 } }), 'credHelpers'],
    [JSON.stringify({ credsStore: {} }), 'credsStore'],
    [' '.repeat(1024 * 1024 + 1), 'larger'],
  ])('that is not one is refused without being quoted: %#', (content, words) => {
    let thrown: unknown;
    try {
      readDockerConfig(config(content));
    } catch (error) {
      thrown = error;
    }
    expect(isPluginError(thrown, 'CONFIG_INVALID') && thrown.subject.reason).toContain(words);
    expect(JSON.stringify((thrown as { subject: unknown }).subject)).not.toContain('SECRET');
    expect(String((thrown as Error).stack)).not.toContain('SECRET{');
  });
  test('has keys of any case, and null for nothing, as Go reads both', () => {
    const content = {
      Auths: { 'a.example': { Username: 'u', PASSWORD: 'p' }, 'A.example ': null, 'b.example': null },
      credhelpers: { 'c.example': 'x' },
      CredsStore: null,
    };
    const read = readDockerConfig(config(content));
    expect(read.find('a.example', 'x')).toMatchObject({ kind: 'password', username: 'u' });
    expect(read.find('b.example', 'x')).toBe(undefined);
    expect([read.helperFor('c.example'), read.helperFor('d.example')]).toEqual(['x', undefined]);
    expect(readDockerConfig(config({ auths: null, credHelpers: null })).find('a.example', 'x')).toBe(
      undefined,
    );
    expect(() => readDockerConfig(config({ auths: {}, AUTHS: {} }))).toThrow('CONFIG_INVALID');
  });

  test('inherits nothing from itself', () => {
    const read = readDockerConfig(config('{"__proto__":{"credsStore":"x"}}'));
    expect(read.helperFor('a.example')).toBe(undefined);
  });

  test('that is not there is refused', () => {
    expect(() => readDockerConfig(dir.at('none.json'))).toThrow('CONFIG_INVALID');
  });
  test('has nothing from Object.prototype', () => {
    expect(lookUp({}, 'constructor')).toBeUndefined();
    expect(lookUp({}, '__proto__')).toBeUndefined();
  });
});

describe('the order of the sources', () => {
  function credentials(more: { flags?: boolean; userinfo?: boolean; file?: unknown }) {
    return new Credentials(
      {
        registry: 'registry.example',
        flags: more.flags ? login('flag', '1') : undefined,
        userinfo: more.userinfo ? login('uri', '2') : undefined,
        policy: {
          ...defaultPolicy.credentials,
          configFile: more.file === undefined ? undefined : config(more.file),
          helperPath: dir.path,
        },
        hosts: { 'helped.example': { ...defaultHost, helper: 'none-there' } },
      },
      new RecordingLog(),
    );
  }
  const file = { auths: { 'registry.example': auth('file:3'), 'mirror.example': auth('mirror:4') } };
  const find = async (of: Credentials, host: string) => shown(await of.find(host, 'app', NEVER));

  test('is flags, URI, file', async () => {
    expect(await find(credentials({ flags: true, userinfo: true, file }), 'registry.example')).toBe('flag:1');
    expect(await find(credentials({ userinfo: true, file }), 'registry.example')).toBe('uri:2');
    expect(await find(credentials({ file }), 'registry.example')).toBe('file:3');
    expect(await find(credentials({}), 'registry.example')).toBeUndefined();
  });
  test('gives a mirror its own credentials alone', async () => {
    const all = credentials({ flags: true, userinfo: true, file });
    expect(await find(all, 'mirror.example')).toBe('mirror:4');
    for (const other of ['other.example', 'registry.example:5000', 'registry.example.evil.test'])
      expect(await find(all, other)).toBeUndefined();
  });
  test('takes an empty user and password for none', async () => {
    const none = new Credentials(
      {
        registry: 'r',
        flags: login('', ''),
        userinfo: login('uri', '2'),
        policy: defaultPolicy.credentials,
        hosts: {},
      },
      new RecordingLog(),
    );
    expect(await find(none, 'r')).toBe('uri:2');
  });
  test('asks the helper that the settings name last', async () => {
    const asked = credentials({ flags: true, file }).find('helped.example', 'app', NEVER);
    expect(await asked.catch((error: { code: string }) => error.code)).toBe('REGISTRY_HELPER');
  });
  test('never writes a secret into the log', async () => {
    const log = new RecordingLog();
    const sources = {
      registry: 'r',
      flags: login('someone', 'SECRET'),
      userinfo: undefined,
      policy: defaultPolicy.credentials,
      hosts: {},
    };
    const found = await new Credentials(sources, log).find('r', 'app', NEVER);
    log.debug('found', { found });
    expect(log.text()).toContain('flags');
    expect(log.text()).not.toContain('SECRET');
  });
});
