import { describe, expect, test } from 'bun:test';
import { PluginError } from '../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../lib/base/log.ts';
import type { ImageConfig } from '../../../lib/oci/config.ts';
import type { Descriptor } from '../../../lib/oci/descriptor.ts';
import { type Machine, platformOf } from '../../../lib/oci/machine.ts';
import { type ImageIndex, type Manifest, parseManifest } from '../../../lib/oci/manifest.ts';
import * as types from '../../../lib/oci/media-types.ts';
import { candidates, requirePlatform } from '../../../lib/oci/platform.ts';
import { resolveToImage } from '../../../lib/oci/resolve-index.ts';
import { digest, json, recordingLog, refusal, rejection } from './support.ts';

/** `os/arch[/variant]`, '' for none; the digest is that of the text and the position. */
function indexOf(...platforms: readonly string[]): ImageIndex {
  const manifests = platforms.map((text, at) => {
    const [os, architecture, variant] = text.split('/');
    return {
      mediaType: types.OCI_MANIFEST,
      digest: digest(at),
      size: 1,
      ...(text === ''
        ? {}
        : { platform: { os, architecture, ...(variant === undefined ? {} : { variant }) } }),
    };
  });
  const index = parseManifest(json({ schemaVersion: 2, manifests }), types.OCI_INDEX, 'test');
  if (index.kind !== 'index') throw new Error(index.kind);
  return index;
}

/** `os/arch[/variant]`; a level behind `@` is what the processor says when it is asked. */
function wanted(text: string): Machine {
  const [platform = '', level] = text.split('@');
  const [os = '', architecture = '', variant] = platform.split('/');
  return { os, architecture, variant, ...(level === undefined ? {} : { level: () => level }) };
}

describe('candidates', () => {
  test.each([
    ['linux/amd64', ['linux/arm64', 'linux/amd64', 'windows/amd64'], 1],
    ['linux/amd64', ['linux/amd64/v3', 'linux/amd64/v2', 'linux/amd64'], 2],
    ['linux/amd64', ['linux/amd64/v3', 'linux/amd64/v1'], 1],
    ['linux/amd64', ['linux/amd64', 'linux/amd64'], 0],
    ['linux/arm64', ['linux/arm/v7', 'linux/arm64/v8', 'linux/arm64'], 1],
    ['linux/arm64', ['linux/arm64/v9', 'linux/arm64'], 1],
    ['linux/arm', ['linux/arm/v5', 'linux/arm/v6', 'linux/arm/v7'], 2],
    ['linux/arm/v6', ['linux/arm/v7', 'linux/arm/v5', 'linux/arm/v6'], 2],
    ['linux/arm/v6', ['linux/arm/v7', 'linux/arm/v5'], 1],
    ['linux/amd64/v3', ['linux/amd64', 'linux/amd64/v3'], 1],
    ['linux/riscv64', ['linux/riscv64'], 0],
    ['linux/amd64@v3', ['linux/amd64', 'linux/amd64/v2', 'linux/amd64/v3', 'linux/amd64/v4'], 2],
    ['linux/amd64@v4', ['linux/amd64/v2', 'linux/amd64'], 0],
    ['linux/amd64@v2', ['linux/amd64/v3', 'linux/amd64/v4', 'linux/amd64/v1'], 2],
    ['linux/amd64@v3', ['', 'linux/amd64/v2'], 1],
    ['linux/amd64', ['linux/amd64/v1', 'linux/amd64'], 0],
    ['linux/amd64', ['Linux/X86_64', 'linux/amd64'], 0],
    ['linux/arm64@v8.2', ['linux/aarch64', 'linux/arm64/v8.1', 'linux/arm64/v8.3'], 1],
    ['linux/arm64@v9', ['linux/arm64/v8', 'linux/arm64/v8.6', 'linux/arm64/v8.5', 'linux/arm64/v9.1'], 2],
    ['linux/arm64@v9.1', ['linux/arm64/v8.6', 'linux/arm64/v9', 'linux/arm64/v9.2'], 1],
    ['linux/arm64@v8.2', ['linux/arm64/v9', 'linux/arm64/v8.0'], 1],
    ['linux/amd64', ['', 'linux/amd64'], 1],
    ['linux/amd64', ['linux/arm64', ''], 1],
    ['linux/amd64', ['unknown/unknown', 'linux/amd64', 'unknown/unknown'], 1],
  ] as const)('for %s takes of %p number %i', (want, offered, at) => {
    const [best] = candidates(indexOf(...offered).entries, wanted(want));
    expect(best?.digest as string).toBe(digest(at));
  });

  test.each([
    ['linux/amd64@v2', ['linux/amd64/v3', 'linux/386', 'windows/amd64', 'linux/arm64']],
    ['linux/amd64', ['linux/amd64/v2', 'linux/amd64/v', 'linux/amd64/v1.5', 'linux/amd64/x']],
    ['linux/arm64', ['linux/arm64/v8.1', 'linux/arm64/v9', 'linux/arm/v8']],
  ])('for %s takes none of %p', (want, offered) => {
    expect(candidates(indexOf(...offered).entries, wanted(want))).toEqual([]);
  });

  test('asks for the level of the processor only where an image names one', () => {
    let asked = 0;
    const machine: Machine = {
      ...wanted('linux/amd64'),
      level: () => {
        asked += 1;
        return 'v2';
      },
    };
    candidates(indexOf('linux/amd64', 'linux/amd64/v1', 'linux/arm64/v9', '').entries, machine);
    expect(asked).toBe(0);
    candidates(indexOf('linux/amd64/v3').entries, machine);
    expect(asked).toBe(1);
  });

  const [first, second] = indexOf('linux/amd64', 'linux/amd64').entries;
  if (first === undefined || second === undefined) throw new Error('two entries');
  test.each([
    [
      'an attestation of buildx',
      { annotations: new Map([['vnd.docker.reference.type', 'attestation-manifest']]) },
    ],
    ['an artifact', { artifactType: 'application/vnd.example.sbom' }],
    ['a layer', { mediaType: types.OCI_LAYER }],
    ['a document of another kind', { mediaType: 'application/vnd.oci.artifact.manifest.v1+json' }],
    [
      'an image for a system with features',
      { platform: { os: 'linux', architecture: 'amd64', variant: undefined, features: ['erofs'] } },
    ],
  ])('passes by %s, also under the real platform', (_what, change) => {
    expect(candidates([{ ...first, ...change }, second], wanted('linux/amd64'))).toEqual([second]);
  });

  test('takes types as HTTP writes them, and none for what the manifest will say', () => {
    const entries = ['', `${types.OCI_MANIFEST}; charset=utf-8`, types.DOCKER_MANIFEST.toUpperCase()].map(
      (mediaType) => ({ ...first, mediaType }),
    );
    expect(candidates(entries, wanted('linux/amd64'))).toEqual(entries);
  });
});

