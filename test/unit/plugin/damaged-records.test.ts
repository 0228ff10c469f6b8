/** Each kind of file that a store keeps, with anything in its place: verbs end, and nothing that is in use goes. */
import { describe, expect, test } from 'bun:test';
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { digestOf } from '../../../lib/base/digest.ts';
import { PluginError } from '../../../lib/base/errors/error.ts';
import { silentLogger } from '../../../lib/base/log.ts';
import { checkStore } from '../../../lib/plugin/check.ts';
import { cleanStore } from '../../../lib/plugin/clean.ts';
import { deleteImage } from '../../../lib/plugin/delete.ts';
import { listImages } from '../../../lib/plugin/list.ts';
import { imageStats } from '../../../lib/plugin/stats.ts';
import { storeUsage } from '../../../lib/plugin/usage.ts';
import { isFirstOfBoot, markBoot } from '../../../lib/store/collect/boot.ts';
import { parseImageId } from '../../../lib/store/layout/image-id.ts';
import { cvmfsKey, type LayerKey, stackKey } from '../../../lib/store/layout/layer-key.ts';
import { Lease } from '../../../lib/store/records/leases.ts';
import { cleanIsDue, readTotals } from '../../../lib/store/records/totals.ts';
import { Store } from '../../../lib/store/store.ts';
import { publishLayer, scratchStore } from '../../support/stores/scratch-store.ts';

const MiB = 1024 * 1024;
const POISON = '{"toString":0,"valueOf":0,"__proto__":{"uses":[],"lowers":[]},"hasOwnProperty":1}';

const DAMAGES: Readonly<Record<string, (path: string) => void>> = {
  empty: (path) => writeFileSync(path, ''),
  cut: (path) => writeFileSync(path, readFileSync(path).subarray(0, -3)),
  binary: (path) => writeFileSync(path, Buffer.from([0, 255, 10, 123, 34, 1, 0])),
  'a null': (path) => writeFileSync(path, 'null'),
  'a list': (path) => writeFileSync(path, '[[],{},null,1e999]\n'),
  'a key __proto__': (path) => writeFileSync(path, POISON),
  'fields of other types': (path) => writeFileSync(path, otherTypes(readFileSync(path, 'latin1'))),
  'a deep document': (path) => writeFileSync(path, `${'['.repeat(200_000)}`),
  huge: (path) => truncateSync(path, 300 * MiB),
  'a directory': (path) => replace(path, () => mkdirSync(`${path}/below`, { recursive: true })),
  'a pipe': (path) => replace(path, () => void spawnSync('mkfifo', [path])),
  'a link to nothing': (path) => replace(path, () => symlinkSync('/nowhere', path)),
  'a link to a file of the host': (path) => replace(path, () => symlinkSync('/etc/passwd', path)),
  gone: (path) => rmSync(path),
};

function replace(path: string, make: () => void): void {
  rmSync(path);
  make();
}

/** Every string that is no key becomes an object without a string, every number a text. */
function otherTypes(text: string): string {
  return text
    .replaceAll(/"(?:[^"\\]|\\.)*"(?!\s*:)/g, '{"toString":0,"valueOf":0}')
    .replaceAll(/:\s*-?\d+/g, ':"9"');
}

interface Scene {
  readonly store: Store;
  readonly used: LayerKey;
}

function fill(store: Store): Scene {
  const [used, unused] = [publishLayer(store, 'used'), publishLayer(store, 'unused')];
  const id = parseImageId('container');
  for (const name of ['diff', 'workdir', 'rootfs'])
    mkdirSync(`${store.layout.image(id)}/${name}`, { recursive: true });
  writeFileSync(`${store.layout.image(id)}/image_info`, '7');
  writeFileSync(`${store.layout.image(id)}/image_quota`, '4096');
  const diffId = digestOf('used') as never;
  const provenance = { layer: used, diffId, digest: diffId, source: 'oci' as const };
  store.images.writeRecord(id, {
    image: 'oci:///image',
    manifestDigest: undefined,
    created: '',
    uses: [used],
    lowers: [used],
    mounted: false,
    layers: [provenance],
  });
  const root = { mode: 0o755, uid: 0, gid: 0, mtime: { sec: 1, nsec: 0 }, xattrs: [] };
  store.stacks.put(stackKey([used]), { lowers: [used], uses: [used, unused], layerBytes: 4, root });
  store.sources.remember('1:2:3', diffId);
  const config = { architecture: 'amd64', os: 'linux', rootfs: { type: 'layers', diff_ids: [diffId] } };
  const bytes = Buffer.from(JSON.stringify(config));
  store.blobs.put(digestOf(bytes), { bytes, grade: 'everybody' }, 'registry.example/app');
  const key = cvmfsKey({ content: diffId, place: ['/cvmfs/x'] });
  const none = { impliedDirs: [], hollowDirs: [], opaqueDirs: [], rootHidden: [] };
  const flags = { explicitRoot: true, hasShim: false, hasMask: false };
  store.cvmfsRecords.put(key, { path: '/cvmfs/x', bytes: 5, ...none, ...flags });
  markBoot(store);
  return { store, used };
}

