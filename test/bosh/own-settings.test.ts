/** graft's own settings, from properties and from the link to cvmfs-client, against graft's own schemas. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Ajv, type AnySchema } from 'ajv';
import { ownSettings, SYNCED_JOBS, syncedSpec } from '../../bosh/scripts/sync-spec.ts';
import { PROJECT } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import type { Yaml } from './go-patch.ts';
import { linkOf, lookup, put, RELEASE, renderWell } from './release.ts';
import { FULL_CVMFS, FULL_GRAFT, SETS } from './sets.ts';

let dir: TempDir;
beforeAll(() => {
  dir = tempDir();
});
afterAll(() => dir.remove());

let counter = 0;
const fresh = () => dir.at(`out${counter++}`);

describe('the link between cvmfs-client and graft', () => {
  const extra = async (request: Parameters<typeof renderWell>[2]) => {
    const out = fresh();
    mkdirSync(out);
    await renderWell('graft', out, request);
    const read = (store: string) =>
      Bun.YAML.parse(readFileSync(join(out, `config/${store}.yml.d/graft.yml`), 'utf8'));
    expect(read('privileged')).toEqual(read('unprivileged'));
    return read('unprivileged');
  };
  const links = linkOf('cvmfs-client', 'cvmfs', FULL_CVMFS);

  test('without it and without repositories there is no cvmfs part', async () =>
    expect(await extra({})).toEqual({}));

  test('gives each repository with its mount for the unprivileged store and its pin', async () => {
    const store = '/var/vcap/data/graft/store/unprivileged';
    expect(await extra({ links })).toEqual({
      cvmfs: {
        repositories: [
          {
            path: '/mnt/cvmfs/unpacked.cern.ch',
            name: 'unpacked.cern.ch',
            revision: 'ab'.repeat(20),
            mounts: [{ store, path: '/mnt/cvmfs-mapped/unpacked.cern.ch' }],
          },
          {
            path: '/mnt/cvmfs/test.local',
            name: 'test.local',
            mounts: [{ store, path: '/mnt/cvmfs-mapped/test.local' }],
          },
        ],
      },
    });
  });

  test('has no second mount where the client has none', async () => {
    const properties = put(structuredClone(FULL_CVMFS), 'cvmfs.unprivileged_mount_root', '');
    const found = await extra({ links: linkOf('cvmfs-client', 'cvmfs', properties) });
    expect(JSON.stringify(found)).not.toContain('mounts');
  });

  test('yields to repositories that the operator names', async () => {
    const repositories = [{ path: '/srv/layers', type: 'directory' }];
    const properties = put({}, 'graft.cvmfs.repositories', repositories);
    expect(await extra({ links, properties })).toEqual({ cvmfs: { repositories } });
  });
});

describe('graft’s own settings', () => {
  test('are all properties, with the words of their schemas; bosh/scripts/sync-spec.ts writes them', () => {
    for (const job of SYNCED_JOBS) {
      const text = readFileSync(join(RELEASE, 'jobs', job, 'spec'), 'utf8');
      expect(text).toBe(syncedSpec(job, text));
    }
    expect(ownSettings().length).toBeGreaterThan(25);
  });

  test('are written only where they are set, and as they are set', async () => {
    const out = fresh();
    await renderWell('graft', out, { properties: FULL_GRAFT });
    const found = Bun.YAML.parse(
      readFileSync(join(out, 'config/privileged.yml.d/graft.yml'), 'utf8'),
    ) as Yaml;
    for (const { name } of ownSettings()) {
      const [written, set] = [lookup(found, name.replace('graft.', '')), lookup(FULL_GRAFT, name)];
      const made = ['graft.registries.certs_dirs', 'graft.registries.docker_config'].includes(name);
      expect([name, made || Bun.deepEquals(written, set)]).toEqual([name, true]);
    }
  });

  for (const [name, set] of Object.entries(SETS['graft'] ?? {})) {
    test(`pass graft’s own schema with the ${name} properties`, async () => {
      const out = fresh();
      await renderWell('graft', out, { properties: set });
      const text = readFileSync(join(out, 'config/unprivileged.yml.d/graft.yml'), 'utf8');
      expect(schemaErrors(Bun.YAML.parse(text))).toEqual([]);
    });
  }

  test('of the publisher pass it with each set of properties, and are as they are set', async () => {
    for (const set of Object.values(SETS['graft-publisher'] ?? {})) {
      const out = fresh();
      await renderWell('graft-publisher', out, { properties: set });
      const found = Bun.YAML.parse(readFileSync(join(out, 'config/settings.yml'), 'utf8')) as Yaml;
      expect(schemaErrors(found)).toEqual([]);
      for (const { name } of ownSettings('graft-publisher')) {
        const value = lookup(set, name);
        if (value !== undefined)
          expect([name, lookup(found, name.replace('graft_publisher', 'publisher'))]).toEqual([name, value]);
      }
      expect(JSON.stringify(found)).not.toContain(String(lookup(set, 'graft_publisher.token')));
    }
  });

  test('from the link pass it too', async () => {
    const out = fresh();
    await renderWell('graft', out, { links: linkOf('cvmfs-client', 'cvmfs', FULL_CVMFS) });
    const text = readFileSync(join(out, 'config/unprivileged.yml.d/graft.yml'), 'utf8');
    expect(schemaErrors(Bun.YAML.parse(text))).toEqual([]);
    expect(schemaErrors({ cvmfs: { repositories: [{ name: 'no path' }] } })).not.toEqual([]);
  });
});

/** What graft's schemas have against a document, through ajv and not through the validators of the build. */
function schemaErrors(document: unknown): string[] {
  const schema = (...path: string[]) => readJson(join(PROJECT, ...path));
  const ajv = new Ajv({ allowUnionTypes: true });
  ajv.addSchema(schema('lib/registry/settings.schema.json'), 'isRegistrySettings');
  ajv.addSchema(schema('lib/cvmfs/settings.schema.json'), 'isCvmfsSettings');
  ajv.addSchema(schema('lib/trust/settings.schema.json'), 'isTrustSettings');
  ajv.addSchema(schema('lib/publisher/settings.schema.json'), 'isPublisherSettings');
  const validate = ajv.compile(schema('cmd/settings/extra.schema.json'));
  validate(document);
  return (validate.errors ?? []).map((error) => `${error.instancePath} ${error.message}`);
}

function readJson(path: string): AnySchema {
  return JSON.parse(readFileSync(path, 'utf8')) as AnySchema;
}
