/** One store and all that its tenants bring: what everybody uses, what is one tenant's alone, and what hurts. */
import { chmodSync, existsSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { leftovers, processes } from '../../ci/soak-leftovers.ts';
import { readTree } from '../support/images/compare-trees.ts';
import { tarOf } from '../support/images/noise-image.ts';
import { type EntrySpec, tar } from '../support/images/tar-writer.ts';
import { type FakeRegistry, fakeImage, fakeRegistry, noise } from '../support/registries/fake-registry.ts';
import { whole } from '../support/registries/raw-server.ts';
import { INIT } from '../support/stores/garden-mapping.ts';
import { contents, unfinished } from '../support/stores/names.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { busyboxTar } from './container.ts';
import { type HostileImage, hostileImages } from './images.ts';
import { type Drip, drip, type HostileRegistry, hostileRegistries } from './registries.ts';

const LOGIN = { user: 'tenant', password: 'S3CRET-of-tenant' };
/** Options of a create by the tenant whose image is secret. */
const FLAGS = ['--username', LOGIN.user, '--password', LOGIN.password];

export interface World extends AsyncDisposable {
  readonly store: TestStore;
  /** The popular image, by its tag. */
  readonly popular: string;
  /** The popular image's tree as an unharmed store shows it. */
  readonly tree: string;
  readonly images: readonly HostileImage[];
  readonly registries: readonly HostileRegistry[];
  readonly drip: Drip;
  /** For the container that rages. */
  readonly busybox: string;
  /** A directory beside the store that all of them try to change. */
  readonly outside: string;
  /** Options of a `create` that may speak to the registries of this world. */
  readonly insecure: readonly string[];
  /** A failed expectation; the round goes on. */
  fault(what: string): void;
  readonly faults: readonly string[];
}

/** Several hundred small files, one larger one, and a layer that hides some of them. */
function popularImage() {
  const small = Array.from({ length: 200 }, (_, at): EntrySpec => ({ name: `usr/f${at}`, content: `${at}` }));
  const usr: EntrySpec = { name: 'usr', type: '5' };
  const changes = tar([usr, { name: 'usr/.wh.f0' }, { name: 'usr/f1', content: 'changed' }]);
  return fakeImage([tarOf('large', noise(1 << 18, 7)), tar([usr, ...small]), changes]);
}

/** A registry that wants a password for whatever is asked of it. */
function secretRegistry(image: ReturnType<typeof fakeImage>): FakeRegistry {
  const login = `Basic ${btoa(`${LOGIN.user}:${LOGIN.password}`)}`;
  return fakeRegistry(image, {
    override: async ({ headers }, answer) => {
      if (headers.get('authorization') === login) return false;
      await answer.write(whole(401, '{}', { 'www-authenticate': 'Basic realm="tenant"' }));
      return true;
    },
  });
}

export function treeOf(store: TestStore, id: string): string {
  return JSON.stringify([...readTree(`${store.path}/images/${id}/rootfs`)].sort());
}

/** Lets the mapped root pass through the directories above the store, as it does on a cell. */
function openTheWay({ path }: TestStore): void {
  for (let at = dirname(path); at !== '/'; at = dirname(at)) chmodSync(at, statSync(at).mode | 0o111);
}

/** The store, with one container of a secret image, and the popular image's tree known. */
export async function makeWorld(): Promise<World> {
  const cleanup = new AsyncDisposableStack();
  try {
    const store = cleanup.use(await testStore({ init: INIT }));
    openTheWay(store);
    const outside = store.dir.at('outside');
    mkdirSync(outside);
    writeFileSync(`${outside}/kept`, 'kept');
    const popular = popularImage();
    const secret = fakeImage([tarOf('secret', noise(1 << 17, 8))]);
    const [honest, closed] = [fakeRegistry(popular), secretRegistry(secret)];
    const registries = hostileRegistries({ popular, secret });
    const dripping = drip(popular);
    const servers = [honest, closed, dripping.registry, ...registries.map(({ registry }) => registry)];
    for (const server of servers) cleanup.defer(() => server.stop());
    const insecure = servers.flatMap(({ host }) => ['--insecure-registry', host]);
    await store.must(['create', ...insecure, ...FLAGS, closed.image(':latest'), 'secret']);
    await store.must(['create', ...insecure, honest.image(':latest'), 'first']);
    const tree = treeOf(store, 'first');
    await store.must(['delete', 'first']);
    const faults: string[] = [];
    return {
      store,
      popular: honest.image(':latest'),
      tree,
      images: hostileImages(store.dir.at('layout'), outside),
      registries,
      drip: dripping,
      busybox: await busyboxTar(store.dir.path),
      outside,
      insecure,
      faults,
      fault: (what) => void faults.push(what),
      [Symbol.asyncDispose]: () => cleanup.disposeAsync(),
    };
  } catch (error) {
    await cleanup.disposeAsync();
    throw error;
  }
}

/** What a verb did that must succeed. */
export async function succeed(world: World, args: readonly string[]): Promise<string> {
  const { code, stdout } = await world.store.graft(args);
  if (code !== 0) world.fault(`${args[0]} exits ${code}: ${stdout.trim()}`);
  return stdout;
}

/** After a round: only the secret container is there, nothing waits for anybody, and what is outside is as it was. */
export async function lookAround(world: World): Promise<void> {
  const { store } = world;
  await succeed(world, ['clean']);
  const check = await succeed(world, ['check']);
  if (check !== 'Nothing is wrong.\n') world.fault(`check says: ${check.trim()}`);
  const images = readdirSync(`${store.path}/images`);
  if (images.join() !== 'secret') world.fault(`images are left: ${images.join()}`);
  for (const left of [...unfinished(store.path), ...processes(store.path)]) world.fault(`left: ${left}`);
  const names = readdirSync(world.outside, { withFileTypes: true });
  const kept = (await Bun.file(`${world.outside}/kept`).text()) === 'kept';
  if (names.map(({ name }) => name).join() !== 'kept' || !kept) world.fault('the directory outside changed');
  if (existsSync(`${store.dir.path}/evil`)) world.fault('a file beside the store');
}

/** Deletes the last container and everything that nobody uses: the store is as after init-store. */
export async function leaveWorld(world: World): Promise<void> {
  await succeed(world, ['delete', 'secret']);
  for (let times = 0; times < 2; times += 1) await succeed(world, ['clean']);
  for (const left of [...contents(world.store.path), ...leftovers(world.store.path)])
    world.fault(`left: ${left}`);
}
