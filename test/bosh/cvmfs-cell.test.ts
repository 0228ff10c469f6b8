/**
 * A cell with both jobs, linked as use-graft-cvmfs.yml links them: an image whose layers exist on CernVM-FS alone
 * becomes a container in both stores. The client is squashfuse behind cvmfs2's command line, and the mount for the
 * unprivileged store serves a second image in which root is mapped, as CVMFS_UID_MAP does.
 */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { layerDirectory, setMagic } from '../support/cvmfs/server.ts';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { push, startRegistry } from '../support/registries/registry.ts';
import { must, sh } from '../support/shell.ts';
import type { Boot, Cell } from './cell.ts';
import { BIN, diegoCell, plugin, STORES, type StoreName, small, storePath } from './diego-cell.ts';
import { linkOf, type Properties, properties } from './release.ts';

const FQRN = 'unpacked.test.local';
const MAXIMUS = 4294967294;
const CVMFS2 = `#!/bin/bash
set -euo pipefail
[ "\${1-}" != --version ] || { echo 'CernVM-FS version 2.12.7'; exit 0; }
config=\${2#config=} config=\${config%%,*}
IFS=:
for file in $config; do source "$file"; done
unset IFS
image=\${CVMFS_SERVER_URL#file://}
[ -z "\${CVMFS_UID_MAP-}" ] || image=$image.mapped
exec squashfuse_ll -o allow_other,ro,nodev,nosuid,fsname=cvmfs2 "$image" "$4"
`;
const CLIENT: Properties = properties({
  'cvmfs.repositories': [
    { name: FQRN, server_urls: ['file:///var/vcap/data/repository'], public_keys: ['KEY'] },
  ],
  'cvmfs.http_proxy': 'DIRECT',
  'cvmfs.mount_root': '/var/cvmfs',
  'cvmfs.unprivileged_mount_root': '/var/cvmfs-mapped',
  'cvmfs.probe_interval_in_seconds': 5,
});

let cell: Cell;
let boot: Boot;
beforeAll(async () => {
  cell = await diegoCell();
  await deployGraft();
  cell.installPackage('cvmfs-client', { 'bin/cvmfs2': CVMFS2 });
  await cell.deployJob('cvmfs-client', { properties: CLIENT });
  const image = await makeBusyboxImage(cell.at('data/layout'), 'app');
  await must('umoci', ['insert', '--image', image.name, '--whiteout', '/etc/group']);
  await publish(image);
  boot = cell.boot();
  await boot.must(`/var/vcap/jobs/cvmfs-client/bin/pre-start && ${BIN}/pre-start`);
  await boot.must(`/var/vcap/jobs/cvmfs-client/bin/cvmfs_ctl start && ${BIN}/graft_ctl start`);
  await boot.must(`for i in $(seq 300); do
      [ "$(grep -c ' /var/cvmfs.* cvmfs2 ' /proc/self/mountinfo)" = 2 ] && exit 0; sleep 0.1; done; exit 1`);
});
afterAll(async () => {
  await boot?.pullPlug();
  await cell?.[Symbol.asyncDispose]();
});

/** Layers of a local layout are looked up by their digests, so these must be what they say. */
const deployGraft = () =>
  cell.deployJob('graft', {
    properties: small({ 'graft.skip_layer_validation': false }),
    links: linkOf('cvmfs-client', 'cvmfs', CLIENT),
  });

/** Layers of an image, compressed blobs by digest, bottom first. */
function layersOf(image: MadeImage): string[] {
  const blob = (digest: string) =>
    JSON.parse(readFileSync(join(image.layout, 'blobs/sha256', digest.slice('sha256:'.length)), 'utf8'));
  const index = JSON.parse(readFileSync(join(image.layout, 'index.json'), 'utf8'));
  return blob(index.manifests[0].digest).layers.map(
    (layer: { digest: string }) => layer.digest.split(':')[1] ?? '',
  );
}

