/**
 * `graft commit` and `graft push`, killed after their state-changing calls or at a request to the registry, and with each call
 * failing: a sample of them in each run, all with `ci/faults`. A target never has an image of which a part is missing, the
 * container stays as it was, and the next run gives the same layer.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { digestOf } from '../../lib/base/digest.ts';
import { countPoints, type FaultPoint, graftWithFault, pointName } from '../support/faults/faults.ts';
import { makeFaultImage } from '../support/faults/image.ts';
import { faultSample, sampled, sampleName } from '../support/faults/todays-points.ts';
import { executable } from '../support/graft.ts';
import { listTree } from '../support/images/unpack.ts';
import { changesOf, countOf } from '../support/programs/strace.ts';
import { type PushRegistry, pushRegistry } from '../support/registries/push-registry.ts';
import { cleanEnv } from '../support/shell.ts';
import { unfinished } from '../support/stores/names.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

const MINUTES = 60_000;
const ENOSPC = 28;
/** The older name of FICLONERANGE, which strace has. */
const CLONE = 'ioctl BTRFS_IOC_CLONE_RANGE';
let store: TestStore;
let image: string;
/** The layers of the committed image, bottom first. */
let layers: string[];
let before: Record<string, string>;
let points: readonly FaultPoint[];
/** On the filesystem of the store, so that a trace of one place has all calls. */
const out = () => store.dir.at('xfs', 'out');
const verb = () => ['--store', store.path, 'commit', 'victim', `oci:${out()}:x`];

beforeAll(async () => {
  store = await testStore();
  image = await makeFaultImage(store.dir.at('layout'));
  await store.must(['create', image, 'victim']);
  const rootfs = `${store.path}/images/victim/rootfs`;
  writeFileSync(`${rootfs}/new`, 'n'.repeat(70_000));
  writeFileSync(`${rootfs}/etc/other`, 'o');
  rmSync(`${rootfs}/bin/tool`);
  before = listTree(`${store.path}/images/victim/diff`);
  points = await countPoints(verb(), store.dir.at('count'));
  layers = layersOf(out()) ?? [];
}, 2 * MINUTES);
afterAll(() => store[Symbol.asyncDispose]());

interface Document {
  readonly digest: string;
  readonly annotations?: Record<string, string>;
}

interface Manifest {
  readonly config: Document;
  readonly layers: readonly Document[];
}

/** The layers of `x` in a layout, all of whose blobs are what they are called; undefined where there is no such image. */
function layersOf(layout: string): string[] | undefined {
  if (!existsSync(join(layout, 'index.json'))) return undefined;
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as { manifests: Document[] };
  const entry = index.manifests.find((one) => one.annotations?.['org.opencontainers.image.ref.name'] === 'x');
  if (entry === undefined) return undefined;
  const blob = (digest: string) => {
    const bytes = readFileSync(join(layout, 'blobs', digest.replace(':', '/')));
    expect(digestOf(bytes) as string).toBe(digest);
    return bytes;
  };
  const manifest = JSON.parse(blob(entry.digest).toString()) as Manifest;
  for (const { digest } of [manifest.config, ...manifest.layers]) blob(digest);
  return manifest.layers.map(({ digest }) => digest);
}

/** The container and the store are as before a commit. */
function requireUntouched(where: string): void {
  expect([where, listTree(`${store.path}/images/victim/diff`)]).toEqual([where, before]);
  expect([where, ...unfinished(store.path)]).toEqual([where]);
}

function requireCommitted(where: string): void {
  expect([where, layersOf(out())]).toEqual([where, layers]);
  expect([where, ...readdirSync(out()).sort()]).toEqual([where, 'blobs', 'index.json', 'oci-layout']);
  requireUntouched(where);
}

test('a commit passes enough points, and strace sees no others', async () => {
  expect(points.length).toBeGreaterThan(25);
  expect(layers.length).toBe(4);
  // The file without a name that holds the snapshot is made in the store.
  expect(points.some(({ syscall, path }) => syscall === 'openat' && path === `${store.path}/tmp`)).toBe(true);
  rmSync(out(), { recursive: true });
  const command = [executable('graft-faults'), ...verb()];
  const traced = await changesOf(command, store.dir.at('xfs'), store.dir.at('trace'));
  expect(traced.ran).toMatchObject({ code: 0 });
  expect(traced.calls).toEqual(
    countOf(points.map(({ syscall }) => (syscall === 'ioctl FICLONERANGE' ? CLONE : syscall))),
  );
});

