import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { isPluginError } from '../../../../lib/base/errors/error.ts';
import { isRegistrySettings } from '../../../../lib/oci/generated/settings-validators.js';
import { defaultPolicy } from '../../../../lib/registry/policy/policy.ts';
import {
  type PolicyInputs,
  type RegistriesFile,
  registryPolicy,
} from '../../../../lib/registry/policy/settings.ts';

const given: PolicyInputs = {
  userAgent: 'graft/test',
  insecure: ['Flag.example:5000'],
  requireDigest: false,
  home: '/home/x',
  path: '/usr/bin:/bin',
  helperEnv: { PATH: '/usr/bin' },
  proxy: { http: undefined, https: undefined, all: undefined, no: undefined },
  sslCertFile: undefined,
  sslCertDir: undefined,
};
const policy = (file: RegistriesFile, more: Partial<PolicyInputs> = {}) =>
  registryPolicy({ registries_conf: [], ...file }, 'graft.yml', { ...given, ...more });

/** The example of the operator's page, with every key. */
const EVERYTHING: RegistriesFile = {
  hosts: {
    'docker.io': {
      mirrors: [
        { location: 'mirror.example:5000', trusted: true },
        { location: 'cache.example/hub', insecure: true },
      ],
    },
    'Registry.example:5000': {
      ca: ['/etc/graft/ca.pem'],
      client_certificate: '/etc/graft/client.pem',
      client_key: '/etc/graft/client.key',
      credential_helper: 'ecr-login',
      token_realms: ['Login.example'],
      private_hosts: ['s3.internal:9000'],
    },
    'registry.example:5000/forbidden': { blocked: true },
    '[fd00::1]:5000': { blocked: false },
  },
  insecure: ['old.example:80'],
  require_digest: true,
  always_authenticate: true,
  docker_config: '/root/.docker/config.json',
  credential_helpers: { path: '/opt/helpers', environment: { AWS_REGION: 'eu-west-1' }, timeout_ms: 1000 },
  certs_dirs: ['/etc/docker/certs.d'],
  registries_conf: [],
  proxy: { http: 'http://p:1', https: 'http://u:p@p:2', no_proxy: '10.0.0.0/8' },
  parallel_downloads: 3,
  resume_from_bytes: 1,
  foreign_hosts: ['go.microsoft.com'],
  timeouts: {
    connect_ms: 1,
    answer_ms: 2,
    idle_ms: 3,
    slow_window_ms: 4,
    slow_bytes_per_second: 5,
    total_ms: 6,
  },
  retries: { attempts: 7, first_pause_ms: 8, longest_pause_ms: 9, retry_after_max_ms: 10 },
};

test('the schema admits every key, and has a description for each', () => {
  expect(isRegistrySettings(EVERYTHING)).toBe(true);
  const schema = JSON.parse(
    readFileSync(`${import.meta.dir}/../../../../lib/registry/settings.schema.json`, 'utf8'),
  );
  const missing: string[] = [];
  const walk = (node: Record<string, unknown>, path: string): void => {
    for (const [key, child] of Object.entries(
      (node['properties'] ?? {}) as Record<string, Record<string, unknown>>,
    )) {
      if (child['description'] === undefined) missing.push(`${path}.${key}`);
      walk(child, `${path}.${key}`);
    }
  };
  walk(schema, 'registries');
  for (const [name, node] of Object.entries(schema.definitions as Record<string, Record<string, unknown>>))
    walk(node, name);
  expect(missing).toEqual([]);
});

test("the schema's defaults are the defaults", () => {
  const schema = JSON.parse(
    readFileSync(`${import.meta.dir}/../../../../lib/registry/settings.schema.json`, 'utf8'),
  );
  const of = (group: string) => {
    const entries = Object.entries(
      schema.properties[group].properties as Record<string, { default?: unknown }>,
    );
    return Object.fromEntries(entries.map(([key, { default: value }]) => [key, value]));
  };
  const { deadlines, retry, retryAfterMaxMs } = defaultPolicy;
  expect(of('timeouts')).toEqual({
    connect_ms: deadlines.connectMs,
    answer_ms: deadlines.answerMs,
    idle_ms: deadlines.idleMs,
    slow_window_ms: deadlines.slowWindowMs,
    slow_bytes_per_second: deadlines.slowBytesPerSecond,
    total_ms: deadlines.totalMs,
  });
  expect(of('retries')).toEqual({
    attempts: retry.attempts,
    first_pause_ms: retry.baseMs,
    longest_pause_ms: retry.maxMs,
    retry_after_max_ms: retryAfterMaxMs,
  });
  expect(schema.properties.parallel_downloads.default).toBe(defaultPolicy.parallel);
  expect(schema.properties.resume_from_bytes.default).toBe(defaultPolicy.resumeFromBytes);
  expect(schema.properties.credential_helpers.properties.timeout_ms.default).toBe(
    defaultPolicy.credentials.helperTimeoutMs,
  );
});

