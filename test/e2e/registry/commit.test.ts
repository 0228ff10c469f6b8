/** `graft commit` to real registries: the layers of the base image are mounted, found there or sent. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync, rmSync, writeFileSync } from 'node:fs';
import { sha256Hex } from '../../../lib/base/digest.ts';
import { compareTrees } from '../../support/images/compare-trees.ts';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { fakeImage, fakeRegistry, noise } from '../../support/registries/fake-registry.ts';
import { pushRegistry } from '../../support/registries/push-registry.ts';
import { startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { must } from '../../support/shell.ts';
import { type TestStore, testStore } from '../../support/stores/store.ts';

const cleanup = new AsyncDisposableStack();
let store: TestStore;
let fresh: TestStore;
let from: TestRegistry;
let to: TestRegistry;
let image: NoiseImage;
let insecure: string[];
let made = 0;
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  store = cleanup.use(await testStore());
  fresh = cleanup.use(await testStore());
  [from, to] = await Promise.all([
    startRegistry(store.dir.at('from')),
    startRegistry(store.dir.at('to'), { htpasswd: { username: 'me', password: 'S3CRET-TO' } }),
  ]);
  cleanup.use(from);
  cleanup.use(to);
  insecure = [from, to].flatMap(({ host }) => ['--insecure-registry', host]);
  // The second layer is sent in parts, the first with the request that completes its upload.
  image = makeNoiseImage(store.dir.at('image'), 'v1', [100_000, 5_000_000]);
  await store.must(['push', ...insecure, image.url, `docker://${from.host}/team/base:v1`]);
});

/** A changed container of a reference, and its root filesystem. */
async function changed(reference: string): Promise<[id: string, rootfs: string]> {
  made += 1;
  const id = `c${made}`;
  await store.must(['create', ...insecure, reference, id]);
  const rootfs = `${store.path}/images/${id}/rootfs`;
  writeFileSync(`${rootfs}/new-${id}`, `new ${id}`);
  return [id, rootfs];
}

function differences(left: string, right: string): string[] {
  return compareTrees(left, right, { linkCounts: false, ignoreXattrs: ['trusted.', 'security.selinux'] });
}

async function treeOfNew(reference: string, flags: readonly string[] = []): Promise<string> {
  made += 1;
  const id = `n${made}`;
  await fresh.must(['create', ...insecure, ...flags, reference, id]);
  return `${fresh.path}/images/${id}/rootfs`;
}

