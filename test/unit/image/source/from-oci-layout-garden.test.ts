import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../../../lib/oci/media-types.ts';
import { LayoutBuilder } from '../../../support/images/layout-builder.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';
import { digest, rejection } from '../../oci/support.ts';
import { bytesOf, layerAt, layoutSource, NEVER, resolveLayout } from './support.ts';

describe('a layout of Garden', () => {
  let dir: TempDir;
  let layout: LayoutBuilder;
  beforeEach(() => {
    dir = tempDir();
    layout = new LayoutBuilder(dir.at('layout'));
  });
  afterEach(() => dir.remove());

  describe('reads what Garden writes for preloaded+layer', () => {
    /** No oci-layout file, sizes of 0, digests of names instead of contents, the stack behind a link. */
    function garden(): { stack: string; base: string; droplet: string } {
      const stack = dir.at('rootfs.tar');
      writeFileSync(stack, 'a whole stack');
      const base = digest(`${stack}-1700000000000000000`);
      const droplet = digest('droplet');
      const blob = (mediaType: string, document: Record<string, unknown>) => ({
        ...layout.json(mediaType, document),
        size: 0,
      });
      const config = blob(OCI_CONFIG, {
        architecture: 'amd64',
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: [base, droplet] },
      });
      const layers = [
        { mediaType: OCI_LAYER, digest: base, size: 0 },
        {
          mediaType: `${OCI_LAYER}+gzip`,
          digest: droplet,
          size: 0,
          urls: ['https://cc.internal/droplet?a=1&b=2'],
          annotations: { 'org.cloudfoundry.experimental.image.base-directory': '/home/vcap' },
        },
      ];
      layout.link(base, stack);
      layout.writeIndex(
        JSON.stringify({
          schemaVersion: 2,
          manifests: [blob(OCI_MANIFEST, { schemaVersion: 2, config, layers })],
        }).replaceAll('&', '\\u0026'),
      );
      return { stack, base, droplet };
    }

    test('with validation off', async () => {
      const { base, droplet } = garden();
      const source = layoutSource(`oci:/${layout.directory}`, { skipLayerValidation: true });
      const image = await source.resolve(NEVER);
      expect(image.layers as unknown).toMatchObject([
        { digest: base, diffId: base, size: undefined, compression: 'none', kind: 'unvalidated', urls: [] },
        {
          digest: droplet,
          diffId: droplet,
          size: undefined,
          compression: 'gzip',
          kind: 'unvalidated',
          baseDirectory: '/home/vcap',
          urls: ['https://cc.internal/droplet?a=1&b=2'],
        },
      ]);
      expect((await bytesOf(source, layerAt(image, 0))).toString()).toBe('a whole stack');
      await source.close();
    });

    test('and refuses it with validation on', async () => {
      garden();
      expect(await rejection('IMAGE_SIZES_INVENTED', resolveLayout(layout.url()))).toEqual({
        source: layout.url(),
      });
    });
  });
});
