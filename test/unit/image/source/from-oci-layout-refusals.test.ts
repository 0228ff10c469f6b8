import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, renameSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { MAX_MANIFEST_BYTES } from '../../../../lib/base/limits.ts';
import { OCI_LAYER, OCI_MANIFEST } from '../../../../lib/oci/media-types.ts';
import { forPlatform, LayoutBuilder, named } from '../../../support/images/layout-builder.ts';
import { must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';
import { digest, rejection } from '../../oci/support.ts';
import { resolveLayout } from './support.ts';

describe('a layout that is refused', () => {
  let dir: TempDir;
  let layout: LayoutBuilder;
  beforeEach(() => {
    dir = tempDir();
    layout = new LayoutBuilder(dir.at('layout'));
  });
  afterEach(() => dir.remove());

  const simple = (text = 'layer') => layout.image([layout.layer(text)]);

  describe('says that the source does not exist for', () => {
    test.each<[string, () => void]>([
      ['a missing directory', () => rmSync(dir.at('layout'), { recursive: true })],
      [
        'a file in its place',
        () => {
          rmSync(dir.at('layout'), { recursive: true });
          writeFileSync(dir.at('layout'), '');
        },
      ],
      ['a missing index.json', () => unlinkSync(dir.at('layout', 'index.json'))],
      [
        'a dangling index.json',
        () => {
          unlinkSync(dir.at('layout', 'index.json'));
          symlinkSync('nowhere', dir.at('layout', 'index.json'));
        },
      ],
      ['a missing manifest', () => unlinkSync(layout.blobPath({ digest: digestOfManifest() }))],
      [
        'a missing configuration',
        () =>
          unlinkSync(
            layout.blobPath(
              JSON.parse(readFileSync(layout.blobPath({ digest: digestOfManifest() }), 'utf8')).config,
            ),
          ),
      ],
      ['missing blobs', () => rmSync(dir.at('layout', 'blobs'), { recursive: true })],
    ])('%s', async (_what, damage) => {
      layout.write([simple()]);
      damage();
      await rejection('IMAGE_SOURCE_MISSING', resolveLayout(layout.url()));
    });

    function digestOfManifest(): string {
      return JSON.parse(readFileSync(dir.at('layout', 'index.json'), 'utf8')).manifests[0].digest;
    }
  });

  describe('refuses', () => {
    test('to choose', async () => {
      layout.write([
        { ...simple('a'), ...named('v1') },
        simple('b'),
        { ...simple('c'), ...named('v\u001b3') },
      ]);
      const subject = await rejection('IMAGE_AMBIGUOUS', resolveLayout(layout.url()));
      expect(subject).toEqual({ transport: 'oci', path: layout.directory, names: 'v1, @1, v\\u{1b}3' });
    });

    test('a name or position that is not there', async () => {
      layout.write([{ ...simple(), ...named('v1') }]);
      for (const ref of ['v2', 'V1', '@1', '@9999'])
        expect(await rejection('IMAGE_REF_MISSING', resolveLayout(layout.url(ref)))).toEqual({
          path: layout.directory,
          ref,
          names: 'v1',
        });
    });

    test('an index.json that names nothing, is an image, or is not JSON', async () => {
      layout.write([]);
      await rejection('IMAGE_BAD_MANIFEST', resolveLayout(layout.url()));
      expect((await rejection('IMAGE_REF_MISSING', resolveLayout(layout.url('v1')))).names).toBe('none');
      layout.writeIndex(readFileSync(layout.blobPath(simple())));
      await rejection('IMAGE_BAD_MANIFEST', resolveLayout(layout.url()));
      layout.writeIndex('not JSON');
      await rejection('IMAGE_BAD_MANIFEST', resolveLayout(layout.url()));
    });

    test('an index.json over 4 MiB, a FIFO or a directory in its place, without waiting', async () => {
      layout.writeIndex(Buffer.alloc(MAX_MANIFEST_BYTES + 1, ' '));
      expect((await rejection('IMAGE_SOURCE_UNREADABLE', resolveLayout(layout.url()))).reason).toContain(
        'bytes',
      );
      unlinkSync(dir.at('layout', 'index.json'));
      await must('mkfifo', [dir.at('layout', 'index.json')]);
      await rejection('IMAGE_SOURCE_UNREADABLE', resolveLayout(layout.url()));
      unlinkSync(dir.at('layout', 'index.json'));
      mkdirSync(dir.at('layout', 'index.json'));
      await rejection('IMAGE_SOURCE_UNREADABLE', resolveLayout(layout.url()));
    });

    test('an index without this platform, and an image of another system', async () => {
      layout.write([layout.index([{ ...simple(), ...forPlatform('linux/s390x') }])]);
      expect(await rejection('IMAGE_NO_PLATFORM', resolveLayout(layout.url()))).toEqual({
        source: layout.url(),
        wanted: 'linux/amd64',
        offered: 'linux/s390x',
      });
      layout.write([layout.image([], { config: layout.config([], { os: 'windows' }) })]);
      expect((await rejection('IMAGE_NO_PLATFORM', resolveLayout(layout.url()))).offered).toBe(
        'windows/amd64',
      );
    });

    test.each([0, 1, 3])('a configuration with %i diffIDs for 2 layers', async (count) => {
      const config = layout.config(Array.from({ length: count }, (_, at) => digest(at)));
      layout.write([layout.image([layout.layer('a'), layout.layer('b')], { config })]);
      expect((await rejection('IMAGE_BAD_CONFIG', resolveLayout(layout.url()))).reason).toContain(
        `${count} diffIDs`,
      );
    });

    test("a descriptor whose size is not the blob's", async () => {
      const image = simple();
      layout.write([{ ...image, size: image.size + 1 }]);
      await rejection('IMAGE_BAD_MANIFEST', resolveLayout(layout.url()));
      const config = layout.config([]);
      layout.write([layout.image([], { config: { ...config, size: 1 } })]);
      expect((await rejection('IMAGE_BAD_MANIFEST', resolveLayout(layout.url()))).reason).toContain(
        'declares 1 bytes',
      );
      layout.write([layout.image([], { config: { ...config, size: 0 } })]);
      await rejection('IMAGE_SIZES_INVENTED', resolveLayout(layout.url()));
    });

    test('an index entry that says image and is an index', async () => {
      const index = layout.json(OCI_MANIFEST, { schemaVersion: 2, manifests: [simple()] });
      layout.write([index]);
      await rejection('IMAGE_BAD_MANIFEST', resolveLayout(layout.url()));
    });

    test('encrypted, unknown and schema 1', async () => {
      layout.write([layout.image([layout.blob(`${OCI_LAYER}+gzip+encrypted`, 'x')])]);
      await rejection('IMAGE_ENCRYPTED', resolveLayout(layout.url()));
      layout.write([layout.image([layout.blob('application/vnd.example.disk', 'x')])]);
      expect(await rejection('IMAGE_UNSUPPORTED', resolveLayout(layout.url()))).toMatchObject({
        mediaType: 'application/vnd.example.disk',
      });
      const old = layout.json('application/vnd.docker.distribution.manifest.v1+prettyjws', {
        schemaVersion: 1,
        fsLayers: [],
      });
      layout.write([old]);
      await rejection('IMAGE_SCHEMA1', resolveLayout(layout.url()));
    });

    test('a digest that is a path', async () => {
      writeFileSync(dir.at('secret'), readFileSync(layout.blobPath(simple())));
      layout.write([{ ...simple(), digest: 'sha256:../../../secret' }]);
      await rejection('BAD_DIGEST', resolveLayout(layout.url()));
    });

    test('links in the place of blobs, unless nothing is validated', async () => {
      const image = simple();
      layout.write([image]);
      renameSync(layout.blobPath(image), dir.at('elsewhere'));
      layout.link(image.digest, '../../../elsewhere');
      expect((await rejection('IMAGE_SOURCE_UNREADABLE', resolveLayout(layout.url()))).reason).toBe(
        'it is a symbolic link',
      );
      expect((await resolveLayout(layout.url(), { skipLayerValidation: true })).layers.length).toBe(1);
    });
  });
});
