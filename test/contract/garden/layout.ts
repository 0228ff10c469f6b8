import { mkdirSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { sha256Hex } from '../../../lib/base/digest.ts';

/**
 * Writes the OCI layout that Garden makes of a `preloaded+layer:` URI (guardian, imageplugin/oci_image_spec_creator.go):
 * no `oci-layout` file, all sizes 0, the base layer a symbolic link under a digest of its path and time, the
 * droplet a layer with `urls` whose digest is that of the compressed file and stands for its diffID too.
 * @returns the image argument of create
 */
export function writeGardenLayout(
  directory: string,
  baseTar: string,
  droplet: { readonly url: string; readonly sha256: string; readonly path: string },
): string {
  const blobs = `${directory}/blobs/sha256`;
  mkdirSync(blobs, { recursive: true, mode: 0o755 });
  const base = sha256Hex(`${baseTar}-${statSync(baseTar, { bigint: true }).mtimeNs}`);
  symlinkSync(baseTar, `${blobs}/${base}`);
  const write = (value: unknown) => {
    const text = JSON.stringify(value).replaceAll('&', '\\u0026');
    const digest = sha256Hex(text);
    writeFileSync(`${blobs}/${digest}`, text, { mode: 0o600 });
    return `sha256:${digest}`;
  };
  const config = write({
    created: '0001-01-01T00:00:00Z',
    architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: [`sha256:${base}`, `sha256:${droplet.sha256}`] },
  });
  const manifest = write({
    schemaVersion: 2,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', digest: config, size: 0 },
    layers: [
      { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest: `sha256:${base}`, size: 0 },
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        digest: `sha256:${droplet.sha256}`,
        size: 0,
        urls: [droplet.url],
        annotations: { 'org.cloudfoundry.experimental.image.base-directory': droplet.path },
      },
    ],
  });
  const descriptor = { mediaType: 'application/vnd.oci.image.manifest.v1+json', digest: manifest, size: 0 };
  writeFileSync(`${directory}/index.json`, JSON.stringify({ schemaVersion: 2, manifests: [descriptor] }), {
    mode: 0o600,
  });
  return `oci://${directory}`;
}
