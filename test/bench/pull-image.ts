/**
 * An image of eight layers of 40 MB that gzip halves, as it does with real ones: programs, libraries, scripts and
 * data of this machine's /usr, mixed by their names' hashes, and a fifth that is packed already, as jars, wheels
 * and pictures are. Made once, kept in $GRAFT_FIXTURES (or /var/tmp/graft-bench).
 */
import { existsSync, lstatSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sha256Hex } from '../../lib/base/digest.ts';
import { OCI_CONFIG, OCI_MANIFEST } from '../../lib/oci/media-types.ts';
import type { MadeImage } from '../support/images/images.ts';
import { LayoutBuilder, named } from '../support/images/layout-builder.ts';
import { noise } from '../support/registries/fake-registry.ts';
import { must, sh } from '../support/shell.ts';

const LAYERS = 8;
const FILE_BYTES = 32_000_000;
const PACKED_BYTES = 8_000_000;
/** Larger files would make one layer unlike the others. */
const LARGEST_FILE = 4_000_000;
const GZIP_LAYER = 'application/vnd.oci.image.layer.v1.tar+gzip';

export async function pullImage(): Promise<MadeImage> {
  const home = process.env['GRAFT_FIXTURES'] ?? '/var/tmp/graft-bench';
  const layout = join(home, 'pull-image');
  if (!existsSync(layout)) {
    const work = `${layout}.work`;
    await sh('rm -rf "$1"', [work]);
    mkdirSync(work, { recursive: true });
    await build(work);
    await sh('mv "$1/layout" "$2"; rm -rf "$1"', [work, layout]);
  }
  return { layout, tag: 'large', url: `oci://${layout}:large`, name: `${layout}:large` };
}

async function build(work: string): Promise<void> {
  const builder = new LayoutBuilder(join(work, 'layout'));
  const layers = [];
  const diffIds = [];
  for (const [at, files] of (await choose()).entries()) {
    const tar = join(work, `${at}.tar`);
    writeFileSync(join(work, 'files'), withDirectories(files).join('\n'));
    // What is said after --files-from counts for later names only.
    const options = ['--no-recursion', '--numeric-owner', '--directory', '/'];
    await must('tar', [...options, '--create', '--file', tar, '--files-from', join(work, 'files')]);
    writeFileSync(join(work, `packed-${at}`), noise(PACKED_BYTES, at + 1));
    await must('tar', ['--numeric-owner', '--directory', work, '--append', '--file', tar, `packed-${at}`]);
    diffIds.push(`sha256:${sha256Hex(readFileSync(tar))}`);
    await must('gzip', ['-6', '--no-name', tar], { timeoutMs: 600_000 });
    layers.push(builder.blob(GZIP_LAYER, readFileSync(`${tar}.gz`)));
  }
  const rootfs = { type: 'layers', diff_ids: diffIds };
  const config = builder.json(OCI_CONFIG, { architecture: 'amd64', os: 'linux', rootfs });
  builder.write([
    builder.json(OCI_MANIFEST, { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }, named('large')),
  ]);
}

/** Every directory on the way but the root, before what is in it: builders write them all. */
function withDirectories(files: readonly string[]): string[] {
  const names = new Set<string>();
  for (const file of files) {
    const parts = file.split('/');
    for (let depth = 2; depth < parts.length; depth += 1) names.add(`${parts.slice(0, depth).join('/')}/`);
    names.add(file);
  }
  return [...names];
}

/** Names for each layer, relative to `/`. @throws Error on a machine too small to choose from */
async function choose(): Promise<string[][]> {
  const all = (
    await must('find', ['/usr', '-xdev', '-type', 'f', '-links', '1', '-size', '+0', '-print0'])
  ).split('\0');
  const usable = all.filter((name) => name !== '' && !name.includes('\n') && !name.includes('/graft'));
  const mixed = usable.map((name) => [sha256Hex(name), name] as const).sort();
  const layers: string[][] = [];
  let bytes = FILE_BYTES;
  for (const [, name] of mixed) {
    const { size } = lstatSync(name);
    if (size > LARGEST_FILE) continue;
    if (bytes >= FILE_BYTES) {
      if (layers.length === LAYERS) return layers;
      layers.push([]);
      bytes = 0;
    }
    layers.at(-1)?.push(`.${name}`);
    bytes += size;
  }
  throw new Error(`/usr has too few files for ${LAYERS} layers of ${FILE_BYTES} bytes`);
}