/** Publishes every layer, takes the blobs out of the layout into another copy, and packs both images. */
async function publish(image: MadeImage): Promise<void> {
  const tree = cell.dir.at('tree');
  mkdirSync(tree);
  await sh('cp -r "$1" "$1-whole"', [image.layout]);
  for (const hex of layersOf(image)) {
    const layerfs = layerDirectory(tree, hex, () => {});
    // umoci names no directory above a whiteout. A directory of the present time would look made up by the publisher. The
    // directory around a tree belongs to -1 where ingest keeps owners.
    await sh(
      `tar -xzf "$1" -C "$2" && rm "$1"
       find "$2" -mindepth 1 -type d -newermt @1700000001 -exec touch -d @1700000000 {} +
       chown 65534:65534 "$2/.."`,
      [join(image.layout, 'blobs/sha256', hex), layerfs],
    );
  }
  setMagic(tree, { fqrn: FQRN });
  const squash = 'mksquashfs "$1" "$2" -quiet -no-progress -xattrs -noappend';
  await sh(squash, [tree, cell.at('data/repository')]);
  await sh('chown -hR --from=0:0 "$2:$2" "$1"', [tree, String(MAXIMUS)]);
  await sh(squash, [tree, cell.at('data/repository.mapped')]);
}

const create = async (store: StoreName, id: string, layout = 'layout') =>
  JSON.parse(await boot.must(plugin(store, `create oci:///var/vcap/data/${layout}:app ${id}`)));

for (const store of STORES) {
  describe(`the ${store} store`, () => {
    test('makes a container of layers that are nowhere else', async () => {
      const { root, process } = await create(store, 'c1');
      expect(process.env).toContain('GREETING=hello');
      expect(
        await boot.must(
          `chroot ${root.path} /bin/sh -c 'cat /etc/passwd; echo written >/etc/new; cat /etc/new'`,
        ),
      ).toContain('app:x:1000');
      const ls = await boot.must(`ls -A ${root.path} ${root.path}/etc`);
      expect(ls).not.toContain('.wh.');
      expect(ls).not.toContain('.cvmfscatalog');
      expect(ls).not.toContain('group');
      expect(await boot.must(`stat -c %u ${root.path}/etc/passwd`)).toBe(
        `${store === 'privileged' ? 0 : MAXIMUS}\n`,
      );
    });

    test('says where its layers came from', async () => {
      const list = await boot.must(plugin(store, 'list --json'));
      expect(list).toContain('cvmfs');
      expect(list).toContain(FQRN);
    });

    test('keeps none of them, only what goes between them', async () => {
      const layers = (await boot.must(`ls ${storePath(store)}/volumes | grep -v -e shim -e mask`))
        .trim()
        .split('\n');
      // The layer of the container that pre-start tries.
      expect(layers.length).toBe(1);
    });
  });
}

test('an image from a registry takes them too, with the defaults of a cell', async () => {
  const registry = await startRegistry(cell.dir.at('registry'));
  try {
    await push(`oci:${cell.at('data/layout-whole')}:app`, `docker://${registry.host}/app:1`);
    await cell.deployJob('graft', {
      properties: small({ 'graft.insecure_docker_registry_list': [registry.host] }),
      links: linkOf('cvmfs-client', 'cvmfs', CLIENT),
    });
    for (const store of STORES) {
      await boot.must(plugin(store, `create docker://${registry.host}/app:1 r1`));
      const images: { id: string }[] = JSON.parse(await boot.must(plugin(store, 'list --json')));
      expect(JSON.stringify(images.find(({ id }) => id === 'r1'))).toContain(FQRN);
      await boot.must(plugin(store, 'delete r1'));
    }
  } finally {
    await registry.stop();
  }
  await deployGraft();
});

describe('without the client', () => {
  test('stopping the job leaves running containers what they have', async () => {
    await boot.must('/var/vcap/jobs/cvmfs-client/bin/cvmfs_ctl stop');
    for (const store of STORES)
      await boot.must(`chroot ${storePath(store)}/images/c1/rootfs /bin/cat /etc/passwd`);
  });

  test('once the containers are gone nothing is mounted, and an image that is nowhere else fails in a sentence', async () => {
    for (const store of STORES) await boot.must(plugin(store, 'delete c1'));
    await boot.must('/var/vcap/jobs/cvmfs-client/bin/cvmfs_ctl stop');
    expect(await boot.must("grep -c ' /var/cvmfs' /proc/self/mountinfo || true")).toBe('0\n');
    const ran = await boot.run(plugin('privileged', 'create oci:///var/vcap/data/layout:app c2'));
    expect([ran.code, ran.stdout.trim().split('\n').length]).toEqual([1, 1]);
    expect(await boot.must(`ls ${storePath('privileged')}/images`)).toBe('');
  });

  test('layers come from where the image is', async () => {
    for (const store of STORES) {
      const { root } = await create(store, 'c3', 'layout-whole');
      expect(await boot.must(`chroot ${root.path} /bin/cat /etc/passwd`)).toContain('app:x:1000');
    }
  });
});
