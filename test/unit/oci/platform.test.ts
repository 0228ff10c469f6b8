import { describe, expect, test } from 'bun:test';
import { silentLogger } from '../../../lib/base/log.ts';
import type { Descriptor } from '../../../lib/oci/descriptor.ts';
import { type ImageIndex, type Manifest, parseManifest } from '../../../lib/oci/manifest.ts';
import * as types from '../../../lib/oci/media-types.ts';
import { type Platform, platformOf, requirePlatform, selectPlatform } from '../../../lib/oci/platform.ts';
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

function wanted(text: string): Platform {
  const [os = '', architecture = '', variant] = text.split('/');
  return { os, architecture, variant };
}

describe('selectPlatform', () => {
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
    ['linux/amd64', ['', 'linux/amd64'], 1],
    ['linux/amd64', ['linux/arm64', ''], 1],
    ['linux/amd64', ['unknown/unknown', 'linux/amd64', 'unknown/unknown'], 1],
  ] as const)('for %s takes of %p number %i', (want, offered, at) => {
    expect(selectPlatform(indexOf(...offered), wanted(want), 'test').digest as string).toBe(digest(at));
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
  ])('says what an index of %p offers', (offered, words) => {
    const subject = refusal('IMAGE_NO_PLATFORM', () =>
      selectPlatform(indexOf(...offered), wanted('linux/amd64'), 'test'),
    );
    expect(subject).toEqual({ source: 'test', wanted: 'linux/amd64', offered: words });
  });

  test('passes by what buildx adds, also under a real platform', () => {
    const index = indexOf('linux/amd64', 'linux/amd64');
    const [first, second] = index.entries;
    if (first === undefined || second === undefined) throw new Error('two entries');
    const attestation = {
      ...first,
      annotations: new Map([['vnd.docker.reference.type', 'attestation-manifest']]),
    };
    expect(selectPlatform({ entries: [attestation, second] }, wanted('linux/amd64'), 'test')).toBe(second);
    const artifact = { ...first, artifactType: 'application/vnd.example.sbom' };
    expect(selectPlatform({ entries: [artifact, second] }, wanted('linux/amd64'), 'test')).toBe(second);
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
  const image = parseManifest(
    json({
      schemaVersion: 2,
      config: { mediaType: types.OCI_CONFIG, digest: digest('c'), size: 1 },
      layers: [],
    }),
    types.OCI_MANIFEST,
    'test',
  );

  /** Follows digests made of numbers through a table. */
  function walk(
    start: Manifest,
    table: ReadonlyMap<string, Manifest>,
  ): { fetched: string[]; found: ReturnType<typeof resolveToImage> } {
    const fetched: string[] = [];
    const found = resolveToImage(
      { manifest: start, digest: undefined },
      platform,
      'test',
      async (descriptor: Descriptor) => {
        fetched.push(descriptor.digest);
        const manifest = table.get(descriptor.digest);
        if (manifest === undefined) throw new Error(`nobody knows ${descriptor.digest}`);
        return manifest;
      },
    );
    return { fetched, found };
  }

  test('takes an image as it is', async () => {
    const { fetched, found } = walk(image, new Map());
    expect(await found).toEqual({ manifest: image as never, digest: undefined });
    expect(fetched).toEqual([]);
  });

  test('goes through indexes within indexes, three deep', async () => {
    const table = new Map<string, Manifest>([
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
    const table = new Map<string, Manifest>([
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
    const table = new Map<string, Manifest>([
      [digest(0), indexOf('linux/arm64')],
      [digest(1), image],
    ]);
    expect(((await walk(indexOf('', ''), table).found).digest ?? '') as string).toBe(digest(1));
  });

  test('says what all of them offer', async () => {
    const { found } = walk(indexOf('linux/s390x', ''), new Map([[digest(1), indexOf('linux/arm64')]]));
    expect((await rejection('IMAGE_NO_PLATFORM', found)).offered).toBe('linux/s390x, linux/arm64');
  });

  test('gives up after 16 manifests', async () => {
    const many = indexOf(...Array(100).fill(''));
    const none = indexOf();
    const table = new Map<string, Manifest>(many.entries.map(({ digest }) => [digest, none]));
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
