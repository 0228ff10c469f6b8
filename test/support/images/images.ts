/** Real images, made without a network by umoci and skopeo from what the distribution has installed here. */
import { existsSync, mkdirSync, renameSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { must, sh } from '../shell.ts';
import { tempDir } from '../temp.ts';
import { baseSystem, EXTRAS } from './base-system.ts';

export interface MadeImage {
  /** Directory of the OCI layout. */
  readonly layout: string;
  readonly tag: string;
  /** How graft is given it: `oci:///dir:tag`. */
  readonly url: string;
  /** How umoci and skopeo are given it: `/dir:tag`. */
  readonly name: string;
}

function made(layout: string, tag: string): MadeImage {
  return { layout, tag, url: `oci://${layout}:${tag}`, name: `${layout}:${tag}` };
}

/** Appends the content of a directory to an image as one layer. */
async function addLayer(image: MadeImage, source: string): Promise<void> {
  await must('umoci', ['insert', '--image', image.name, `${source}/`, '/']);
}

async function emptyImage(layout: string, tag: string): Promise<MadeImage> {
  const image = made(layout, tag);
  if (!existsSync(layout)) await must('umoci', ['init', '--layout', layout]);
  await must('umoci', ['new', '--image', image.name]);
  return image;
}

/**
 * One layer: busybox with all its names, a passwd, a sticky /tmp. Its configuration has a command, a user and
 * a working directory.
 */
export async function makeBusyboxImage(layout: string, tag = 'busybox'): Promise<MadeImage> {
  await using work = tempDir();
  const image = await emptyImage(layout, tag);
  await sh(
    `chmod 0755 .; mkdir -p bin etc root home/app; mkdir -m 1777 tmp
     cp "$(command -v busybox)" bin/busybox
     for name in $(bin/busybox --list); do [ "$name" = busybox ] || ln -s busybox "bin/$name"; done
     printf 'root:x:0:0:root:/root:/bin/sh\\napp:x:1000:1000::/home/app:/bin/sh\\n' > etc/passwd
     printf 'root:x:0:\\napp:x:1000:\\n' > etc/group
     chown 1000:1000 home/app; touch -hd @1700000000 $(find .)`,
    [],
    { cwd: work.path },
  );
  await addLayer(image, work.path);
  const config = [
    '--config.env',
    'PATH=/bin',
    '--config.env',
    'GREETING=hello',
    '--config.user',
    '1000:1000',
  ];
  const command = ['--config.cmd', '/bin/sh', '--config.workingdir', '/home/app'];
  await must('umoci', ['config', '--image', image.name, ...config, ...command]);
  return image;
}

/** An image of these directories, one layer each, the first at the bottom. */
export async function makeImage(layout: string, tag: string, layers: readonly string[]): Promise<MadeImage> {
  const image = await emptyImage(layout, tag);
  for (const layer of layers) await addLayer(image, layer);
  return image;
}

/**
 * Two images of a real base system (about 75 MB, the packages of this machine that the distribution calls
 * required): `base` with one layer, and `changed` with a second one that deletes and replaces. Made once, so
 * treat them as read-only: `ci/test` keeps them for its run, a test run by hand finds those of the last one.
 */
export async function baseSystemImages(): Promise<{ base: MadeImage; changed: MadeImage }> {
  const fixtures = process.env['GRAFT_FIXTURES'] ?? join(tmpdir(), 'graft-fixtures');
  const recipe = Bun.hash(CHANGES + EXTRAS).toString(16);
  const layout = join(fixtures, `base-system-${recipe}`);
  if (!existsSync(layout)) {
    mkdirSync(fixtures, { recursive: true });
    await using work = tempDir(fixtures);
    await makeBaseSystem(work.path);
    publish(work.at('layout'), layout);
  }
  return { base: made(layout, 'base'), changed: made(layout, 'changed') };
}

/** Another test process may have been quicker; what it made is as good. */
function publish(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if (!existsSync(to)) throw error;
  }
}

async function makeBaseSystem(work: string): Promise<void> {
  const rootfs = join(work, 'rootfs');
  await baseSystem(rootfs, ['required']);
  const base = await makeImage(join(work, 'layout'), 'base', [rootfs]);
  const bundle = join(work, 'bundle');
  await must('umoci', ['unpack', '--image', base.name, bundle]);
  await sh(CHANGES, [], { cwd: join(bundle, 'rootfs') });
  await must('umoci', ['repack', '--image', `${base.layout}:changed`, bundle]);
  await sh('rm -rf "$1" "$2"', [rootfs, bundle]);
}

/** Everything a second layer can do to a first: delete, replace by the same and by another type, change in part. */
const CHANGES = `
rm -rf usr/share/doc
rm usr/bin/perl* etc/debian_version
printf 'replaced\\n' > etc/hostname
rm -rf usr/share/locale; ln -s nowhere usr/share/locale
rm etc/issue; mkdir -p etc/issue/d; echo now-a-directory > etc/issue/d/f
rm -rf var/lib/dpkg; echo now-a-file > var/lib/dpkg
chmod 0711 root; chown 7:8 srv; chmod 2775 srv
mkdir -p opt/new/deep; ln etc/hostname opt/new/linked; ln -s ../../etc opt/new/etc
rm -rf usr/lib/init; mkdir -p usr/lib/init; echo fresh > usr/lib/init/only
touch -d '2001-02-03 04:05:06.789012345 UTC' opt/new/linked`;

/** The same image with layers compressed by zstd, in a layout of its own: its trees must be the same. */
export async function zstdTwin(image: MadeImage, layout: string): Promise<MadeImage> {
  const twin = made(layout, image.tag);
  const format = ['--dest-compress-format', 'zstd'];
  await must('skopeo', ['copy', '-q', ...format, `oci:${image.name}`, `oci:${twin.name}`]);
  return twin;
}

/** The rootfs that umoci unpacks from an image into `<bundle>/rootfs`: the second opinion on every tree. */
export async function umociRootfs(image: Pick<MadeImage, 'name'>, bundle: string): Promise<string> {
  await must('umoci', ['unpack', '--image', image.name, bundle], { timeoutMs: 300_000 });
  return join(bundle, 'rootfs');
}