describe('the schema refuses', () => {
  test.each([
    ['an unknown key', { mirror: [] }],
    ['an unknown key of a host', { hosts: { a: { insecure: true } } }],
    ['a mirror without a location', { hosts: { a: { mirrors: [{ trusted: true }] } } }],
    ['a URL for a host', { hosts: { 'https://a': {} } }],
    ['a URL for a mirror', { hosts: { a: { mirrors: [{ location: 'https://m' }] } } }],
    ['a URL for an insecure registry', { insecure: ['http://a'] }],
    ['a relative path', { docker_config: 'config.json' }],
    ['a helper with a path', { hosts: { a: { credential_helper: '../../sh' } } }],
    ['text for a number', { parallel_downloads: '3' }],
    ['no downloads at all', { parallel_downloads: 0 }],
    ['a fraction', { timeouts: { idle_ms: 1.5 } }],
    ['text for a flag', { require_digest: 'yes' }],
    ['a list', []],
  ])('%s', (_what, file) => {
    expect(isRegistrySettings(file)).toBe(false);
  });
});

test('every key arrives', () => {
  const made = policy(EVERYTHING);
  expect(made.insecure).toEqual(['flag.example:5000', 'old.example:80']);
  expect(made.rules).toEqual([
    {
      prefix: 'docker.io',
      location: 'docker.io',
      insecure: false,
      blocked: false,
      mirrors: [
        { location: 'mirror.example:5000', insecure: false, pulls: 'all' },
        { location: 'cache.example/hub', insecure: true, pulls: 'digest-only' },
      ],
      from: 'graft.yml',
    },
    {
      prefix: 'registry.example:5000/forbidden',
      location: 'registry.example:5000/forbidden',
      insecure: false,
      blocked: true,
      mirrors: [],
      from: 'graft.yml',
    },
    {
      prefix: '[fd00::1]:5000',
      location: '[fd00::1]:5000',
      insecure: false,
      blocked: false,
      mirrors: [],
      from: 'graft.yml',
    },
  ]);
  expect(made.hosts['registry.example:5000']).toEqual({
    ca: ['/etc/graft/ca.pem'],
    client: { certificate: '/etc/graft/client.pem', key: '/etc/graft/client.key' },
    tokenRealms: ['login.example'],
    privateHosts: ['s3.internal:9000'],
    helper: 'ecr-login',
  });
  expect(made.certsDirs).toEqual(['/etc/docker/certs.d']);
  expect([made.proxies.http?.reveal(), made.proxies.https?.reveal(), made.proxies.no]).toEqual([
    'http://p:1',
    'http://u:p@p:2',
    '10.0.0.0/8',
  ]);
  expect(made.credentials).toEqual({
    configFile: '/root/.docker/config.json',
    helperPath: '/opt/helpers',
    helperEnv: { PATH: '/usr/bin', AWS_REGION: 'eu-west-1' },
    helperTimeoutMs: 1000,
  });
  expect(made.deadlines).toEqual({
    connectMs: 1,
    answerMs: 2,
    idleMs: 3,
    slowWindowMs: 4,
    slowBytesPerSecond: 5,
    totalMs: 6,
  });
  expect({ ...made.retry, random: 0 }).toEqual({ attempts: 7, baseMs: 8, maxMs: 9, random: 0 });
  expect([made.retryAfterMaxMs, made.parallel, made.resumeFromBytes]).toEqual([10, 3, 1]);
  expect([made.requireDigest, made.foreignHosts]).toEqual([true, ['go.microsoft.com']]);
  expect(made.authenticate).toBe('always');
});

test('without a file the surroundings decide', () => {
  const made = policy(
    {},
    {
      requireDigest: true,
      proxy: { http: 'http://h:1', https: undefined, all: 'http://all:1', no: 'x' },
      sslCertFile: '/ca.pem',
      sslCertDir: '/certs',
    },
  );
  expect(made.requireDigest).toBe(true);
  expect([made.proxies.http?.reveal(), made.proxies.https?.reveal(), made.proxies.no]).toEqual([
    'http://h:1',
    'http://all:1',
    'x',
  ]);
  expect(made.roots).toEqual({ file: '/ca.pem', directories: '/certs' });
  expect(made.certsDirs[0]).toBe('/home/x/.config/containers/certs.d');
  expect(made.credentials.helperPath).toBe('/usr/bin:/bin');
  expect(policy({}, { home: 'relative' }).certsDirs).toEqual(defaultPolicy.certsDirs);
});

test('a file that cannot switch off what the call asks for', () => {
  expect(policy({ require_digest: false }, { requireDigest: true }).requireDigest).toBe(true);
});

describe('what a schema cannot say', () => {
  test.each([
    ['a certificate without its key', { a: { client_certificate: '/c' } }],
    ['a key without its certificate', { a: { client_key: '/k' } }],
    ['a CA for a part of a registry', { 'a/b': { ca: ['/c'] } }],
  ])('%s is refused', (_what, hosts) => {
    expect(isRegistrySettings({ hosts })).toBe(true);
    let thrown: unknown;
    try {
      policy({ hosts });
    } catch (error) {
      thrown = error;
    }
    expect(isPluginError(thrown, 'CONFIG_INVALID') && thrown.subject.path).toBe('graft.yml');
  });
});
