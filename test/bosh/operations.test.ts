/** The ops files on a manifest of cf-deployment's shape. */
import { describe, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT } from '../support/shell.ts';
import { applyOps, type Operation, type Yaml } from './go-patch.ts';
import { JOBS, jobSpec, lookup, type Properties, RELEASE, readYaml } from './release.ts';

interface Job {
  readonly name: string;
  readonly release: string;
  readonly properties?: Properties;
  readonly provides?: Properties;
  readonly consumes?: Properties;
}
interface Group {
  readonly name: string;
  readonly jobs: readonly Job[];
  readonly update?: Properties;
}
interface Manifest {
  readonly instance_groups: readonly Group[];
  readonly releases: readonly { readonly name: string; readonly version: string }[];
}

const BASE = readYaml<Yaml>(PROJECT, 'test/bosh/fixtures/cf-deployment.yml');
const FILES = readdirSync(join(RELEASE, 'operations')).sort();
const operations = (file: string) => readYaml<Operation[]>(RELEASE, 'operations', file);
const deploy = (...files: string[]) =>
  files.reduce<Yaml>((manifest, file) => applyOps(manifest, operations(file)), BASE) as unknown as Manifest;

function group(manifest: Manifest, name = 'diego-cell'): Group {
  const found = manifest.instance_groups.find((each) => each.name === name);
  if (found === undefined) throw new Error(`no group ${name}`);
  return found;
}
function job(manifest: Manifest, name: string): Job | undefined {
  return group(manifest).jobs.find((each) => each.name === name);
}
const gardenOf = (manifest: Manifest) => job(manifest, 'garden')?.properties?.['garden'];

const PLUGIN = {
  image_plugin: '/var/vcap/packages/graft/bin/graft',
  image_plugin_extra_args: ['--config', '/var/vcap/jobs/graft/config/unprivileged.yml'],
  privileged_image_plugin: '/var/vcap/packages/graft/bin/graft',
  privileged_image_plugin_extra_args: ['--config', '/var/vcap/jobs/graft/config/privileged.yml'],
};

test('the ops files are these four', () => {
  expect(FILES).toEqual([
    'canary-one-cell.yml',
    'rollback-to-grootfs.yml',
    'use-graft-cvmfs.yml',
    'use-graft.yml',
  ]);
});