test(
  'a commit can be killed anywhere',
  async () => {
    const sample = faultSample();
    for (const point of sampled(
      points.filter(({ done }) => done),
      sample,
    )) {
      rmSync(out(), { recursive: true, force: true });
      const ran = await graftWithFault(verb(), `kill:${point.thread}:${point.number}`);
      const where = `${sampleName(sample)} ${pointName(point)}`;
      expect([where, ran.signal]).toEqual([where, 'SIGKILL']);
      const made = layersOf(out());
      if (made !== undefined) expect([where, made]).toEqual([where, layers]);
      requireUntouched(where);
      await store.must(verb().slice(2));
      requireCommitted(where);
    }
  },
  10 * MINUTES,
);

test(
  'a commit can fail anywhere, one sentence says so, and the image before keeps the name',
  async () => {
    const sample = faultSample();
    for (const point of sampled(points, sample, 3)) {
      rmSync(out(), { recursive: true, force: true });
      const ran = await graftWithFault(verb(), `fail:${point.thread}:${point.number}:${ENOSPC}`);
      const where = `${sampleName(sample)} ${pointName(point)}`;
      if (ran.code !== 0) {
        expect([where, ran.stdout]).toEqual([where, expect.stringMatching(/^[^\n]{20,}\n$/)]);
        const left = existsSync(out()) ? readdirSync(out()) : [];
        const staged = left.filter((name) => name.startsWith('.graft-tmp-'));
        expect([where, point.syscall === 'unlinkat' ? [] : staged]).toEqual([where, []]);
      }
      if (layersOf(out()) !== undefined) expect([where, layersOf(out())]).toEqual([where, layers]);
      requireUntouched(where);
      await store.must(verb().slice(2));
      requireCommitted(where);
    }
  },
  10 * MINUTES,
);

/** Runs a verb against a registry that kills it at its `at`th request; returns whether it came to that. */
async function killedAt(at: number, args: (registry: PushRegistry) => readonly string[]) {
  let child: Bun.Subprocess | undefined;
  let seen = 0;
  const registry = pushRegistry({
    override: async () => {
      seen += 1;
      if (seen !== at) return false;
      child?.kill('SIGKILL');
      await child?.exited;
      return false;
    },
  });
  const insecure = ['--insecure-registry', registry.host];
  const run = async () => {
    const command = [executable('graft'), '--store', store.path, ...args(registry), ...insecure];
    child = Bun.spawn(command, { env: cleanEnv(), stdout: 'ignore', stderr: 'ignore' });
    return child.exited;
  };
  const first = await run();
  return { registry, first, again: run };
}

/** All that the manifest `x` names is there with its digest; undefined where there is no `x`. */
function pushed(registry: PushRegistry): number | undefined {
  for (const [digest, bytes] of registry.blobs) expect(digestOf(bytes) as string).toBe(digest);
  const manifest = registry.manifests.get('x');
  if (manifest === undefined) return undefined;
  const { config, layers: named } = JSON.parse(manifest.bytes.toString()) as Manifest;
  return [config, ...named].filter(({ digest }) => registry.blobs.has(digest)).length - named.length;
}

for (const [name, args] of [
  ['push', ({ host }: PushRegistry) => ['push', image, `docker://${host}/app:x`]],
  ['commit', ({ host }: PushRegistry) => ['commit', 'victim', `docker://${host}/app:x`]],
] as const) {
  test(
    `a ${name} to a registry can be killed at any request`,
    async () => {
      const quiet = await killedAt(-1, args);
      await quiet.registry.stop();
      expect([quiet.first, pushed(quiet.registry)]).toEqual([0, 1]);
      const sample = faultSample();
      const all = quiet.registry.requests.map((_, index) => index + 1);
      for (const at of sampled(all, sample, name.length)) {
        const { registry, first, again } = await killedAt(at, args);
        const where = `${sampleName(sample)} ${name} at request ${at}`;
        try {
          expect([where, first]).toEqual([where, 137]);
          expect([where, [1, undefined].includes(pushed(registry))]).toEqual([where, true]);
          expect([where, await again(), pushed(registry)]).toEqual([where, 0, 1]);
          requireUntouched(where);
        } finally {
          await registry.stop();
        }
      }
    },
    10 * MINUTES,
  );
}
