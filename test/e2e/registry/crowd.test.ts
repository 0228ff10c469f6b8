/** Many creates at once of one image that nobody has yet: one does the work, whatever becomes of it. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { readdirSync } from 'node:fs';
import { OCI_LAYER } from '../../../lib/oci/media-types.ts';
import { executable } from '../../support/graft.ts';
import { tarOf } from '../../support/images/noise-image.ts';
import {
  blobOf,
  descriptor,
  errorAnswer,
  type FakeRegistry,
  fakeImage,
  fakeRegistry,
  noise,
  type Override,
} from '../../support/registries/fake-registry.ts';
import { cleanEnv } from '../../support/shell.ts';
import { unfinished } from '../../support/stores/names.ts';
import { type TestStore, testStore } from '../../support/stores/store.ts';

const MINUTE = 60_000;
const CROWD = 20;
const image = fakeImage([1, 2, 3, 4].map((layer) => tarOf(`file-${layer}`, noise(1 << 16, layer))));
const wanted = [image.manifest, image.config, ...image.layers];

let store: TestStore;
beforeAll(async () => {
  store = await testStore();
});
afterAll(() => store[Symbol.asyncDispose]());

type Creator = Bun.Subprocess<'ignore', 'pipe', 'pipe'>;

/** Starts creates of the image, by its digest unless told otherwise. */
function start(registry: FakeRegistry, count: number, by = `@${image.manifest.digest}`): Creator[] {
  const globals = ['--store', store.path, '--log-level', 'debug'];
  const options = [...globals, 'create', '--insecure-registry', registry.host, registry.image(by)];
  return Array.from({ length: count }, (_, at) =>
    Bun.spawn([executable(), ...options, `c${at}`], {
      env: cleanEnv(),
      stdio: ['ignore', 'pipe', 'pipe'],
    }),
  );
}

async function ended(creators: readonly Creator[]) {
  const outcome = async ({ exited, stdout, stderr }: Creator) => {
    const texts = [new Response(stdout).text(), new Response(stderr).text()];
    const [said = '', log = ''] = await Promise.all(texts);
    return { code: await exited, said, log };
  };
  return Promise.all(creators.map(outcome));
}

async function withRegistry(use: (registry: FakeRegistry) => Promise<void>, override?: Override) {
  const registry = fakeRegistry(image, override && { override });
  try {
    await use(registry);
  } finally {
    await registry.stop();
    for (const id of readdirSync(`${store.path}/images`)) await store.must(['delete', id]);
    await store.must(['clean']);
  }
}

const asked = (registry: FakeRegistry) => wanted.map(({ digest }) => registry.asked(digest).length);
const codes = (runs: readonly { code: number }[]) => runs.map(({ code }) => code);

test(
  'twenty creates at once ask for the manifest, the configuration and each layer once',
  () =>
    withRegistry(async (registry) => {
      expect(codes(await ended(start(registry, CROWD)))).toEqual(Array(CROWD).fill(0));
      expect(asked(registry)).toEqual(wanted.map(() => 1));
      expect(unfinished(store.path)).toEqual([]);
    }),
  MINUTE,
);

test(
  'one that is killed while it asks is followed by one other',
  async () => {
    const first = Promise.withResolvers<void>();
    let requests = 0;
    const holdFirst: Override = async ({ target }, answer) => {
      if (!target.endsWith(image.manifest.digest)) return false;
      requests += 1;
      if (requests > 1) return false;
      first.resolve();
      await answer.gone;
      return true;
    };
    await withRegistry(async (registry) => {
      const creators = start(registry, CROWD);
      await first.promise;
      const [claim = ''] = readdirSync(`${store.path}/locks`).filter((name) => name.startsWith('image-'));
      const [holder = ''] = readdirSync(`${store.path}/locks/${claim}`);
      const asking = creators.filter(({ pid }) => pid === Number(holder.split('.')[0]));
      expect(asking.length).toBe(1);
      for (const creator of asking) creator.kill('SIGKILL');
      const survivors = creators.filter((creator) => !asking.includes(creator));
      expect(codes(await ended(survivors))).toEqual(survivors.map(() => 0));
      expect(asked(registry)).toEqual(wanted.map((blob) => (blob === image.manifest ? 2 : 1)));
      await Promise.all(asking.map(({ exited }) => exited));
      await store.must(['clean']);
      expect(unfinished(store.path)).toEqual([]);
    }, holdFirst);
  },
  MINUTE,
);