test('platformOf speaks Go', () => {
  expect(platformOf('x64')).toEqual({ os: 'linux', architecture: 'amd64', variant: undefined });
  expect(platformOf('arm64').architecture).toBe('arm64');
  expect(platformOf('riscv64').architecture).toBe('riscv64');
});

describe('requirePlatform', () => {
  const machine = wanted('linux/amd64');
  test('refuses another system, logs another architecture, takes silence', () => {
    const windows = { os: 'windows', architecture: 'amd64' };
    expect(
      refusal('IMAGE_NO_PLATFORM', () => requirePlatform(windows, machine, 'test', silentLogger)).offered,
    ).toBe('windows/amd64');
    const log = recordingLog();
    requirePlatform({ os: '', architecture: '' }, machine, 'test', log);
    requirePlatform({ os: 'linux', architecture: 'amd64' }, machine, 'test', log);
    expect(log.events).toEqual([]);
    requirePlatform({ os: 'linux', architecture: 'arm64' }, machine, 'test', log);
    expect(log.events.map(({ event }) => event)).toEqual(['image-architecture-differs']);
  });
});

describe('resolveToImage', () => {
  const platform = wanted('linux/amd64');
  const IMAGE = parseManifest(
    json({
      schemaVersion: 2,
      config: { mediaType: types.OCI_CONFIG, digest: digest('c'), size: 1 },
      layers: [],
    }),
    types.OCI_MANIFEST,
    'test',
  );
  if (IMAGE.kind !== 'image') throw new Error(IMAGE.kind);
  const image = IMAGE;

  const CONFIG = { env: [], entrypoint: [], cmd: [], user: '', workingDir: '', diffIds: [] };
  const configFor = (text: string): ImageConfig => {
    const [os = '', architecture = '', variant] = text.split('/');
    return { ...CONFIG, os, architecture, ...(variant === undefined ? {} : { variant }) };
  };

  type Found = Manifest | PluginError | string;

  /**
   * Follows digests made of numbers through a table: an index, an error, or an image by what its configuration says of
   * its platform.
   */
  function walk(start: Manifest, table: ReadonlyMap<string, Found>, machine = platform) {
    const fetched: string[] = [];
    const configs = new Map<Manifest, ImageConfig>();
    const log = recordingLog();
    const found = resolveToImage(
      { manifest: start, digest: undefined },
      machine,
      'test',
      {
        manifest: async (descriptor: Descriptor) => {
          fetched.push(descriptor.digest);
          const found = table.get(descriptor.digest);
          if (found === undefined) throw new Error(`nobody knows ${descriptor.digest}`);
          if (found instanceof PluginError) throw found;
          if (typeof found !== 'string') return found;
          const image = { ...IMAGE };
          configs.set(image, configFor(found));
          return image;
        },
        image: async (manifest) => ({ config: configs.get(manifest) ?? configFor('') }),
      },
      log,
    );
    return { fetched, found, log };
  }

  /** The number of the entry that is taken. */
  async function taken(start: Manifest, images: readonly Found[], machine = platform): Promise<number> {
    const table = new Map(images.map((found, at) => [digest(at), found]));
    const { digest: found } = await walk(start, table, machine).found;
    return images.findIndex((_image, at) => digest(at) === found);
  }

  test('takes an image as it is', async () => {
    const { fetched, found } = walk(image, new Map());
    expect(await found).toMatchObject({ manifest: image, digest: undefined, byLevel: false });
    expect(fetched).toEqual([]);
  });

  test('goes through indexes within indexes, three deep', async () => {
    const table = new Map<string, Found>([
      [digest(0), indexOf('linux/arm64', '')],
      [digest(1), indexOf('unknown/unknown', 'linux/arm64', 'linux/amd64')],
      [digest(2), image],
    ]);
    const { fetched, found } = walk(indexOf(''), table);
    expect(((await found).digest ?? '') as string).toBe(digest(2));
    expect(fetched).toEqual([digest(0), digest(1), digest(2)]);
  });

  test('refuses a fourth', async () => {
    const deep = (at: number) => {
      const index = indexOf('');
      const [entry] = index.entries;
      if (entry === undefined) throw new Error('one entry');
      return { ...index, entries: [{ ...entry, digest: digest(`deep${at}`) as never }] };
    };
    const table = new Map<string, Found>([
      [digest('deep1'), deep(2)],
      [digest('deep2'), deep(3)],
      [digest('deep3'), deep(4)],
    ]);
    const { fetched, found } = walk(deep(1), table);
    expect((await rejection('IMAGE_BAD_MANIFEST', found)).reason).toContain('deeper than 3');
    expect(fetched.length).toBe(3);
  });

  test('ends a cycle', async () => {
    const self = indexOf('');
    const { fetched, found } = walk(self, new Map([[digest(0), self]]));
    await rejection('IMAGE_NO_PLATFORM', found);
    expect(fetched).toEqual([digest(0)]);
  });

  test('looks on where a nested index has nothing for this machine', async () => {
    const table = new Map<string, Found>([
      [digest(0), indexOf('linux/arm64')],
      [digest(1), image],
    ]);
    expect(((await walk(indexOf('', ''), table).found).digest ?? '') as string).toBe(digest(1));
  });

  test.each([
    ['of another architecture', ['linux/arm64', 'linux/amd64']],
    ['of another system', ['windows/amd64', 'linux/amd64']],
    ['of a level that this processor has not', ['linux/amd64/v3', 'linux/amd64/v2']],
    ['that says nothing', ['linux/arm64', '']],
  ])('holds entries without a platform against the configuration: one %s', async (_what, images) => {
    expect(await taken(indexOf('', ''), images, wanted('linux/amd64@v2'))).toBe(1);
  });

  test('takes the first entry without a platform whose configuration says nothing', async () => {
    expect(await taken(indexOf('', ''), ['', 'linux/amd64'])).toBe(0);
  });

  test('believes an index about the architecture, not about the system', async () => {
    expect(await taken(indexOf('linux/amd64', 'linux/amd64'), ['linux/arm64', 'linux/amd64'])).toBe(0);
    expect(await taken(indexOf('linux/amd64', 'linux/amd64'), ['windows/amd64', 'linux/amd64'])).toBe(1);
  });

  const MISSING = new PluginError('IMAGE_SOURCE_MISSING', { path: '/x' });
  const ARTIFACT = new PluginError('IMAGE_UNSUPPORTED', { source: 'x', mediaType: 'x', advice: 'x' });
  const WRONG = new PluginError('IMAGE_DIGEST_MISMATCH', { expected: digest('a'), actual: digest('b') });

  test('an entry that is missing or no image leaves the next, and what was wrong is logged', async () => {
    expect(await taken(indexOf('linux/amd64', ''), [MISSING, 'linux/amd64'])).toBe(1);
    const { found, log } = walk(
      indexOf('linux/amd64', 'linux/amd64', 'linux/amd64'),
      new Map<string, Found>([
        [digest(0), ARTIFACT],
        [digest(1), new PluginError('IMAGE_BAD_MANIFEST', { source: 'x', reason: 'x' })],
        [digest(2), image],
      ]),
    );
    expect((await found).digest as string).toBe(digest(2));
    expect(log.events.map(({ data }) => data?.['code'])).toEqual(['IMAGE_UNSUPPORTED', 'IMAGE_BAD_MANIFEST']);
  });

  test('when no entry is left, the first failure is what is said', async () => {
    const table = new Map<string, Found>([
      [digest(0), ARTIFACT],
      [digest(1), MISSING],
    ]);
    await rejection('IMAGE_UNSUPPORTED', walk(indexOf('linux/amd64', ''), table).found);
  });

  test('bytes that are not what the digest says are the end, whatever else is offered', async () => {
    const table = new Map<string, Found>([
      [digest(0), WRONG],
      [digest(1), image],
    ]);
    const { found, fetched } = walk(indexOf('linux/amd64', 'linux/amd64'), table);
    await rejection('IMAGE_DIGEST_MISMATCH', found);
    expect(fetched).toEqual([digest(0)]);
  });

  test('tells whether the processor had a say', async () => {
    const machine = wanted('linux/amd64@v3');
    const told = async (start: Manifest, found: Found) =>
      (
        await walk(
          start,
          new Map(start.kind === 'index' ? start.entries.map((e) => [e.digest, found]) : []),
          machine,
        ).found
      ).byLevel;
    expect(await told(indexOf('linux/amd64', 'linux/arm64/v8'), 'linux/amd64')).toBe(false);
    expect(await told(indexOf('linux/amd64', 'linux/amd64/v4'), 'linux/amd64')).toBe(true);
    expect(await told(indexOf(''), 'linux/amd64/v2')).toBe(true);
  });

  test.each([
    [['linux/arm64', 'linux/arm/v7', 'windows/amd64'], 'linux/arm64, linux/arm/v7, windows/amd64'],
    [['linux/amd64/v3'], 'linux/amd64/v3'],
    [['unknown/unknown'], 'nothing'],
    [[], 'nothing'],
    [
      Array.from({ length: 25 }, (_, at) => `linux/a${at}`),
      `${Array.from({ length: 20 }, (_, at) => `linux/a${at}`).join(', ')}, …`,
    ],
    [['linux/x\u001b[2J'], 'linux/x\\u{1b}[2J'],
  ])('says what an index of %p offers', async (offered, words) => {
    const subject = await rejection('IMAGE_NO_PLATFORM', walk(indexOf(...offered), new Map()).found);
    expect(subject).toEqual({ source: 'test', wanted: 'linux/amd64', offered: words });
  });

  test('names what was looked at: configurations too, and no artifact', async () => {
    const index = indexOf('linux/amd64', '', '');
    const [artifact, ...rest] = index.entries;
    if (artifact === undefined) throw new Error('three entries');
    const start = { ...index, entries: [{ ...artifact, artifactType: 'x/y' }, ...rest] };
    const { found } = walk(
      start,
      new Map<string, Found>([
        [digest(1), 'linux/s390x'],
        [digest(2), 'windows/amd64'],
      ]),
    );
    expect((await rejection('IMAGE_NO_PLATFORM', found)).offered).toBe('linux/s390x, windows/amd64');
  });

  test('says what all of them offer', async () => {
    const { found } = walk(indexOf('linux/s390x', ''), new Map([[digest(1), indexOf('linux/arm64')]]));
    expect((await rejection('IMAGE_NO_PLATFORM', found)).offered).toBe('linux/s390x, linux/arm64');
  });

  test('gives up after 16 manifests', async () => {
    const many = indexOf(...Array(100).fill(''));
    const none = indexOf();
    const table = new Map<string, Found>(many.entries.map(({ digest }) => [digest, none]));
    const { fetched, found } = walk(many, table);
    expect((await rejection('IMAGE_BAD_MANIFEST', found)).reason).toContain('16');
    expect(fetched.length).toBe(16);
  });

  test('asks for no manifest over the ceiling', async () => {
    const index = indexOf('linux/amd64');
    const [entry] = index.entries;
    if (entry === undefined) throw new Error('one entry');
    const { fetched, found } = walk({ ...index, entries: [{ ...entry, size: 2 ** 40 }] }, new Map());
    expect((await rejection('IMAGE_BAD_MANIFEST', found)).reason).toContain(`${2 ** 40}`);
    expect(fetched).toEqual([]);
  });
});
