import { describe, expect, test } from 'bun:test';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv';
import { repositoryPath, thinAddress } from '../../../lib/cvmfs/address.ts';
import {
  type CvmfsFile,
  cvmfsSettings,
  DOUBTS,
  type LayerOrigin,
  serves,
} from '../../../lib/cvmfs/settings.ts';

const STORE = '/var/vcap/data/graft/unprivileged';
const schema = JSON.parse(
  readFileSync(join(import.meta.dir, '../../../lib/cvmfs/settings.schema.json'), 'utf8'),
) as {
  definitions: { repository: { properties: Record<string, { default?: unknown; description?: string }> } };
};

function settings(file: CvmfsFile) {
  return cvmfsSettings(file, 'extra.yml', STORE);
}

function repository(entry: Partial<NonNullable<CvmfsFile['repositories']>[number]> = {}) {
  const [made] = settings({ repositories: [{ path: '/cvmfs/unpacked.cern.ch', ...entry }] }).repositories;
  if (made === undefined) throw new Error('no repository');
  return made;
}

describe('settings', () => {
  test('no part, no repositories', () => {
    expect(cvmfsSettings(undefined, 'x', STORE)).toEqual({ repositories: [] });
  });

  test('defaults are those that the schema documents', () => {
    const { properties } = schema.definitions.repository;
    const documented = Object.fromEntries(
      Object.entries(properties).flatMap(([key, value]) =>
        value.default === undefined ? [] : [[key, value.default]],
      ),
    );
    const made = repository();
    expect<Record<string, unknown>>({
      type: made.type,
      layout: made.layout,
      registries: made.registries,
      revision: made.revision,
      probe_deadline_ms: made.probeDeadlineMs,
      retry_after_hang_s: made.retryAfterHangSeconds,
      walk_deadline_ms: made.walkDeadlineMs,
      io_error_window_s: made.ioErrorWindowSeconds,
      fall_back_on: [...made.fallBackOn],
      mounts: [],
      lost_metadata: {},
    }).toEqual(documented);
  });

  test('every setting is described, for the page that is made of it', () => {
    const undescribed = Object.entries(schema.definitions.repository.properties).filter(
      ([, { description }]) => (description ?? '').length < 20,
    );
    expect(undescribed.map(([key]) => key)).toEqual([]);
  });

  test('the schema knows every doubt and no other', () => {
    const validate = new Ajv({ strict: true, allowUnionTypes: true }).compile(schema);
    const falling = (doubt: string) => ({ repositories: [{ path: '/cvmfs/a', fall_back_on: [doubt] }] });
    expect(DOUBTS.map((doubt) => validate(falling(doubt)))).toEqual(DOUBTS.map(() => true));
    expect(validate(falling('other'))).toBe(false);
  });

  test('a store with a mount of its own reads that, and knows the repository by all its paths', () => {
    const made = repository({ mounts: [{ store: STORE, path: '/cvmfs-unprivileged/unpacked.cern.ch' }] });
    expect([made.path, made.mapped]).toEqual(['/cvmfs-unprivileged/unpacked.cern.ch', true]);
    expect(made.knownAt).toEqual(['/cvmfs/unpacked.cern.ch', '/cvmfs-unprivileged/unpacked.cern.ch']);
    expect(repository({ path: '/mnt/replica', name: 'a.b' }).knownAt).toEqual(['/mnt/replica', '/cvmfs/a.b']);
    expect(repository({ mounts: [{ store: '/other', path: '/m' }] }).mapped).toBe(false);
  });

  const wrong: readonly (readonly [string, CvmfsFile, string])[] = [
    ['a path with ..', { repositories: [{ path: '/cvmfs/../x' }] }, 'not a normal absolute path'],
    [
      'a path twice',
      { repositories: [{ path: '/a/b' }, { path: '/a/b', name: 'c' }] },
      '/a/b is named twice',
    ],
    ['a name twice', { repositories: [{ path: '/a/b' }, { path: '/c/b' }] }, 'two repositories b'],
    [
      'a mount like another path',
      { repositories: [{ path: '/a/b', mounts: [{ store: '/s', path: '/a/b' }] }] },
      'named twice',
    ],
    ['a subdirectory with ..', { repositories: [{ path: '/a/b', subdirectory: '../c' }] }, 'not a normal'],
  ];
  for (const [what, file, reason] of wrong) {
    test(`${what} is refused`, () => {
      let caught: unknown;
      try {
        settings(file);
      } catch (error) {
        caught = error;
      }
      expect(caught).toMatchObject({
        code: 'CONFIG_INVALID',
        subject: { path: 'extra.yml', reason: expect.stringContaining(reason) },
      } as never);
    });
  }
});

