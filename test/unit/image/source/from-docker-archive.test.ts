/** Images in archives of docker and podman: what is read of them, and archives that lie. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { sha256Hex } from '../../../../lib/base/digest.ts';
import { PluginError } from '../../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { DEFAULT_BUDGET } from '../../../../lib/image/pull/budget.ts';
import { ArchiveFile } from '../../../../lib/image/source/archive-file.ts';
import { DockerArchiveSource } from '../../../../lib/image/source/from-docker-archive.ts';
import { chunksOf } from '../../../../lib/image/source/layer-chunks.ts';
import { imageSourceSuite } from '../../../suites/image-source.suite.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

const NEVER = new AbortController().signal;
const PROGRAMS = '/usr/bin:/bin';
const MACHINE = { os: 'linux', architecture: 'amd64', variant: undefined };

function source(path: string, ref?: string): DockerArchiveSource {
  const reference = { kind: 'docker-archive', path, ref } as const;
  return new DockerArchiveSource({
    reference,
    file: new ArchiveFile(path, { programs: PROGRAMS, budget: DEFAULT_BUDGET }),
    platform: MACHINE,
    log: silentLogger,
  });
}

function configOf(blobs: readonly Uint8Array[], changes: object = {}): string {
  const diff_ids = blobs.map((blob) => `sha256:${sha256Hex(blob)}`);
  return JSON.stringify({
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids },
    ...changes,
  });
}

/** The members of an archive as docker writes it, the list last. */
function members(blobs: readonly Uint8Array[], config = configOf(blobs)): EntrySpec[] {
  const layers = blobs.map((blob, at) => ({ name: `${at}/layer.tar`, content: blob }));
  const name = `${sha256Hex(Buffer.from(config))}.json`;
  const list = [{ Config: name, RepoTags: ['app:1'], Layers: layers.map((layer) => layer.name) }];
  return [...layers, { name, content: config }, { name: 'manifest.json', content: JSON.stringify(list) }];
}

const LAYERS = [
  tar([{ name: 'etc/one', content: 'x'.repeat(9 << 20) }]),
  tar([{ name: 'etc/two', content: 'two' }]),
  tar([{ name: 'etc/three', content: 'y'.repeat(3 << 20) }]),
];

for (const [name, pack] of [
  ['a docker archive', (bytes: Buffer) => bytes],
  ['a docker archive in gzip', (bytes: Buffer) => gzipSync(bytes)],
  ['a docker archive in zstd', (bytes: Buffer) => zstdCompressSync(bytes)],
] as const)
  imageSourceSuite(name, async () => {
    const dir = tempDir();
    writeFileSync(dir.at('archive'), pack(tar(members(LAYERS))));
    return {
      create: () => source(dir.at('archive')),
      createMissing: () => source(dir.at('none')),
      blobs: LAYERS,
      dispose: () => dir.remove(),
    };
  });

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

function written(entries: readonly (EntrySpec | Uint8Array)[]): string {
  const path = dir.at('archive.tar');
  writeFileSync(path, tar(entries));
  return path;
}

/** The digests of all layers' bytes, opened at once in this order. */
async function read(path: string, order: readonly number[]): Promise<string[]> {
  const from = source(path);
  try {
    const { layers } = await from.resolve(NEVER);
    return await Promise.all(
      order.map(async (at) => {
        const layer = layers[at];
        if (layer === undefined) throw new Error(`no layer ${at}`);
        const chunks: Uint8Array[] = [];
        for await (const chunk of chunksOf(await from.open(layer, NEVER))) chunks.push(chunk.slice());
        return sha256Hex(Buffer.concat(chunks));
      }),
    );
  } finally {
    await from.close();
  }
}

async function failure(path: string): Promise<unknown> {
  const from = source(path);
  try {
    return await from.resolve(NEVER);
  } catch (error) {
    if (error instanceof PluginError) return [error.code, error.subject];
    throw error;
  } finally {
    await from.close();
  }
}