describe('use-graft.yml', () => {
  const manifest = deploy('use-graft.yml');

  test('sets all four plugin properties and keeps what garden had', () => {
    expect(gardenOf(manifest)).toEqual({ ...(gardenOf(deploy()) as object), ...PLUGIN });
  });

  test('colocates the job and the errand, from the release it adds', () => {
    expect(job(manifest, 'graft')).toEqual({ name: 'graft', release: 'graft', consumes: { cvmfs: 'nil' } });
    expect(job(manifest, 'graft-doctor')).toEqual({ name: 'graft-doctor', release: 'graft' });
    expect(manifest.releases.at(-1)).toEqual({ name: 'graft', version: 'latest' });
  });

  test('points at files that the job and the package put there', () => {
    const templates = Object.values(jobSpec('graft').templates);
    for (const [, path = ''] of JSON.stringify(PLUGIN).matchAll(/\/var\/vcap\/jobs\/graft\/([^"]+)/g)) {
      expect(templates).toContain(path);
    }
  });

  test('touches no other group', () => {
    for (const name of ['uaa', 'isolated-diego-cell']) {
      expect(group(manifest, name)).toEqual(group(deploy(), name));
    }
  });

  test('applied twice is the same as once', () => {
    expect(deploy('use-graft.yml', 'use-graft.yml')).toEqual(manifest);
  });

  test('serves another group of cells when its name is replaced', () => {
    const text = JSON.stringify(operations('use-graft.yml')).replaceAll(
      '=diego-cell/',
      '=isolated-diego-cell/',
    );
    const both = applyOps(manifest as unknown as Yaml, JSON.parse(text)) as unknown as Manifest;
    const isolated = group(both, 'isolated-diego-cell').jobs.find((each) => each.name === 'garden');
    expect(isolated?.properties?.['garden']).toMatchObject(PLUGIN);
    expect(both.releases.filter((release) => release.name === 'graft').length).toBe(1);
  });

  test('fails on a manifest without Diego cells instead of doing half of it', () => {
    expect(() => applyOps({ releases: [], instance_groups: [] }, operations('use-graft.yml'))).toThrow(
      'name=diego-cell',
    );
  });
});

describe('use-graft-cvmfs.yml', () => {
  const manifest = deploy('use-graft.yml', 'use-graft-cvmfs.yml');

  test('colocates the client and links graft to it by name', () => {
    expect(job(manifest, 'cvmfs-client')?.provides).toEqual({ cvmfs: { as: 'diego-cell-cvmfs' } });
    expect(job(manifest, 'graft')?.consumes).toEqual({ cvmfs: { from: 'diego-cell-cvmfs' } });
  });

  test('leaves the default reserve beside the cache', () => {
    const reserve = jobSpec('graft').properties['graft.reserved_space_for_other_jobs_in_mb']?.default;
    const cache = lookup(job(manifest, 'cvmfs-client')?.properties ?? {}, 'cvmfs.cache_quota_in_mb');
    expect(job(manifest, 'graft')?.properties).toEqual({
      graft: { reserved_space_for_other_jobs_in_mb: Number(reserve) + Number(cache) },
    });
  });

  test('needs use-graft.yml first', () => {
    expect(() => deploy('use-graft-cvmfs.yml')).toThrow('name=graft');
  });
});

describe('canary-one-cell.yml', () => {
  test('changes one cell first, then one at a time, and keeps other settings of the group', () => {
    expect(group(deploy('use-graft.yml', 'canary-one-cell.yml')).update).toEqual({
      serial: true,
      canaries: 1,
      max_in_flight: 1,
      canary_watch_time: '600000-1800000',
      update_watch_time: '30000-1800000',
    });
  });

  test('works on a group without settings of its own', () => {
    const bare = applyOps(BASE, [{ type: 'remove', path: '/instance_groups/name=diego-cell/update' }]);
    const update = group(applyOps(bare, operations('canary-one-cell.yml')) as unknown as Manifest).update;
    expect(update?.['canaries']).toBe(1);
  });
});

describe('rollback-to-grootfs.yml', () => {
  for (const used of [['use-graft.yml'], ['use-graft.yml', 'use-graft-cvmfs.yml']]) {
    const manifest = deploy(...used, 'rollback-to-grootfs.yml');

    test(`after ${used.join(' and ')} garden is as before`, () => {
      expect(gardenOf(manifest)).toEqual(gardenOf(deploy()));
    });

    test(`after ${used.join(' and ')} graft only removes its stores, alone`, () => {
      expect(lookup(job(manifest, 'graft')?.properties ?? {}, 'graft.retire_stores')).toBe(true);
      expect(job(manifest, 'graft')?.consumes).toEqual({ cvmfs: 'nil' });
      expect(job(manifest, 'cvmfs-client')).toBeUndefined();
      expect(job(manifest, 'graft-doctor')).toBeUndefined();
    });
  }

  test('refuses a deployment that is not on graft', () => {
    expect(() => deploy('rollback-to-grootfs.yml')).toThrow("expected to find key 'image_plugin'");
  });
});

describe('all of them', () => {
  const manifest = deploy('use-graft.yml', 'use-graft-cvmfs.yml', 'canary-one-cell.yml');

  test('name only jobs of this release, with links that their specs have', () => {
    for (const each of group(manifest).jobs.filter((one) => one.release === 'graft')) {
      expect(JOBS).toContain(each.name);
      const spec = jobSpec(each.name);
      for (const link of Object.keys(each.consumes ?? {}))
        expect(spec.consumes?.map((l) => l.name)).toContain(link);
      for (const link of Object.keys(each.provides ?? {}))
        expect(spec.provides?.map((l) => l.name)).toContain(link);
    }
  });

  test('set only properties that the specs declare', () => {
    for (const each of group(manifest).jobs.filter((one) => one.release === 'graft')) {
      const declared = Object.keys(jobSpec(each.name).properties);
      for (const [area, settings] of Object.entries(each.properties ?? {})) {
        for (const name of Object.keys(settings as object)) expect(declared).toContain(`${area}.${name}`);
      }
    }
  });

  test('the link’s type and properties fit on both sides', () => {
    const provided = jobSpec('cvmfs-client').provides?.[0];
    const consumed = jobSpec('graft').consumes?.[0];
    expect(consumed).toEqual({ name: 'cvmfs', type: provided?.type ?? '', optional: true });
    for (const name of provided?.properties ?? []) {
      expect(Object.keys(jobSpec('cvmfs-client').properties)).toContain(name);
    }
  });
});