const requests = (registry: TestRegistry, at: number) =>
  [
    ...registry
      .output()
      .slice(at)
      .matchAll(/"((?:POST|PATCH|PUT) \/v2\/[^? ]*)/g),
  ].map(([, request = '']) => request.replace(/uploads\/.+/, 'uploads/ID').replace(/[0-9a-f]{64}/, 'HEX'));

test('into another repository of the same registry: base layers are mounted and never read', async () => {
  const [id, rootfs] = await changed(`docker://${from.host}/team/base:v1`);
  const target = `docker://${from.host}/team/mine:x`;
  const before = from.output().length;
  const told = await store.must(['commit', ...insecure, '--message', 'why', id, target]);
  expect(told).toStartWith(`${target}@sha256:`);
  // Two mounts; two uploads in one request each: the new layer and the configuration.
  expect(requests(from, before).filter((request) => request.startsWith('PATCH'))).toEqual([]);
  expect(
    requests(from, before)
      .filter((request) => request.startsWith('PUT'))
      .sort(),
  ).toEqual([
    'PUT /v2/team/mine/blobs/uploads/ID',
    'PUT /v2/team/mine/blobs/uploads/ID',
    'PUT /v2/team/mine/manifests/x',
  ]);
  expect(from.output().slice(before)).not.toMatch(/"GET \/v2\/team\/base\/blobs\/sha256/);
  const inspected = JSON.parse(
    await must('skopeo', ['inspect', '--raw', '--tls-verify=false', target]),
  ) as Record<string, unknown>;
  expect(inspected['annotations']).toEqual({
    'org.opencontainers.image.base.digest': image.manifest.digest,
    'org.opencontainers.image.base.name': `${from.host}/team/base:v1`,
  });
  expect(told).toContain(
    `sha256:${sha256Hex(await must('skopeo', ['inspect', '--raw', '--tls-verify=false', target]))}`,
  );
  expect(differences(rootfs, await treeOfNew(target))).toEqual([]);
  expect(readdirSync(`${store.path}/tmp`)).toEqual([]);
});

test('into another registry: base layers are sent from the first one, which never sees the password', async () => {
  const [id, rootfs] = await changed(`docker://${from.host}/team/base:v1`);
  const target = `docker://me:S3CRET-TO@${to.host}/copies/mine:x`;
  const flags = ['--username', 'me', '--password', 'S3CRET-TO'];
  const denied = await store.graft(['commit', ...insecure, id, target.replace('me:S3CRET-TO@', '')]);
  expect([denied.code, denied.stdout]).toEqual([1, expect.stringContaining(to.host)]);
  const before = from.output().length;
  const told = await store.must(['commit', ...insecure, ...flags, id, target]);
  expect(told).not.toContain('S3CRET');
  expect(from.output().slice(before)).not.toMatch(/auth.user.name="?me/);
  expect(differences(rootfs, await treeOfNew(target))).toEqual([]);
});

test('the base image in a layout, and as a tar, is sent to a registry', async () => {
  const [id, rootfs] = await changed(image.url);
  const target = `docker://${from.host}/from/layout:x`;
  await store.must(['commit', ...insecure, id, target]);
  expect(differences(rootfs, await treeOfNew(target))).toEqual([]);
  const archive = store.dir.at('base.tar');
  await must('tar', ['-C', store.dir.at('image'), '-cf', archive, 'index.json']);
  const [other, tree] = await changed(archive);
  await store.must(['commit', ...insecure, other, `docker://${from.host}/from/tar:x`]);
  expect(differences(tree, await treeOfNew(`docker://${from.host}/from/tar:x`))).toEqual([]);
});

test('a base that is gone is told before anything is sent, and --squash needs none of it', async () => {
  const moved = store.dir.at('moved');
  await must('cp', ['-a', store.dir.at('image'), moved]);
  const [id, rootfs] = await changed(image.url.replace(store.dir.at('image'), moved));
  rmSync(moved, { recursive: true });
  const registry = pushRegistry();
  try {
    const target = `docker://${registry.host}/gone:x`;
    const flags = ['--insecure-registry', registry.host];
    const refused = await store.graft(['commit', ...flags, id, target]);
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('--squash')]);
    expect(registry.requests.length).toBe(0);
    await store.must(['commit', '--squash', ...insecure, id, `docker://${from.host}/squashed:x`]);
    expect(differences(rootfs, await treeOfNew(`docker://${from.host}/squashed:x`))).toEqual([]);
  } finally {
    registry.stop();
  }
});

test('a layer that its registry lost, or gives with other bytes, is a base that is gone; the tag is not made', async () => {
  const layer = noise(20_000);
  const archive = store.dir.at('noise.tar');
  writeFileSync(store.dir.at('noise'), layer);
  await must('tar', ['-C', store.dir.path, '-cf', archive, 'noise']);
  const base = fakeImage([new Uint8Array(await Bun.file(archive).arrayBuffer())]);
  let fault: 'none' | 'lost' | 'other bytes' = 'none';
  const [digest = ''] = base.layers.map((blob) => blob.digest);
  const source = fakeRegistry(base, {
    override: async ({ target, method }, answer) => {
      if (fault === 'none' || method !== 'GET' || !target.endsWith(digest)) return false;
      const bytes = base.layers[0]?.bytes ?? new Uint8Array();
      if (fault === 'lost') await answer.write('HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n');
      else {
        const other = Buffer.from(bytes);
        other[600] = 1 ^ (other[600] ?? 0);
        await answer.write(`HTTP/1.1 200 OK\r\ncontent-length: ${other.length}\r\n\r\n`);
        await answer.write(other);
      }
      return true;
    },
  });
  const registry = pushRegistry();
  try {
    insecure.push('--insecure-registry', source.host, '--insecure-registry', registry.host);
    const [id, rootfs] = await changed(source.image(':latest'));
    const target = `docker://${registry.host}/app:x`;
    for (fault of ['lost', 'other bytes'] as const) {
      const refused = await store.graft(['commit', ...insecure, id, target]);
      expect([fault, refused.code, refused.stdout]).toEqual([fault, 1, expect.stringContaining('--squash')]);
      expect([registry.manifests.size, registry.blobs.has(digest)]).toEqual([0, false]);
      expect(readdirSync(`${store.path}/tmp`)).toEqual([]);
    }
    fault = 'none';
    await store.must(['commit', ...insecure, id, target]);
    expect(registry.blobs.has(digest)).toBe(true);
    expect([...registry.manifests.keys()][0]).toBe('x');
    expect(rootfs).toContain(id);
  } finally {
    source.stop();
    registry.stop();
  }
});

test('a target with a digest is refused, without a password in the sentence', async () => {
  const refused = await store.graft([
    'commit',
    'c1',
    `docker://me:S3CRET@${to.host}/x@sha256:${'0'.repeat(64)}`,
  ]);
  expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('write a tag')]);
  expect(refused.stdout + refused.stderr).not.toContain('S3CRET');
});
