/**
 * An image of about 1 GB in three layers as people have them: a base system, a toolchain that deletes and replaces
 * parts of it, and a node_modules tree of more than 40,000 files. Made once, from packages of the distribution
 * and of npm, and kept in $GRAFT_FIXTURES (or /var/tmp/graft-bench).
 */
import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { baseSystem } from '../support/images/base-system.ts';
import type { MadeImage } from '../support/images/images.ts';
import { must, sh } from '../support/shell.ts';

const MINUTES = 60_000;
const TOOLCHAIN =
  'gcc-12 g++-12 cpp-12 libstdc++-12-dev libc6-dev golang-1.19-go golang-1.19-src clang-14 libllvm14';
const NODE_MODULES =
  '@mui/icons-material@5.15.0 typescript@5.3.3 webpack@5.89.0 @babel/preset-env@7.23.6 next@14.0.4 date-fns@3.0.6 rxjs@7.8.1';

export async function largeImage(): Promise<MadeImage> {
  const home = process.env['GRAFT_FIXTURES'] ?? '/var/tmp/graft-bench';
  const layout = join(home, 'large-image');
  if (!existsSync(layout)) {
    const work = `${layout}.work`;
    await sh('rm -rf "$1"', [work]);
    mkdirSync(work, { recursive: true });
    await build(work);
    await sh('mv "$1/layout" "$2"; rm -rf "$1"', [work, layout]);
  }
  return { layout, tag: 'large', url: `oci://${layout}:large`, name: `${layout}:large` };
}

/** Every layer by `umoci repack`: what `umoci insert` writes lacks the end of the archive, and GNU tar refuses it. */
async function build(work: string): Promise<void> {
  const long = { timeoutMs: 20 * MINUTES, cwd: work };
  const name = (tag: string) => `${join(work, 'layout')}:${tag}`;
  await sh(
    'umoci init --layout layout; umoci new --image layout:empty; umoci unpack --image layout:empty image',
    [],
    long,
  );
  const rootfs = join(work, 'image/rootfs');
  const pack = async (tag: string) =>
    must('umoci', ['repack', '--refresh-bundle', '--image', name(tag), 'image'], long);
  await baseSystem(rootfs, ['required', 'important', 'standard']);
  await pack('base');
  await sh(
    `mkdir debs; cd debs; apt-get download -qq ${TOOLCHAIN}; for deb in *.deb; do dpkg-deb -x "$deb" "$1"; done
     cd "$1"; rm -rf usr/share/doc usr/share/man usr/share/locale; echo toolchain > etc/hostname`,
    [rootfs],
    long,
  );
  await pack('tools');
  await sh(
    `mkdir -p "$1/srv/app"; cd "$1/srv/app"; npm init -y >/dev/null
     npm install --no-audit --no-fund --ignore-scripts --legacy-peer-deps ${NODE_MODULES}`,
    [rootfs],
    long,
  );
  await pack('large');
}

/** Paths of the layers' blobs, bottom first. */
export function layerBlobs(image: MadeImage): string[] {
  const read = (digest: string) =>
    JSON.parse(readFileSync(blobPath(image, digest), 'utf8')) as Record<string, never>;
  const index = JSON.parse(readFileSync(join(image.layout, 'index.json'), 'utf8')) as {
    manifests: { digest: string; annotations: Record<string, string> }[];
  };
  const entry = index.manifests.find(
    ({ annotations }) => annotations['org.opencontainers.image.ref.name'] === image.tag,
  );
  if (entry === undefined) throw new Error(`${image.name} is not there`);
  const { layers } = read(entry.digest) as unknown as { layers: { digest: string }[] };
  return layers.map(({ digest }) => blobPath(image, digest));
}

function blobPath(image: MadeImage, digest: string): string {
  return join(image.layout, 'blobs/sha256', digest.replace('sha256:', ''));
}
