/** OCI layouts in archives: the same source as for directories, and archives that lack what they name. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { PluginError } from '../../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../../lib/base/log.ts';
import { DEFAULT_BUDGET } from '../../../../lib/image/pull/budget.ts';
import { ArchiveFile } from '../../../../lib/image/source/archive-file.ts';
import { OciLayoutSource } from '../../../../lib/image/source/from-oci-layout.ts';
import { LayoutArchive } from '../../../../lib/image/source/layout-archive.ts';
import { imageSourceSuite } from '../../../suites/image-source.suite.ts';
import { LayoutBuilder, named } from '../../../support/images/layout-builder.ts';
import { NO_URLS } from '../../../support/images/no-urls.ts';
import { tar } from '../../../support/images/tar-writer.ts';
import { must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';

const NEVER = new AbortController().signal;

function source(path: string, ref?: string): OciLayoutSource {
  return new OciLayoutSource({
    place: { transport: 'oci-archive', path, ref },
    files: new LayoutArchive(new ArchiveFile(path, { programs: '/usr/bin:/bin', budget: DEFAULT_BUDGET })),
    platform: { os: 'linux', architecture: 'amd64', variant: undefined },
    skipLayerValidation: false,
    remote: NO_URLS,
    log: silentLogger,
  });
}

const BLOBS = ['bottom', 'x'.repeat(9 << 20), 'top'].map((text) => Buffer.from(text));

/** Writes a layout with two images, of one name each, and packs it. */
async function packed(dir: TempDir): Promise<string> {
  const layout = new LayoutBuilder(dir.at('layout'));
  const image = layout.image(BLOBS.map((blob) => layout.layer(blob)));
  layout.write([
    { ...image, ...named('v1') },
    { ...layout.image([layout.layer('other')]), ...named('v2') },
  ]);
  await must('tar', ['-C', dir.at('layout'), '-cf', dir.at('image.tar'), '.']);
  return dir.at('image.tar');
}

for (const [name, pack] of [
  ['an archive of a layout', (bytes: Buffer) => bytes],
  ['an archive of a layout in gzip', (bytes: Buffer) => gzipSync(bytes)],
] as const)
  imageSourceSuite(name, async () => {
    const dir = tempDir();
    const path = await packed(dir);
    writeFileSync(path, pack(readFileSync(path)));
    return {
      create: () => source(path, 'v1'),
      createMissing: () => source(path, 'v3'),
      blobs: BLOBS,
      dispose: () => dir.remove(),
    };
  });

describe('an archive of a layout', () => {
  let dir: TempDir;
  beforeEach(() => {
    dir = tempDir();
  });
  afterEach(() => dir.remove());

  async function failure(path: string, ref?: string): Promise<unknown> {
    const from = source(path, ref);
    try {
      return await from.resolve(NEVER);
    } catch (error) {
      if (error instanceof PluginError) return [error.code, error.subject];
      throw error;
    } finally {
      await from.close();
    }
  }

  test('with several images needs a name, and says how it is written', async () => {
    const path = await packed(dir);
    expect(await failure(path)).toEqual([
      'IMAGE_AMBIGUOUS',
      { transport: 'oci-archive', path, names: 'v1, v2' },
    ]);
    expect(await failure(path, 'v3')).toEqual(['IMAGE_REF_MISSING', { path, ref: 'v3', names: 'v1, v2' }]);
  });

  test('that lacks its index or a blob is refused', async () => {
    const path = dir.at('image.tar');
    const bad = (reason: string) => ['IMAGE_BAD_ARCHIVE', { path, reason }];
    writeFileSync(path, tar([{ name: 'oci-layout', content: '{}' }]));
    expect(await failure(path)).toEqual(bad('it lacks index.json'));
    await packed(dir);
    const layout = new LayoutBuilder(dir.at('layout'));
    const lost = layout.image([layout.layer('lost')]);
    const index = JSON.stringify({ schemaVersion: 2, manifests: [lost] });
    writeFileSync(path, tar([{ name: 'index.json', content: index }]));
    expect(await failure(path)).toEqual(bad(`it lacks blobs/sha256/${lost.digest.slice('sha256:'.length)}`));
  });

  test('that changes after it was resolved gives no bytes', async () => {
    const path = await packed(dir);
    const from = source(path, 'v1');
    const [layer] = (await from.resolve(NEVER)).layers;
    if (layer === undefined) throw new Error('no layer');
    appendFileSync(path, 'x');
    await expect(from.open(layer, NEVER)).rejects.toMatchObject({ code: 'IMAGE_SOURCE_CHANGED' });
    await from.close();
  });
});