describe('a compressed archive', () => {
  const PACKERS: readonly [string, string[]][] = [
    ['gzip', ['-1']],
    ['xz', ['-0']],
    ['bzip2', ['-1']],
  ];
  test.each(PACKERS)('in %s gives its layers in any order, opened all at once', async (program, level) => {
    const path = written(members(LAYERS));
    await must(program, [...level, '-k', path]);
    const packed = `${path}.${{ gzip: 'gz', xz: 'xz', bzip2: 'bz2' }[program]}`;
    for (const order of [
      [0, 1, 2],
      [2, 0, 1, 0],
    ])
      expect(await read(packed, order)).toEqual(order.map((at) => sha256Hex(LAYERS[at] ?? '')));
  });

  test.each(PACKERS)('in %s that is cut is refused', async (program, level) => {
    const path = written(members(LAYERS));
    await must(program, [...level, '-k', path]);
    const packed = `${path}.${{ gzip: 'gz', xz: 'xz', bzip2: 'bz2' }[program]}`;
    truncateSync(packed, readFileSync(packed).length - 100);
    const [code] = (await failure(packed)) as [string];
    expect(code).toBe(program === 'gzip' ? 'LAYER_TRUNCATED' : 'LAYER_BAD_COMPRESSION');
  });

  test('without the program that inflates it is refused with the name of the program', async () => {
    const path = written(members(LAYERS));
    await must('xz', ['-0', '-k', path]);
    const from = new DockerArchiveSource({
      reference: { kind: 'docker-archive', path: `${path}.xz`, ref: undefined },
      file: new ArchiveFile(`${path}.xz`, { programs: dir.at('nowhere'), budget: DEFAULT_BUDGET }),
      platform: MACHINE,
      log: silentLogger,
    });
    await expect(from.resolve(NEVER)).rejects.toMatchObject({
      code: 'IMAGE_NEEDS_PROGRAM',
      subject: { path: `${path}.xz`, program: 'xz' },
    });
  });
});

describe('an archive', () => {
  test('gives the same manifest digest each time, and another one for other layers', async () => {
    const digests = new Set<unknown>();
    for (const layers of [LAYERS, LAYERS, LAYERS.slice(1)])
      digests.add((await source(written(members(layers))).resolve(NEVER)).manifestDigest);
    expect(digests.size).toBe(2);
  });

  test('may name one member for two layers, through links of either kind', async () => {
    const [one] = LAYERS;
    if (one === undefined) throw new Error('no layer');
    const [layer, config, list] = members([one]) as [EntrySpec, EntrySpec, EntrySpec];
    const twice = configOf([one, one, one]);
    const entries: EntrySpec[] = [
      layer,
      { name: 'a/layer.tar', type: '2', link: '../0/layer.tar' },
      { name: 'b/layer.tar', type: '1', link: 'a/layer.tar' },
      { ...config, name: 'config.json', content: twice },
      {
        ...list,
        content: JSON.stringify([
          { Config: 'config.json', Layers: ['0/layer.tar', 'a/layer.tar', './b/layer.tar'] },
        ]),
      },
    ];
    expect(await read(written(entries), [0, 1, 2])).toEqual(Array(3).fill(sha256Hex(one)));
  });

  test('may have layers that are compressed: their digest is that of the member', async () => {
    const [one] = LAYERS;
    if (one === undefined) throw new Error('no layer');
    const packed = gzipSync(one);
    const entries = members([packed], configOf([one]));
    const image = await source(written(entries)).resolve(NEVER);
    expect(image.layers).toMatchObject([
      {
        kind: 'blob',
        compression: 'gzip',
        size: packed.length,
        digest: `sha256:${sha256Hex(packed)}`,
        diffId: `sha256:${sha256Hex(one)}`,
      },
    ]);
  });

  test('that changes after it was resolved is refused', async () => {
    const path = written(members(LAYERS));
    const from = source(path);
    const [layer] = (await from.resolve(NEVER)).layers;
    if (layer === undefined) throw new Error('no layer');
    appendFileSync(path, 'x');
    await expect(from.open(layer, NEVER)).rejects.toMatchObject({
      code: 'IMAGE_SOURCE_CHANGED',
      subject: { path },
    });
    await expect(from.verifyUnchanged()).rejects.toMatchObject({ code: 'IMAGE_SOURCE_CHANGED' });
  });
});

