import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { createHash } from 'node:crypto';
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { sha256Hex } from '../../../../lib/base/digest.ts';
import { blobOfLayer, compressionOfLayer } from '../../../../lib/image/source/image-layer.ts';
import { OCI_MANIFEST } from '../../../../lib/oci/media-types.ts';
import { type MadeImage, makeBusyboxImage, makeImage, zstdTwin } from '../../../support/images/images.ts';
import { forPlatform, LayoutBuilder } from '../../../support/images/layout-builder.ts';
import { must, sh } from '../../../support/shell.ts';
import { type TempDir, tempDir } from '../../../support/temp.ts';
import { rejection } from '../../oci/support.ts';
import { bytesOf, layoutSource, NEVER, resolveLayout } from './support.ts';

describe('a layout made by umoci and skopeo', () => {
  let dir: TempDir;
  let image: MadeImage;
  beforeAll(async () => {
    dir = tempDir();
    image = await makeBusyboxImage(dir.at('umoci'), '1.36');
    await sh('mkdir -p "$1/etc" && echo second > "$1/etc/second"', [dir.at('second')]);
    await must('umoci', ['insert', '--image', image.name, dir.at('second', 'etc'), '/etc']);
  });
  afterAll(() => dir.remove());

  async function contents(url: string): Promise<string[]> {
    const source = layoutSource(url);
    try {
      const resolved = await source.resolve(NEVER);
      const layers = await Promise.all(resolved.layers.map((layer) => bytesOf(source, layer)));
      return resolved.layers.map((layer, at) => {
        const blob = layers[at] ?? Buffer.alloc(0);
        const tar =
          compressionOfLayer(layer) === 'zstd'
            ? Bun.zstdDecompressSync(blob)
            : Bun.gunzipSync(new Uint8Array(blob));
        expect(`sha256:${sha256Hex(tar)}`).toBe(blobOfLayer(layer)?.diffId as string);
        return `sha256:${sha256Hex(tar)}`;
      });
    } finally {
      await source.close();
    }
  }

  test('is read as it was made', async () => {
    const resolved = await resolveLayout(image.url);
    expect(resolved).toMatchObject({
      name: image.url,
      config: {
        os: 'linux',
        env: ['PATH=/bin', 'GREETING=hello'],
        cmd: ['/bin/sh'],
        entrypoint: [],
        user: '1000:1000',
        workingDir: '/home/app',
      },
    });
    expect(resolved.layers.map(compressionOfLayer)).toEqual(['gzip', 'gzip']);
    const [manifest] = JSON.parse(readFileSync(dir.at('umoci', 'index.json'), 'utf8')).manifests;
    expect(resolved.manifestDigest).toBe(manifest.digest);
    expect((await contents(image.url)).length).toBe(2);
  });

  test('is the same image as zstd, as Docker manifest, and under several names', async () => {
    const plain = await contents(image.url);
    const zstd = await zstdTwin(image, dir.at('zstd'));
    expect((await resolveLayout(zstd.url)).layers.map(compressionOfLayer)).toEqual(['zstd', 'zstd']);
    expect(await contents(zstd.url)).toEqual(plain);
    // No layout holds Docker's manifests when skopeo writes it; its `dir:` form does, and the blobs are the same.
    await must('skopeo', ['copy', '-q', '--format', 'v2s2', `oci:${image.name}`, `dir:${dir.at('docker')}`]);
    const docker = new LayoutBuilder(dir.at('docker-layout'));
    const text = readFileSync(dir.at('docker', 'manifest.json'), 'utf8');
    const manifest = JSON.parse(text);
    for (const { digest: of } of [manifest.config, ...manifest.layers])
      docker.blob('', readFileSync(dir.at('docker', of.slice(7))));
    docker.write([docker.blob(manifest.mediaType, text)]);
    expect(manifest.mediaType).toBe('application/vnd.docker.distribution.manifest.v2+json');
    expect(await contents(docker.url())).toEqual(plain);
    await must('umoci', ['tag', '--image', image.name, 'other']);
    expect(await contents(`oci://${image.layout}:other`)).toEqual(plain);
    expect(
      (await rejection('IMAGE_AMBIGUOUS', resolveLayout(`oci://${image.layout}`))).names.split(', ').sort(),
    ).toEqual(['1.36', 'other']);
    expect(await contents(`oci://${image.layout}:@1`)).toEqual(plain);
  });

  test('is refused with one bit flipped in its manifest or configuration', async () => {
    const copy = dir.at('flipped');
    const { manifestDigest } = await resolveLayout(image.url);
    const manifest = JSON.parse(readFileSync(blobOf(image.layout, manifestDigest ?? ''), 'utf8'));
    for (const victim of [manifestDigest ?? '', manifest.config.digest as string]) {
      rmSync(copy, { recursive: true, force: true });
      await must('cp', ['-r', image.layout, copy]);
      const bytes = readFileSync(blobOf(copy, victim));
      const at = Math.floor(bytes.length / 2);
      bytes[at] = (bytes[at] ?? 0) ^ 1;
      writeFileSync(blobOf(copy, victim), bytes);
      const actual = `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
      expect(await rejection('IMAGE_DIGEST_MISMATCH', resolveLayout(`oci://${copy}:1.36`))).toEqual({
        expected: victim,
        actual,
      });
    }
  });

  test('has another platform beside it', async () => {
    const both = new LayoutBuilder(dir.at('both'));
    await must('cp', ['-r', `${image.layout}/blobs`, dir.at('both')]);
    await makeImage(dir.at('arm'), 'arm', [dir.at('second')]);
    const ours = (await resolveLayout(image.url)).manifestDigest ?? '';
    const size = statSync(blobOf(image.layout, ours)).size;
    const entry = { mediaType: OCI_MANIFEST, digest: ours, size, ...forPlatform('linux/amd64') };
    const other = both.image([both.layer('arm')], {}, forPlatform('linux/arm64'));
    both.write([both.index([other, entry])]);
    expect((await resolveLayout(both.url())).manifestDigest as string).toBe(ours);
  });
});

function blobOf(layout: string, of: string): string {
  return `${layout}/blobs/sha256/${of.slice(7)}`;
}
