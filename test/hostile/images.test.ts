/** Manifests and configurations that lie about the layers they name. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { MAX_CONFIG_BYTES, MAX_MANIFEST_BYTES } from '../../lib/base/limits.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../lib/oci/media-types.ts';
import { checkImage } from '../../lib/plugin/preflight.ts';
import { type Json, LayoutBuilder } from '../support/images/layout-builder.ts';
import { tar } from '../support/images/tar-writer.ts';
import { codeOf, failureOf } from '../support/images/unpack.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { resolveLayout } from '../unit/image/source/support.ts';

let dir: TempDir;
let layout: LayoutBuilder;
beforeEach(() => {
  dir = tempDir();
  layout = new LayoutBuilder(dir.at('layout'));
});
afterEach(async () => {
  await dir.remove();
});

const LAYER = tar([{ name: 'a', content: 'x' }]);

describe('a layer whose declared size is', () => {
  for (const size of ['-1', '1.5', '"10"', '1e400', '9007199254740993', 'null', 'true', '[10]']) {
    test(`${size} is no layer`, async () => {
      const layer = layout.layer(LAYER);
      const image = layout.image([layer]);
      const text = JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: layout.config([layer.digest]),
        layers: [{ ...layer, size: 'HERE' }],
      }).replace('"HERE"', size);
      layout.write([layout.blob(OCI_MANIFEST, text)]);
      expect(image.size).toBeGreaterThan(0);
      expect(await codeOf(resolveLayout(layout.url()))).toBe('IMAGE_BAD_MANIFEST');
    });
  }

  test('not its size is found before a byte is read', async () => {
    const layer = layout.layer(LAYER);
    layout.write([layout.image([{ ...layer, size: layer.size + 1 }])]);
    const image = await resolveLayout(layout.url());
    expect(image.layers).toMatchObject([{ size: layer.size + 1 }]);
  });
});

describe('a digest that is', () => {
  const hex = 'a'.repeat(64);
  for (const digest of [
    `sha256:${hex.toUpperCase()}`,
    `sha256:${hex.slice(1)}`,
    `sha256:${hex}0`,
    `sha512:${hex}${hex}`,
    `md5:${hex.slice(32)}`,
    hex,
    `sha256:../../../../etc/passwd`,
    `sha256:${hex}/../x`,
    `sha256/${hex}`,
    '',
  ]) {
    test(`${JSON.stringify(digest.slice(0, 40))} is none`, async () => {
      const layer = { mediaType: OCI_LAYER, digest, size: 10 };
      layout.write([layout.image([layer])]);
      expect(await codeOf(resolveLayout(layout.url()))).toMatch(
        /^(BAD_DIGEST|IMAGE_BAD_MANIFEST|IMAGE_BAD_CONFIG)$/,
      );
    });
  }
});

describe('a document that is', () => {
  const manifest = (text: string) => layout.write([layout.blob(OCI_MANIFEST, text)]);
  const image = (more: Json = {}) => ({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: layout.config([]),
    layers: [],
    ...more,
  });

  test('larger than any manifest or configuration', async () => {
    manifest(JSON.stringify(image({ padding: 'x'.repeat(MAX_MANIFEST_BYTES) })));
    expect(await codeOf(resolveLayout(layout.url()))).toBe('IMAGE_SOURCE_UNREADABLE');
    const config = layout.json(OCI_CONFIG, {
      padding: 'x'.repeat(MAX_CONFIG_BYTES),
      rootfs: { type: 'layers', diff_ids: [] },
    });
    manifest(JSON.stringify(image({ config })));
    expect(await codeOf(resolveLayout(layout.url()))).toBe('IMAGE_BAD_MANIFEST');
  });

  test('10,000 levels deep', async () => {
    manifest(`${'['.repeat(10_000)}${']'.repeat(10_000)}`);
    expect(await codeOf(resolveLayout(layout.url()))).toBe('IMAGE_BAD_MANIFEST');
  });

  test('two in one, by a key that is there twice', async () => {
    const text = JSON.stringify(image());
    manifest(`${text.slice(0, -1)},"layers":[]}`);
    expect(await codeOf(resolveLayout(layout.url()))).toBe('IMAGE_BAD_MANIFEST');
  });

  test('a manifest with a prototype', async () => {
    manifest(`{"__proto__":{"layers":[]},${JSON.stringify(image()).slice(1)}`);
    expect(await codeOf(resolveLayout(layout.url()))).toBe('IMAGE_BAD_MANIFEST');
  });

  test('a manifest and an index at once', async () => {
    manifest(JSON.stringify(image({ manifests: [] })));
    expect(await codeOf(resolveLayout(layout.url()))).toBe('IMAGE_BAD_MANIFEST');
  });

  test('not what its digest says', async () => {
    const descriptor = layout.image([layout.layer(LAYER)]);
    writeFileSync(layout.blobPath(descriptor), JSON.stringify(image()).padEnd(descriptor.size));
    layout.write([descriptor]);
    expect(await codeOf(resolveLayout(layout.url()))).toBe('IMAGE_DIGEST_MISMATCH');
  });
});

describe('a configuration', () => {
  for (const [name, count] of [
    ['one diffID too few', 1],
    ['one diffID too many', 3],
    ['no diffID', 0],
  ] as const) {
    test(`with ${name}`, async () => {
      const layer = layout.layer(LAYER);
      const other = layout.layer(tar([{ name: 'b' }]));
      const config = layout.config(Array(count).fill(layer.digest));
      layout.write([layout.image([layer, other], { config })]);
      expect(await failureOf(resolveLayout(layout.url()))).toMatchObject({ code: 'IMAGE_BAD_CONFIG' });
    });
  }
});

describe('layers', () => {
  const layers = (count: number) => ({
    layers: Array.from({ length: count }, (_, i) => ({
      digest: `sha256:${String(i).padStart(64, '0')}`,
      diffId: undefined,
      size: 1,
    })),
  });
  test('up to 500 fit, 501 and 5,000 do not, and the same one counts once', () => {
    for (const count of [1, 127, 128, 499, 500])
      expect(() => checkImage(layers(count) as never, undefined)).not.toThrow();
    for (const count of [501, 5000]) {
      expect(() => checkImage(layers(count) as never, undefined)).toThrow(
        expect.objectContaining({ code: 'IMAGE_TOO_MANY_LAYERS', subject: { layers: count, limit: 500 } }),
      );
    }
    const same = { layers: Array(5000).fill(layers(1).layers[0]) };
    expect(() => checkImage(same as never, undefined)).not.toThrow();
  });
});