const first = (directory: string) => `${directory}/${readdirSync(directory)[0]}`;
const FILES: Readonly<Record<string, (scene: Scene) => string>> = {
  'the record of an image': ({ store }) => store.layout.imageRecord(parseImageId('container')),
  image_info: ({ store }) => `${store.layout.image(parseImageId('container'))}/image_info`,
  image_quota: ({ store }) => `${store.layout.image(parseImageId('container'))}/image_quota`,
  'the record of a layer': ({ store, used }) => `${store.layout.volume(used)}/layer.json`,
  'the names of a layer': ({ store, used }) => `${store.layout.volume(used)}/names`,
  'the manifest of a tree': ({ store, used }) => `${store.layout.volume(used)}/tree`,
  'a plan': ({ store }) => first(store.layout.stacks),
  'a source': ({ store }) => first(store.layout.sources),
  'a blob': ({ store }) => first(store.layout.blobs),
  'what is known of CVMFS': ({ store }) => first(store.layout.cvmfsRecords),
  totals: ({ store }) => store.layout.totals,
  boot: ({ store }) => store.layout.boot,
  'a lease of somebody dead': ({ store }) => {
    const path = `${store.layout.leases}/1.1.4026531836.00000000-0000-0000-0000-000000000000.1`;
    writeFileSync(path, 'image gone\nlayer\n');
    return path;
  },
};

describe.each(Object.keys(FILES))('%s', (file) => {
  test.each(Object.keys(DAMAGES))('%s', async (damage) => {
    await using scratch = await scratchStore();
    const scene = fill(scratch.store);
    DAMAGES[damage]?.(FILES[file]?.(scene) ?? '');
    await everyVerb(scratch.path, scene);
  });
});

async function everyVerb(path: string, { used }: Scene): Promise<void> {
  const store = Store.open(path);
  const clean = () => cleanStore({ storePath: path, thresholdBytes: 0, dryRun: false }, silentLogger);
  const usage = storeUsage(store, 1);
  expect(usage.counted.sum).toBeGreaterThan(0);
  expect(listImages(path).map(({ id }) => id)).toEqual(['container']);
  expect(imageStats(path, 'container').disk_usage.total_bytes_used).toBeGreaterThanOrEqual(0);
  expect(isFirstOfBoot(store)).toBeBoolean();
  expect((await checkStore(store, false, silentLogger)).length).toBeGreaterThanOrEqual(0);
  const hadRecord = store.images.hasRecord(parseImageId('container'));
  const cleaned = await clean();
  expect(cleaned.kind).toBe('cleaned');
  // Without a record at all the container is half deleted, and its layer no longer in use.
  expect(existsSync(store.layout.tree(used))).toBe(hadRecord);
  expect(readTotals(store, silentLogger)).toBeDefined();
  expect(cleanIsDue(store, 1, silentLogger)).toBe(hadRecord);
  expect((await deleteImage(path, 'container', silentLogger)) !== undefined).toBe(true);
  await clean();
  expect(readdirSync(store.layout.volumes)).toEqual([]);
  expect(readdirSync(store.layout.blobs)).toEqual([]);
}

test.each(Object.keys(DAMAGES))('the marker, %s: refused in one sentence', async (damage) => {
  await using scratch = await scratchStore();
  DAMAGES[damage]?.(scratch.store.layout.marker);
  expect(() => Store.open(scratch.path)).toThrow(PluginError);
});

test.each(['a link to nothing', 'huge'])(
  'the lease of somebody alive, %s: nothing is taken',
  async (damage) => {
    await using scratch = await scratchStore();
    const { store, used } = fill(scratch.store);
    using lease = new Lease(store.layout, undefined, [used]);
    const path = `${store.layout.leases}/${lease.name}`;
    DAMAGES[damage]?.(path);
    const cleaned = await cleanStore(
      { storePath: scratch.path, thresholdBytes: 0, dryRun: false },
      silentLogger,
    );
    expect(cleaned).toMatchObject({ kind: 'cleaned', volumes: 0, kept: { path } });
    expect(readdirSync(store.layout.volumes)).toHaveLength(2);
  },
);