describe('which images are looked up', () => {
  const of = (registry: string, name = 'library/x'): LayerOrigin => ({ registry, repository: name });
  const cases: readonly (readonly [patterns: string[], origin: LayerOrigin, served: boolean])[] = [
    [['*'], of('docker.io'), true],
    [['*'], 'oci', true],
    [[], of('docker.io'), false],
    [['docker.io'], of('docker.io'), true],
    [['docker.io'], of('docker.io.evil'), false],
    [['docker.io'], of('xdocker.io'), false],
    [['*.cern.ch'], of('gitlab-registry.cern.ch'), true],
    [['*.cern.ch'], of('cern.ch'), false],
    [['!private.example', '*'], of('private.example'), false],
    [['!private.example', '*'], of('public.example'), true],
    [['registry.example:5000/team/*'], of('registry.example:5000', 'team/app'), true],
    [['registry.example:5000/team/*'], of('registry.example:5000', 'other/app'), false],
    [['registry.example/a.b'], of('registry.example', 'aXb'), false],
    [['oci:'], 'oci', true],
    [['!oci:', '*'], 'oci', false],
  ];
  for (const [patterns, origin, served] of cases) {
    test(`${JSON.stringify(patterns)} ${JSON.stringify(origin)}: ${served}`, () => {
      expect(serves(repository({ registries: patterns }), origin)).toBe(served);
    });
  }
});

describe('addresses', () => {
  const all = settings({
    repositories: [{ path: '/cvmfs/a.example' }, { path: '/mnt/b', name: 'b.example', type: 'directory' }],
  });

  test('lie in a repository of the configuration', () => {
    expect(repositoryPath(all, '/cvmfs/a.example/x/y')).toMatchObject({
      repository: { name: 'a.example' },
      path: 'x/y',
    });
    expect(repositoryPath(all, '/cvmfs/b.example/x')).toMatchObject({
      repository: { name: 'b.example' },
      path: 'x',
    });
    expect(repositoryPath(all, '/mnt/b')).toMatchObject({ repository: { name: 'b.example' }, path: '' });
    expect(thinAddress(all, 'cvmfs://a.example/layers/x/')).toMatchObject({ path: 'layers/x' });
  });

  const refused: readonly (readonly [of: 'path' | 'url', text: string, reason: string])[] = [
    ['path', '/cvmfs/a.example.evil/x', 'no repository'],
    ['path', '/cvmfs/a.exampl', 'no repository'],
    ['path', '/etc/passwd', 'no repository'],
    ['path', '/cvmfs/a.example/../b', '"." or ".."'],
    ['path', '/cvmfs/a.example/x\0y', 'NUL'],
    ['url', 'cvmfs://a.example', 'not cvmfs://'],
    ['url', 'cvmfs:///a.example/x', 'not cvmfs://'],
    ['url', 'CVMFS://a.example/x', 'not cvmfs://'],
    ['url', 'https://a.example/x', 'not cvmfs://'],
    ['url', 'cvmfs://c.example/x', 'not in the configuration'],
    ['url', 'cvmfs://a.example/x/../../etc', '"." or ".."'],
    ['url', 'cvmfs://a.example/./x', '"." or ".."'],
    ['url', 'cvmfs://a.example//etc', 'empty components'],
    ['url', `cvmfs://a.example/${'x'.repeat(5000)}`, '4095'],
    ['url', 'cvmfs://a.example/x\0', 'NUL'],
  ];
  for (const [of, text, reason] of refused) {
    test(`${JSON.stringify(text.slice(0, 60))} is refused`, () => {
      const look = () => (of === 'path' ? repositoryPath(all, text) : thinAddress(all, text));
      let caught: unknown;
      try {
        look();
      } catch (error) {
        caught = error;
      }
      const subject = { reason: expect.stringContaining(reason), repositories: 'a.example, b.example' };
      expect(caught).toMatchObject({ code: 'CVMFS_NOT_ALLOWED', subject } as never);
    });
  }
});
