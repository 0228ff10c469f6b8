/** App Container Images: what becomes of the archive, and archives that the specification forbids. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { PluginError } from '../../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { DEFAULT_BUDGET } from '../../../../lib/image/pull/budget.ts';
import { ArchiveFile } from '../../../../lib/image/source/archive-file.ts';
import { AciSource } from '../../../../lib/image/source/from-aci.ts';
import { chunksOf } from '../../../../lib/image/source/layer-chunks.ts';
import type { ResolvedImage } from '../../../../lib/image/source/source.ts';
import type { LayerEntry } from '../../../../lib/layer/tar/entry.ts';
import { TarReader } from '../../../../lib/layer/tar/reader.ts';
import { imageSourceSuite } from '../../../suites/image-source.suite.ts';
import { type EntrySpec, tar } from '../../../support/images/tar-writer.ts';
import { must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

const NEVER = new AbortController().signal;
const MACHINE = { os: 'linux', architecture: 'amd64', variant: undefined };

function source(path: string, id?: string): AciSource {
  return new AciSource({
    reference: { kind: 'aci', path, id },
    file: new ArchiveFile(path, { programs: '/usr/bin:/bin', budget: DEFAULT_BUDGET }),
    platform: MACHINE,
    maxFileBytes: DEFAULT_BUDGET.tarBytes,
    log: silentLogger,
  });
}

const APP = {
  exec: ['/bin/app', '--listen'],
  user: 'www',
  group: '33',
  workingDirectory: '/srv',
  environment: [{ name: 'MODE', value: 'test' }],
  mountPoints: [{ name: 'data', path: '/var/data' }],
};
function manifest(changes: object = {}): EntrySpec {
  const labels = [
    { name: 'os', value: 'linux' },
    { name: 'arch', value: 'amd64' },
  ];
  const document = {
    acKind: 'ImageManifest',
    acVersion: '0.8.11',
    name: 'example.com/app',
    labels,
    app: APP,
  };
  return { name: 'manifest', content: JSON.stringify({ ...document, ...changes }) };
}
const FILES: readonly EntrySpec[] = [
  { name: 'rootfs/', type: '5', mode: 0o755 },
  { name: 'rootfs/bin/', type: '5', mode: 0o711 },
  {
    name: 'rootfs/bin/app',
    content: 'the app',
    mode: 0o4755,
    uid: 7,
    gid: 8,
    pax: { 'SCHILY.xattr.user.a': 'b' },
  },
  { name: 'rootfs/bin/link', type: '2', link: '/bin/app' },
  { name: 'rootfs/bin/hard', type: '1', link: 'rootfs/bin/app' },
  { name: 'rootfs/dev-null', type: '3' },
  { name: './rootfs/big', content: 'x'.repeat(3 << 20) },
];

let dir: TempDir;
beforeEach(() => {
  dir = tempDir();
});
afterEach(() => dir.remove());

function written(entries: readonly EntrySpec[]): string {
  const path = dir.at('image.aci');
  writeFileSync(path, tar(entries));
  return path;
}

async function resolved(path: string, id?: string): Promise<{ image: ResolvedImage; layer: Buffer }> {
  const from = source(path, id);
  try {
    const image = await from.resolve(NEVER);
    const chunks: Uint8Array[] = [];
    for await (const chunk of chunksOf(await from.open(image.layers[0], NEVER))) chunks.push(chunk.slice());
    return { image, layer: Buffer.concat(chunks) };
  } finally {
    await from.close();
  }
}

async function failure(path: string, id?: string): Promise<unknown> {
  try {
    return await resolved(path, id);
  } catch (error) {
    if (error instanceof PluginError) return [error.code, error.subject];
    throw error;
  }
}

function entriesIn(layer: Uint8Array): Map<string, LayerEntry> {
  const found = new Map<string, LayerEntry>();
  const reader = new TarReader(
    { entry: (entry) => void found.set(entry.name, entry), content() {}, endOfContent() {} },
    1 << 30,
  );
  reader.push(layer);
  reader.end();
  return found;
}

{
  const blob = { bytes: new Uint8Array() };
  imageSourceSuite('an App Container Image', async () => {
    const place = tempDir();
    writeFileSync(place.at('image.aci'), gzipSync(tar([...FILES, manifest()])));
    const from = source(place.at('image.aci'));
    const chunks: Uint8Array[] = [];
    const [layer] = (await from.resolve(NEVER)).layers;
    for await (const chunk of chunksOf(await from.open(layer, NEVER))) chunks.push(chunk.slice());
    await from.close();
    blob.bytes = Buffer.concat(chunks);
    return {
      create: () => source(place.at('image.aci')),
      createMissing: () => source(place.at('none')),
      blobs: [blob.bytes],
      dispose: () => place.remove(),
    };
  });
}

test('what lies below rootfs is the layer, with owners, links and attributes; devices are left out', async () => {
  const { layer, image } = await resolved(written([manifest(), ...FILES]));
  const entries = entriesIn(layer);
  expect([...entries.keys()]).toEqual(['./', 'bin/', 'bin/app', 'bin/link', 'bin/hard', 'big', 'var/data/']);
  expect(entries.get('bin/app')).toMatchObject({ kind: 'file', size: 7, mode: 0o4755, uid: 7, gid: 8 });
  expect(entries.get('bin/app')?.xattrs.map(({ name }) => name as string)).toEqual(['user.a']);
  expect(entries.get('bin/link')).toMatchObject({ kind: 'symlink', target: '/bin/app' });
  expect(entries.get('bin/hard')).toMatchObject({ kind: 'hardlink', target: 'bin/app' });
  expect(image.config).toMatchObject({
    user: 'www:33',
    workingDir: '/srv',
    env: ['MODE=test'],
    cmd: ['/bin/app', '--listen'],
    entrypoint: [],
  });
});

test('the manifest may come last, and every compression gives the same image', async () => {
  const { image } = await resolved(written([manifest(), ...FILES]));
  const path = written([...FILES, manifest()]);
  expect((await resolved(path)).image.manifestDigest).toBe(image.manifestDigest);
  for (const [program, suffix] of [
    ['gzip', 'gz'],
    ['xz', 'xz'],
    ['bzip2', 'bz2'],
  ] as const) {
    await must(program, ['-1', '-k', path]);
    expect((await resolved(`${path}.${suffix}`)).image.manifestDigest).toBe(image.manifestDigest);
  }
});

test('a white list keeps its files and all directories, wherever the manifest is', async () => {
  const only = manifest({ pathWhitelist: ['/bin/app', '/not/there'] });
  for (const entries of [
    [only, ...FILES],
    [...FILES, only],
  ]) {
    const { layer } = await resolved(written(entries));
    expect([...entriesIn(layer).keys()]).toEqual(['./', 'bin/', 'bin/app', 'var/data/']);
  }
});

test('a user that is a path is the owner of that file', async () => {
  const app = manifest({ app: { ...APP, user: '/bin/app', group: '/bin/app' } });
  for (const entries of [
    [app, ...FILES],
    [...FILES, app],
  ])
    expect((await resolved(written(entries))).image.config?.user).toBe('7:8');
  const gone = manifest({ app: { ...APP, user: '/gone' } });
  expect(await failure(written([gone, ...FILES]))).toMatchObject([
    'IMAGE_BAD_MANIFEST',
    { reason: 'its app names a file for the user or the group that it has not' },
  ]);
});

test('an image id is compared, whole or its first half', async () => {
  const path = written([manifest(), ...FILES]);
  const id = `sha512-${createHash('sha512').update(readFileSync(path)).digest('hex')}`;
  for (const given of [id, id.slice(0, 71)])
    expect((await resolved(path, given)).image.layers).toHaveLength(1);
  const other = `sha512-${'0'.repeat(128)}`;
  expect(await failure(path, other)).toEqual(['IMAGE_ACI_OTHER_ID', { path, expected: other, actual: id }]);
});

describe('an image is refused', () => {
  const bad = (reason: string) => ['IMAGE_BAD_ARCHIVE', { path: dir.at('image.aci'), reason }];

  test.each<[string, readonly EntrySpec[], string]>([
    ['without a manifest', FILES, 'it has no file called manifest'],
    ['with two', [manifest(), ...FILES, manifest()], 'it has two manifests'],
    ['whose manifest is a directory', [{ name: 'manifest/', type: '5' }], 'its manifest is no file'],
    [
      'whose rootfs is a link',
      [manifest(), { name: 'rootfs', type: '2', link: '/' }],
      'its rootfs is no directory',
    ],
    [
      'with other things',
      [manifest(), ...FILES, { name: 'etc/passwd', content: '' }],
      'it has other things beside manifest and rootfs',
    ],
    [
      'with a name that leaves it',
      [manifest(), { name: '../x', content: '' }],
      'it has other things beside manifest and rootfs',
    ],
    [
      'with a hard link out of it',
      [manifest(), { name: 'rootfs/x', type: '1', link: 'manifest' }],
      'a hard link leads out of its rootfs',
    ],
    [
      'with a huge manifest',
      [{ name: 'manifest', content: ' '.repeat(5 << 20) }],
      'its manifest has 5242880 bytes, more than the 4194304 allowed',
    ],
  ])('%s', async (_what, entries, reason) => {
    expect(await failure(written(entries))).toEqual(bad(reason));
  });

  test.each([
    [{ acKind: 'PodManifest' }, '/acKind must be equal to constant'],
    [{ acVersion: '1.0.0' }, 'its acVersion is none of 0.x'],
    [{ name: 'UPPER' }, 'its name is no identifier'],
    [{ labels: [{ name: 'name', value: 'x' }] }, 'it has a label twice, or one that is called name'],
    [{ app: { ...APP, user: undefined } }, "/app must have required property 'user'"],
    [{ app: { ...APP, workingDirectory: 'srv' } }, 'a path of its app does not start with a slash'],
  ])('whose manifest has %o', async (changes, reason) => {
    const [code, subject] = (await failure(written([manifest(changes), ...FILES]))) as [
      string,
      { reason: string },
    ];
    expect([code, subject.reason]).toEqual(['IMAGE_BAD_MANIFEST', reason]);
  });

  test('that lies on others, with their names', async () => {
    const dependencies = [{ imageName: 'example.com/base' }, { imageName: 'example.com/\u001b[2J' }];
    expect(await failure(written([manifest({ dependencies }), ...FILES]))).toEqual([
      'IMAGE_ACI_DEPENDS',
      { source: dir.at('image.aci'), names: 'example.com/base, example.com/\\u{1b}[2J' },
    ]);
  });

  test('for another operating system', async () => {
    const labels = [{ name: 'os', value: 'freebsd' }];
    expect(await failure(written([manifest({ labels }), ...FILES]))).toMatchObject(['IMAGE_NO_PLATFORM', {}]);
  });

  test('that is cut, or inflates without an end', async () => {
    const path = written([manifest(), ...FILES]);
    truncateSync(path, 1 << 20);
    expect(await failure(path)).toMatchObject(['LAYER_TRUNCATED', {}]);
    const zeros = tar([manifest(), { name: 'rootfs/zeros', content: Buffer.alloc(64 << 20) }]);
    writeFileSync(path, gzipSync(zeros));
    const from = new AciSource({
      reference: { kind: 'aci', path, id: undefined },
      file: new ArchiveFile(path, { programs: '/bin', budget: { ...DEFAULT_BUDGET, ratioFloor: 1 << 20 } }),
      platform: MACHINE,
      maxFileBytes: DEFAULT_BUDGET.tarBytes,
      log: silentLogger,
    });
    await expect(from.resolve(NEVER)).rejects.toMatchObject({ code: 'LAYER_TOO_LARGE' });
  });
});
