import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { OCI_LAYER, OCI_MANIFEST } from '../../../../lib/oci/media-types.ts';
import { imageSourceSuite } from '../../../suites/image-source.suite.ts';
import { forPlatform, LayoutBuilder, named } from '../../../support/images/layout-builder.ts';
import { must } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';
import { digest, recordingLog, rejection } from '../../oci/support.ts';
import { layerAt, layoutSource, NEVER, resolveLayout } from './support.ts';

imageSourceSuite('OciLayoutSource', async () => {
  const dir = tempDir();
  const layout = new LayoutBuilder(dir.at('layout'));
  const blobs = ['bottom', 'x'.repeat(1 << 20), 'top'].map((text) => Buffer.from(text));
  const image = layout.image(blobs.map((blob) => layout.layer(blob)));
  layout.write([{ ...image, ...named('v1') }]);
  return {
    create: () => layoutSource(layout.url('v1')),
    createMissing: () => layoutSource(layout.url('v2')),
    blobs,
    dispose: () => dir.remove(),
  };
});

describe('OciLayoutSource', () => {
  let dir: TempDir;
  let layout: LayoutBuilder;
  beforeEach(() => {
    dir = tempDir();
    layout = new LayoutBuilder(dir.at('layout'));
  });
  afterEach(() => dir.remove());

  const simple = (text = 'layer') => layout.image([layout.layer(text)]);

  describe('finds', () => {
    test('the only image, named or not', async () => {
      layout.write([{ ...simple(), ...named('v1') }]);
      for (const url of [layout.url(), layout.url('v1'), layout.url('@0')])
        expect((await resolveLayout(url)).layers.length).toBe(1);
    });

    test('the only image beside what buildx attests about it', async () => {
      const attestation = layout.image([layout.blob('application/vnd.in-toto+json', '{}')]);
      const image = simple();
      layout.write([{ ...attestation, ...forPlatform('unknown/unknown') }, image]);
      expect((await resolveLayout(layout.url())).manifestDigest as string).toBe(image.digest);
    });

    test('the image of an index as buildx writes it', async () => {
      const amd64 = layout.image([layout.layer('amd64')], {}, forPlatform('linux/amd64'));
      const arm64 = layout.image([layout.layer('arm64')], {}, forPlatform('linux/arm64'));
      const attest = (subject: string) =>
        layout.json(
          OCI_MANIFEST,
          {
            schemaVersion: 2,
            mediaType: OCI_MANIFEST,
            config: layout.config([digest(subject)], { architecture: 'unknown', os: 'unknown' }),
            layers: [layout.blob('application/vnd.in-toto+json', subject)],
          },
          {
            ...forPlatform('unknown/unknown'),
            annotations: {
              'vnd.docker.reference.digest': subject,
              'vnd.docker.reference.type': 'attestation-manifest',
            },
          },
        );
      const index = layout.index([attest(arm64.digest), arm64, attest(amd64.digest), amd64]);
      layout.write([{ ...index, ...named('latest') }]);
      const image = await resolveLayout(layout.url('latest'));
      expect(image.manifestDigest as string).toBe(amd64.digest);
    });

    test('of two entries with one name the one for this machine', async () => {
      const arm = layout.image([layout.layer('arm64')], {}, forPlatform('linux/arm64'));
      const amd = layout.image([layout.layer('amd64')], {}, forPlatform('linux/amd64'));
      layout.write([
        { ...arm, ...named('v1') },
        { ...amd, ...named('v1') },
      ]);
      expect((await resolveLayout(layout.url('v1'))).manifestDigest as string).toBe(amd.digest);
    });

    test('a directory with blanks, percents and colons in its name', async () => {
      const odd = new LayoutBuilder(dir.at('a b%20c:d#e'));
      odd.write([odd.image([odd.layer('x')])]);
      const url = `oci://${dir.path}/a%20b%2520c%3Ad%23e`;
      expect((await resolveLayout(url)).layers.length).toBe(1);
      expect((await resolveLayout(url)).name).toBe(url);
    });

    test('a layout through links, as BOSH packages are', async () => {
      layout.write([simple()]);
      symlinkSync('layout', dir.at('package'));
      expect((await resolveLayout(`oci://${dir.path}/package`)).layers.length).toBe(1);
    });

    test('an image without layers, and one without an oci-layout file', async () => {
      layout.write([layout.image([])]);
      unlinkSync(dir.at('layout', 'oci-layout'));
      expect((await resolveLayout(layout.url())).layers).toEqual([]);
    });
  });

  describe('keeps', () => {
    test('types, sizes, base directories and urls of layers, in order', async () => {
      const annotations = { 'org.cloudfoundry.experimental.image.base-directory': '/home/vcap/app' };
      const gzip = layout.blob(`${OCI_LAYER}+gzip`, 'b', { annotations });
      const zstd = layout.blob(`${OCI_LAYER}+zstd`, 'cc', { urls: ['https://blobs.example/cc'] });
      const config = layout.config([digest(1), digest(2), digest(3)]);
      layout.write([layout.image([layout.layer('aaa'), gzip, zstd], { config })]);
      const common = { kind: 'blob' };
      expect((await resolveLayout(layout.url())).layers as unknown).toEqual([
        {
          ...common,
          digest: digest('aaa'),
          diffId: digest(1),
          size: 3,
          mediaType: OCI_LAYER,
          compression: 'none',
          baseDirectory: undefined,
          urls: [],
        },
        {
          ...common,
          digest: digest('b'),
          diffId: digest(2),
          size: 1,
          mediaType: `${OCI_LAYER}+gzip`,
          compression: 'gzip',
          baseDirectory: '/home/vcap/app',
          urls: [],
        },
        {
          ...common,
          digest: digest('cc'),
          diffId: digest(3),
          size: 2,
          mediaType: `${OCI_LAYER}+zstd`,
          compression: 'zstd',
          baseDirectory: undefined,
          urls: ['https://blobs.example/cc'],
        },
      ]);
    });
  });

  describe('open', () => {
    async function openOnly(settings = {}): Promise<unknown> {
      const source = layoutSource(layout.url(), settings);
      const image = await source.resolve(NEVER);
      return source.open(layerAt(image, 0), NEVER).finally(() => source.close());
    }

    test('refuses a blob of another size', async () => {
      const layer = layout.layer('layer');
      layout.write([layout.image([layer])]);
      writeFileSync(layout.blobPath(layer), 'layer, longer');
      expect(await rejection('LAYER_SIZE_MISMATCH', openOnly())).toEqual({
        expected: 5,
        actual: 13,
        when: 'reported',
      });
      expect(await openOnly({ skipLayerValidation: true })).toMatchObject({ size: 13 });
    });

    test.each<[string, (path: string) => unknown, string]>([
      ['a missing blob', () => undefined, 'no such file or directory'],
      ['a directory', (path) => mkdirSync(path), 'is a directory'],
      ['a FIFO', (path) => must('mkfifo', [path]), 'it is a device or a pipe, not a regular file'],
      ['a link', (path) => symlinkSync('/etc/shadow', path), 'it is a symbolic link'],
    ])('refuses %s', async (_what, replace, reason) => {
      const layer = layout.layer('layer');
      layout.write([layout.image([layer])]);
      unlinkSync(layout.blobPath(layer));
      await replace(layout.blobPath(layer));
      expect(await rejection('IMAGE_SOURCE_UNREADABLE', openOnly())).toEqual({
        path: layout.blobPath(layer),
        reason,
      });
    });
  });

  test('logs what it drops, under the name without credentials', async () => {
    const log = recordingLog();
    const config = layout.config([], { architecture: 'arm64', config: { Env: ['BROKEN'] } });
    layout.write([layout.image([], { config })]);
    expect((await resolveLayout(layout.url(), { log })).config?.env).toEqual([]);
    expect(log.events.map(({ event }) => event)).toEqual(['image-env-dropped', 'image-architecture-differs']);
  });
});