test(
  'one that fails keeps nobody from asking: each gets the answer of the registry',
  async () => {
    const denied: Override = async ({ target }, answer) => {
      if (!target.endsWith(image.manifest.digest)) return false;
      await answer.write(errorAnswer(404, 'MANIFEST_UNKNOWN', 'there is no such manifest'));
      return true;
    };
    await withRegistry(async (registry) => {
      const runs = await ended(start(registry, CROWD));
      const sentence =
        `reading manifest ${image.manifest.digest} in ${registry.host}/app: there is no such manifest; ` +
        'check name and tag\n';
      const answers = runs.map(({ code, said }) => [code, said]);
      expect(answers).toEqual(Array(CROWD).fill([1, sentence]));
      expect(registry.asked(image.manifest.digest).length).toBe(CROWD);
      expect(unfinished(store.path)).toEqual([]);
    }, denied);
  },
  MINUTE,
);

test(
  'a tag is asked for by each, and its layers are waited for without a look at them one by one',
  async () => {
    const end = performance.now() + MINUTE / 2;
    const holdLayers: Override = async ({ target }) => {
      if (!image.layers.some(({ digest }) => target.endsWith(digest))) return false;
      // Until all of them know what they want: each has a lease by then.
      const leases = () => readdirSync(`${store.path}/meta/leases`).length;
      while (leases() < CROWD && performance.now() < end) await Bun.sleep(10);
      return false;
    };
    await withRegistry(async (registry) => {
      const runs = await ended(start(registry, CROWD, ':latest'));
      expect(codes(runs)).toEqual(Array(CROWD).fill(0));
      expect(registry.asked('latest').length).toBeGreaterThanOrEqual(CROWD);
      expect(image.layers.map(({ digest }) => registry.asked(digest).length)).toEqual([1, 1, 1, 1]);
      expect(runs.filter(({ log }) => log.includes('waiting-for-layer')).length).toBe(0);
      expect(unfinished(store.path)).toEqual([]);
    }, holdLayers);
  },
  MINUTE,
);

test(
  'a registry that drips under the name of a popular layer holds nobody else for long, and costs one download',
  async () => {
    const [popular] = image.layers;
    if (popular === undefined) throw new Error('the image has layers');
    const junk = blobOf(noise(1 << 22, 99), OCI_LAYER);
    // The configuration promises the popular layer, and the manifest has a blob for it that never comes to its end.
    const evil = fakeRegistry(
      fakeImage([popular.bytes], (document) => ({ ...document, layers: [descriptor(junk)] })),
      {
        override: async (request, answer) => {
          if (!request.target.endsWith(junk.digest)) return false;
          await answer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${junk.bytes.length}\r\n\r\n`);
          let gone = false;
          answer.gone.then(() => (gone = true));
          for (let at = 0; !gone; at += 400) {
            await answer.write(junk.bytes.subarray(at, at + 400));
            await Bun.sleep(100);
          }
          return true;
        },
      },
    );
    const globals = ['--store', store.path, '--log-level', 'debug'];
    const options = ['create', '--insecure-registry', evil.host, evil.image(':latest'), 'evil'];
    const attacker = Bun.spawn([executable(), ...globals, ...options], {
      env: cleanEnv(),
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    try {
      while (evil.asked(junk.digest).length === 0) await Bun.sleep(20);
      await withRegistry(async (registry) => {
        const outcomes = await ended(start(registry, 5));
        expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0, 0, 0]);
        for (const { digest } of image.layers) expect(registry.asked(digest).length).toBe(1);
        expect(attacker.exitCode).toBe(null);
      });
    } finally {
      attacker.kill('SIGTERM');
      await attacker.exited;
      await evil.stop();
    }
    expect(unfinished(store.path)).toEqual([]);
  },
  MINUTE,
);
