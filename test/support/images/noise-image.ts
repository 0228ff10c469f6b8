/** Images of any size, in no time: each layer has one file that nothing can compress. */

import { sha256Hex } from '../../../lib/base/digest.ts';
import { OCI_CONFIG, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import { noise } from '../registries/fake-registry.ts';
import type { MadeImage } from './images.ts';
import { LayoutBuilder, named, type RawDescriptor } from './layout-builder.ts';

export interface NoiseImage extends MadeImage {
  readonly manifest: RawDescriptor;
  /** As stored, bottom first. */
  readonly layers: readonly RawDescriptor[];
}

const GZIP_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

/** @param sizes bytes of the file in each layer: `file-0`, `file-1` … */
export function makeNoiseImage(layout: string, tag: string, sizes: readonly number[]): NoiseImage {
  const builder = new LayoutBuilder(layout);
  const tars = sizes.map((size, at) => tarOf(`file-${at}`, noise(size, at + 1 + sizes.length)));
  const layers = tars.map((tar) => builder.blob(GZIP_LAYER, Bun.gzipSync(tar, { level: 1 })));
  const diffIds = tars.map((tar) => `sha256:${sha256Hex(tar)}`);
  const config = builder.json(OCI_CONFIG, {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: diffIds },
  });
  const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers };
  const manifest = builder.json(OCI_MANIFEST, document, named(tag));
  builder.write([manifest]);
  return { layout, tag, url: `oci://${layout}:${tag}`, name: `${layout}:${tag}`, manifest, layers };
}

/** A tar with the root directory and one regular file (POSIX ustar). */
export function tarOf(name: string, content: Uint8Array): Uint8Array<ArrayBuffer> {
  const padded = Math.ceil(content.length / 512) * 512;
  const tar = Buffer.alloc(2 * 512 + padded + 1024);
  header(tar.subarray(0, 512), './', 0o755, 0, '5');
  header(tar.subarray(512, 1024), name, 0o644, content.length, '0');
  tar.set(content, 1024);
  return tar;
}

function header(block: Buffer, name: string, mode: number, size: number, type: '0' | '5'): void {
  block.write(name, 0);
  block.write(`${mode.toString(8).padStart(7, '0')}\0`, 100);
  block.write('0000000\0', 108);
  block.write('0000000\0', 116);
  block.write(`${size.toString(8).padStart(11, '0')}\0`, 124);
  block.write('14000000000\0', 136);
  block.write('        ', 148);
  block.write(type, 156);
  block.write('ustar\x0000', 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
}