describe('an archive is refused', () => {
  const [first, second, third, config, list] = members(LAYERS) as [
    EntrySpec,
    EntrySpec,
    EntrySpec,
    EntrySpec,
    EntrySpec,
  ];
  const bad = (reason: string) => ['IMAGE_BAD_ARCHIVE', { path: dir.at('archive.tar'), reason }];

  test('without a list, without a configuration, without a layer', async () => {
    expect(await failure(written([first, config]))).toEqual(bad('it lacks manifest.json'));
    expect(await failure(written([first, second, third, list]))).toEqual(bad(`it lacks ${config.name}`));
    expect(await failure(written([first, third, config, list]))).toEqual(
      bad('it lacks layer 2 of 3, which its manifest.json names'),
    );
  });

  test('with two members of a name that counts', async () => {
    for (const twice of [list, config, second])
      expect(await failure(written([first, second, third, config, list, twice]))).toEqual(
        bad(`it has two members of the name ${twice.name}`),
      );
  });

  test('with links that lead out, in a circle or nowhere', async () => {
    for (const link of ['../../etc/passwd', '/etc/passwd', 'layer.tar', 'gone'])
      expect(
        await failure(written([first, { ...second, type: '2', link, content: '' }, third, config, list])),
      ).toEqual(bad('it lacks layer 2 of 3, which its manifest.json names'));
  });

  test('with a name that leaves it, and never reads the file there', async () => {
    expect(
      await failure(written([{ name: '../escape', content: 'x' }, first, second, third, config, list])),
    ).toEqual(bad('a member has a name that leaves the archive'));
  });

  test('whose configuration is not that of its name', async () => {
    const content = `${config.content} `;
    const [code] = (await failure(written([first, second, third, { ...config, content }, list]))) as [string];
    expect(code).toBe('IMAGE_DIGEST_MISMATCH');
  });

  test('whose configuration has another number of layers', async () => {
    const other = members(LAYERS, configOf(LAYERS.slice(1)));
    expect(await failure(written(other))).toMatchObject([
      'IMAGE_BAD_CONFIG',
      { reason: 'it has 2 diffIDs for the 3 layers of the archive' },
    ]);
  });

  test('for another operating system', async () => {
    const other = members(LAYERS, configOf(LAYERS, { os: 'windows' }));
    expect(await failure(written(other))).toMatchObject(['IMAGE_NO_PLATFORM', {}]);
  });

  test('whose list is huge, is no JSON, or is a directory', async () => {
    const huge = { name: 'manifest.json', content: `[${' '.repeat(5 << 20)}]` };
    const reason = 'its manifest.json is no JSON document, or has more than 4194304 bytes';
    expect(await failure(written([first, huge]))).toEqual(bad(reason));
    expect(await failure(written([first, { name: 'manifest.json', content: 'secret of the host' }]))).toEqual(
      bad(reason),
    );
    expect(await failure(written([first, { name: 'manifest.json/', type: '5' }]))).toEqual(
      bad('it lacks manifest.json'),
    );
  });

  test('with more documents than memory is for them', async () => {
    const documents = Array.from({ length: 17 }, (_, at) => ({
      name: `${at}.json`,
      content: `[${' '.repeat((4 << 20) - 2)}]`,
    }));
    expect(await failure(written(documents))).toEqual(bad('its documents have more than 67108864 bytes'));
  });

  test('that ends inside a layer, in a header, or is no tar at all', async () => {
    const path = written([first, second, third, config, list]);
    truncateSync(path, 1 << 20);
    expect(await failure(path)).toEqual(['LAYER_TRUNCATED', { reason: 'the archive ends inside an entry' }]);
    truncateSync(path, 100);
    expect(await failure(path)).toMatchObject(['LAYER_TRUNCATED', {}]);
    writeFileSync(path, 'root:x:0:0:root:/root:/bin/bash\n'.repeat(40));
    expect(await failure(path)).toEqual(['LAYER_NOT_A_TAR', { found: 'text' }]);
  });

  test('that is a directory, a device or not there', async () => {
    expect(await failure(dir.path)).toEqual(['IMAGE_SOURCE_DIRECTORY', { path: dir.path }]);
    expect(await failure('/dev/null')).toMatchObject(['IMAGE_SOURCE_UNREADABLE', { path: '/dev/null' }]);
    expect(await failure(dir.at('none'))).toEqual(['IMAGE_SOURCE_MISSING', { path: dir.at('none') }]);
  });
});
