/** Properties and templates that cannot work: a deployment stops with the name, not a cell with half a script. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import type { Yaml } from './go-patch.ts';
import { put, RELEASE, type Rendered, renderJob, renderWell } from './release.ts';
import { FULL_CVMFS, FULL_GRAFT } from './sets.ts';

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

let counter = 0;
const fresh = () => dir.at(`out${counter++}`);

describe('broken templates are noticed', () => {
  /** A copy of the release with one text of one template replaced. */
  async function broken(job: string, template: string, from: string, to: string): Promise<Rendered> {
    const release = fresh();
    cpSync(join(RELEASE, 'jobs', job), join(release, 'jobs', job), { recursive: true });
    const file = join(release, 'jobs', job, 'templates', template);
    const text = readFileSync(file, 'utf8');
    expect(text).toContain(from);
    writeFileSync(file, text.replace(from, to));
    return renderJob(job, fresh(), { release });
  }

  test('an unknown property', async () => {
    const { errors } = await broken(
      'graft',
      'config/unprivileged.yml.erb',
      "p('graft.direct_io')",
      "p('graft.directio')",
    );
    expect(errors).toEqual([
      {
        template: 'config/unprivileged.yml',
        kind: 'UnknownProperty',
        message: "Can't find property 'graft.directio'",
      },
    ]);
  });

  test('a missing if_p around a property without a default', async () => {
    const { errors } = await broken(
      'graft',
      'config/unprivileged.extra.yml.erb',
      'if_p("graft.#{setting}") { |value| write',
      'p("graft.#{setting}").tap { |value| write',
    );
    expect(errors[0]).toMatchObject({
      kind: 'UnknownProperty',
      template: 'config/unprivileged.yml.d/graft.yml',
    });
  });

  test('a missing end', async () => {
    const { errors } = await broken('graft', 'config/remote-layer.key.erb', '<% } -%>', '');
    expect(errors[0]).toMatchObject({
      kind: 'SyntaxError',
      template: 'config/remote-layer/remote-layer.key',
    });
  });
});

describe('property values that cannot work are refused with the property’s name', () => {
  const cases: [job: string, name: string, value: Yaml, sentence: string][] = [
    ['graft', 'graft.log_level', 'warn', 'must be one of debug, info, error, fatal'],
    ['graft', 'graft.metron_port', 70000, '0 to 65535'],
    ['graft', 'graft.unprivileged_store.path', 'relative/path', 'must be an absolute path'],
    ['graft', 'graft.unprivileged_store.path', '/var/vcap/../../etc', 'must be an absolute path'],
    ['graft', 'graft.unprivileged_store.path', '/var/vcap/a b', 'must be an absolute path'],
    ['graft', 'graft.privileged_store.path', '/var/vcap/store-a/u/inner', 'two separate directories'],
    ['graft', 'graft.unprivileged_store.size_in_mb', 100, 'must be at least 512'],
    ['graft', 'graft.reserved_space_for_other_jobs_in_mb', -2, 'must be at least -1'],
    ['graft', 'graft.gc_interval_in_seconds', 5, 'must be 0 (never) or at least 30'],
    ['graft', 'graft.gc_threshold_in_mb', -1, 'must be at least 0'],
    ['graft', 'graft.insecure_docker_registry_list', ['https://a.b'], 'a list of HOST or HOST:PORT'],
    ['graft', 'graft.remote_layer.tls.key', null, 'need each other'],
    ['graft', 'graft.registry_certificates', [{ registry: '../../etc' }], 'must be HOST or HOST:PORT'],
    ['graft', 'graft.registry_certificates', [{ registry: 'a', ca: 'x' }], "the unknown key 'ca'"],
    ['graft', 'graft.registry_certificates', [{ registry: 'a' }], 'names a registry and no certificate'],
    [
      'graft',
      'graft.registry_certificates',
      [{ registry: 'a', client_key: 'x' }],
      'needs both client_cert and client_key',
    ],
    ['cvmfs-client', 'cvmfs.http_proxy', null, "Can't find property 'cvmfs.http_proxy'"],
    ['cvmfs-client', 'cvmfs.http_proxy', "'; touch /tmp/no; '", 'must not hold a quote'],
    ['cvmfs-client', 'cvmfs.cache_quota_in_mb', 10, 'must be at least 1000'],
    ['cvmfs-client', 'cvmfs.parameters', { CVMFS_CLAIM_OWNERSHIP: 'yes' }, 'must stay no'],
    [
      'cvmfs-client',
      'cvmfs.parameters',
      { 'CVMFS_X=1;touch': 'yes' },
      'is not the name of a CernVM-FS parameter',
    ],
    [
      'cvmfs-client',
      'cvmfs.repositories',
      [{ name: '../evil' }],
      'must be a fully qualified repository name',
    ],
    ['cvmfs-client', 'cvmfs.repositories', [{ name: 'a.b', url: 'x' }], "the unknown key 'url'"],
    [
      'cvmfs-client',
      'cvmfs.repositories',
      [{ name: 'a.b', server_urls: ['ftp://x'], public_keys: ['k'] }],
      'must be http, https or file URLs',
    ],
    [
      'cvmfs-client',
      'cvmfs.repositories',
      [1, 2].map(() => ({ name: 'a.b', server_urls: ['http://x'], public_keys: ['k'] })),
      'names a.b twice',
    ],
    ['cvmfs-client', 'cvmfs.unprivileged_mount_root', '/mnt/cvmfs', 'must be two directories'],
  ];
  for (const [job, name, value, sentence] of cases) {
    test(`${name} = ${JSON.stringify(value)}: ${sentence}`, async () => {
      const full = job === 'graft' ? FULL_GRAFT : FULL_CVMFS;
      const { errors } = await renderJob(job, fresh(), {
        properties: put(structuredClone(full), name, value),
      });
      expect(errors.map((error) => error.message).join('\n')).toContain(sentence);
    });
  }

  test('keys stay out of the messages', async () => {
    const secret = 'SECRET-KEY-TEXT';
    const properties = put(structuredClone(FULL_GRAFT), 'graft.remote_layer.tls.key', [secret]);
    put(properties, 'graft.docker_config', [secret]);
    put(properties, 'graft.registry_certificates', [{ registry: 'a', ca_cert: [secret] }]);
    const { errors } = await renderJob('graft', fresh(), { properties });
    expect(errors.length).toBeGreaterThan(1);
    expect(JSON.stringify(errors)).not.toContain(secret);
  });
});

describe('values of properties in shell files', () => {
  test('come out of a shell as they went in', async () => {
    const out = fresh();
    const evil = `a"b'c\\d $(touch ${dir.at('touched')}) \`id\` ; & | \n second line`;
    const properties = put(structuredClone(FULL_GRAFT), 'graft.registry_certificates', [
      { registry: 'a.b', ca_cert: evil },
    ]);
    await renderWell('graft', out, { properties });
    const script = 'install_certificates() { printf "%s" "$2"; }; source "$1"';
    const ran = await run('bash', ['-euc', script, 'bash', join(out, 'config/registry-certificates.sh')]);
    expect(ran.stdout).toBe(evil);
    expect(existsSync(dir.at('touched'))).toBe(false);
  });
});
