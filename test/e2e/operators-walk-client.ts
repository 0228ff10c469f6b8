/** What an operator of CernVM-FS brings to the walk: the client's packages, and a repository with an image's layers. */
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cell } from '../bosh/cell.ts';
import { layerDirectory, setMagic } from '../support/cvmfs/server.ts';
import type { MadeImage } from '../support/images/images.ts';
import { sh } from '../support/shell.ts';
import { tempDir } from '../support/temp.ts';

/** Garden's root, which CVMFS_UID_MAP makes of root. */
export const MAXIMUS = 4294967294;

/** squashfuse behind cvmfs2's command line: the same configuration files, and a file URL of a squashfs image as server. */
const CVMFS2 = `#!/bin/bash
set -euo pipefail
[ "\${1-}" != --version ] || { echo 'CernVM-FS version 2.12.7'; exit 0; }
config=\${2#config=} config=\${config%%,*} CVMFS_FQRN=$3
IFS=:
for file in $config; do source "$file"; done
unset IFS
image=\${CVMFS_SERVER_URL#file://} image=\${image/@fqrn@/$CVMFS_FQRN}
[ -z "\${CVMFS_UID_MAP-}" ] || image=$image.mapped
exec squashfuse_ll -o allow_other,ro,nodev,nosuid,fsname=cvmfs2 "$image" "$4"
`;
const FILES: Readonly<Record<string, readonly [path: string, text: string]>> = {
  cvmfs: ['usr/bin/cvmfs2', CVMFS2],
  'cvmfs-fuse3': ['usr/lib/libcvmfs_fuse3.so', ''],
  // Not libfuse3.so.3: squashfuse would load it.
  'libfuse3-3': ['usr/lib/libfuse3-of-the-client.so.3', ''],
};

/** Makes the Debian packages of these file names in a directory. */
export async function debs(directory: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    await using root = tempDir();
    const [wanted = '', version = ''] = name.split('_');
    const [path, text] = FILES[wanted] ?? ['', ''];
    await Bun.write(root.at(path), text);
    const control = [`Package: ${wanted}`, `Version: ${version}`, 'Architecture: all'];
    await Bun.write(
      root.at('DEBIAN/control'),
      [...control, 'Maintainer: A <a@b.example>', 'Description: a stand-in', ''].join('\n'),
    );
    await sh('chmod 0755 "$1" "$1/DEBIAN" "$1/$3"; dpkg-deb --build "$1" "$2"', [
      root.path,
      join(directory, name),
      path,
    ]);
  }
}

/**
 * Publishes the layers of an image by the digests of their blobs, as docs/cvmfs.md says. The mount for the
 * unprivileged store serves a second image in which root is mapped, as the client does it.
 */
export async function publish(cell: Cell, image: MadeImage, fqrn: string): Promise<void> {
  const tree = cell.dir.at('tree');
  mkdirSync(tree);
  for (const hex of layersOf(image)) {
    const layerfs = layerDirectory(tree, hex, () => {});
    // umoci names no directory above a whiteout. A directory of the present time would look made up by the publisher. The
    // directory around a tree belongs to -1 where ingest keeps owners.
    await sh(
      `tar -xzf "$1" -C "$2"
       find "$2" -mindepth 1 -type d -newermt @1700000001 -exec touch -d @1700000000 {} +
       chown 65534:65534 "$2/.."`,
      [join(image.layout, 'blobs/sha256', hex), layerfs],
    );
  }
  setMagic(tree, { fqrn });
  const squash = 'mksquashfs "$1" "$2" -quiet -no-progress -xattrs -noappend';
  await sh(squash, [tree, cell.at('data', fqrn)]);
  await sh('chown -hR --from=0:0 "$2:$2" "$1"', [tree, String(MAXIMUS)]);
  await sh(squash, [tree, cell.at('data', `${fqrn}.mapped`)]);
}

/** Digests of the blobs of an image's layers, bottom first. */
function layersOf(image: MadeImage): string[] {
  const read = (...names: string[]) => JSON.parse(readFileSync(join(image.layout, ...names), 'utf8'));
  const blob = (digest: string) => read('blobs/sha256', digest.slice('sha256:'.length));
  const { digest } = read('index.json').manifests[0];
  return blob(digest).layers.map((layer: { digest: string }) => layer.digest.split(':')[1] ?? '');
}
