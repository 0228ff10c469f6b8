/** Many at once on one store: whatever meets, nothing is done twice, nothing is lost, and nobody waits for the dead. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { withLock } from '../../lib/sys/exclusive/lock.ts';
import { makeFaultImage } from '../support/faults/image.ts';
import { executable } from '../support/graft.ts';
import { makeImage } from '../support/images/images.ts';
import { type FakeRegistry, fakeImage, fakeRegistry, noise } from '../support/registries/fake-registry.ts';
import { cleanEnv, must, type Ran } from '../support/shell.ts';
import { contents, unfinished } from '../support/stores/names.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';
import { type TempDir, tempDir } from '../support/temp.ts';

const MINUTES = 60_000;
const LAYERS = 6;
let dir: TempDir;
/** Six layers of three hundred files each. */
let wide: string;
/** Layers that need each other, shims and all (fault-image.ts). */
let tangled: string;
beforeAll(async () => {
  dir = tempDir();
  const layers = Array.from({ length: LAYERS }, (_, i) => dir.at(`layer${i}`));
  for (const [i, layer] of layers.entries()) {
    mkdirSync(layer);
    for (let file = 0; file < 300; file += 1) writeFileSync(`${layer}/${i}-${file}`, `layer ${i}`);
    writeFileSync(`${layer}/top`, `layer ${i}`);
  }
  wide = (await makeImage(dir.at('wide'), 'wide', layers)).url;
  tangled = await makeFaultImage(dir.at('tangled'));
});
afterAll(() => dir.remove());

const times = <T>(count: number, make: (i: number) => T): T[] =>
  Array.from({ length: count }, (_, i) => make(i));

function succeeded(runs: readonly Ran[]): void {
  expect(runs.filter(({ code }) => code !== 0).map(({ stdout }) => stdout)).toEqual([]);
}

/** Keys of the layers that these runs unpacked, as often as they did. */
function unpacked(runs: readonly Ran[]): string[] {
  const lines = runs.flatMap(({ stderr }) => stderr.split('\n'));
  return lines.flatMap((line) => {
    const layer = /"layer":"([^"]+)".*layer-unpacked/.exec(line)?.[1];
    return layer === undefined ? [] : [layer];
  });
}

async function emptied(store: TestStore): Promise<void> {
  succeeded(await Promise.all(readdirSync(`${store.path}/images`).map((id) => store.graft(['delete', id]))));
  await store.must(['clean']);
  expect(contents(store.path)).toEqual([]);
}

test(
  'eight creates of a local tar that nobody has read yet read it once',
  async () => {
    await using store = await testStore();
    const tar = dir.at('layer.tar');
    await must('tar', ['-C', dir.at('layer0'), '-cf', tar, '.']);
    const runs = await Promise.all(
      times(8, (i) => store.graft(['--log-level', 'info', 'create', tar, `tar${i}`])),
    );
    succeeded(runs);
    expect(unpacked(runs)).toHaveLength(1);
    await emptied(store);
  },
  MINUTES,
);

test(
  'twenty creates of two images that nobody has yet unpack each layer once',
  async () => {
    await using store = await testStore();
    const create = (i: number) =>
      store.graft(['--log-level', 'info', 'create', i % 2 === 0 ? wide : tangled, `c${i}`], {
        timeoutMs: 2 * MINUTES,
      });
    const runs = await Promise.all(times(20, create));
    succeeded(runs);
    const layers = unpacked(runs);
    expect(layers.length).toBe(LAYERS + 3);
    expect(new Set(layers).size).toBe(layers.length);
    for (let i = 0; i < 20; i += 2) {
      expect(readFileSync(`${store.path}/images/c${i}/rootfs/top`, 'utf8')).toBe(`layer ${LAYERS - 1}`);
      expect(readFileSync(`${store.path}/images/c${i + 1}/rootfs/etc/again`).length).toBe(100_000);
    }
    expect(unfinished(store.path)).toEqual([]);
    await emptied(store);
  },
  5 * MINUTES,
);

test(
  'of twenty creates with one id one wins, and the others leave it alone',
  async () => {
    await using store = await testStore();
    for (const state of ['cold', 'warm']) {
      const runs = await Promise.all(
        times(20, () => store.graft(['create', wide, 'same'], { timeoutMs: 2 * MINUTES })),
      );
      const won = runs.filter(({ code }) => code === 0);
      expect([state, won.length]).toEqual([state, 1]);
      for (const lost of runs.filter(({ code }) => code !== 0)) {
        expect(lost.stdout).toStartWith('image for id `same` already exists');
      }
      expect(readFileSync(`${store.path}/images/same/rootfs/top`, 'utf8')).toBe(`layer ${LAYERS - 1}`);
      expect(unfinished(store.path)).toEqual([]);
      expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
      await store.must(['delete', 'same']);
    }
    await emptied(store);
  },
  5 * MINUTES,
);

test(
  'creates and cleans that race: no create fails, and no layer in use is lost',
  async () => {
    await using store = await testStore();
    const end = performance.now() + 6000;
    let [made, cleaned] = [0, 0];
    const creator = async (lane: number) => {
      for (let i = 0; performance.now() < end; i += 1) {
        const id = `r${lane}-${i}`;
        const ran = await store.graft(['create', lane % 2 === 0 ? wide : tangled, id]);
        expect([ran.code, ran.code === 0 ? '' : ran.stdout]).toEqual([0, '']);
        const file = lane % 2 === 0 ? ['top', `layer ${LAYERS - 1}`] : ['etc/name', 'bottom'];
        expect(readFileSync(`${store.path}/images/${id}/rootfs/${file[0]}`, 'utf8')).toBe(file[1] ?? '');
        expect((await store.graft(['delete', id])).code).toBe(0);
        made += 1;
      }
    };
    const cleaner = async () => {
      while (performance.now() < end) {
        const ran = await store.graft(['clean']);
        expect([ran.code, ran.code === 0 ? '' : ran.stdout]).toEqual([0, '']);
        if (ran.stdout === 'clean completed\n') cleaned += 1;
      }
    };
    // All of them end before the store goes, also when one fails: what it says is then what the test says.
    const lanes = await Promise.allSettled([...times(4, creator), cleaner(), cleaner()]);
    expect(lanes.flatMap((lane) => (lane.status === 'rejected' ? [lane.reason] : []))).toEqual([]);
    expect(made).toBeGreaterThan(8);
    expect(cleaned).toBeGreaterThan(8);
    expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
    await emptied(store);
  },
  3 * MINUTES,
);

test(
  'deletes that race both succeed, and so does a create of the same id after them',
  async () => {
    await using store = await testStore();
    for (let round = 0; round < 5; round += 1) {
      await store.must(['create', tangled, 'twice']);
      succeeded(await Promise.all(times(4, () => store.graft(['delete', 'twice']))));
      expect(unfinished(store.path)).toEqual([]);
      expect(readdirSync(`${store.path}/images`)).toEqual([]);
    }
    await emptied(store);
  },
  2 * MINUTES,
);

test(
  'a delete while the image is created leaves neither a mount nor half an image',
  async () => {
    await using store = await testStore();
    await store.must(['pull', wide]);
    for (let round = 0; round < 12; round += 1) {
      const create = store.graft(['create', wide, 'fleeting']);
      await Bun.sleep(round * 4);
      const deleted = await store.graft(['delete', 'fleeting']);
      expect([deleted.code, deleted.code === 0 ? '' : deleted.stdout]).toEqual([0, '']);
      const made = await create;
      const there = readdirSync(`${store.path}/images`).length === 1;
      // Deleted after the create had answered, or before: what a create answers is there as long as nobody deletes it.
      if (there) expect(made.code).toBe(0);
      await store.must(['delete', 'fleeting']);
      expect(await store.must(['check'])).toBe('Nothing is wrong.\n');
      expect(unfinished(store.path)).toEqual([]);
    }
    await emptied(store);
  },
  2 * MINUTES,
);

test(
  'half of the creators are killed, and the others take over at once',
  async () => {
    await using store = await testStore();
    const held = Promise.withResolvers<void>();
    await using registry = stubborn(held.resolve);
    const args = [
      '--store',
      store.path,
      'create',
      '--insecure-registry',
      registry.host,
      registry.image(':latest'),
    ];
    const creators = times(10, (i) =>
      Bun.spawn([executable(), ...args, `k${i}`], { env: cleanEnv(), stdio: ['ignore', 'pipe', 'ignore'] }),
    );
    await held.promise;
    const [claim = ''] = readdirSync(`${store.path}/locks`).filter((name) => name.endsWith('.claim'));
    const [holder = ''] = readdirSync(`${store.path}/locks/${claim}`);
    const pid = Number(holder.split('.')[0]);
    expect(creators.map((creator) => creator.pid)).toContain(pid);
    const waiting = creators.filter((creator) => creator.pid !== pid);
    // Until every other creator waits for the claim: it has a lease by then.
    while (readdirSync(`${store.path}/meta/leases`).length < creators.length) await Bun.sleep(10);
    for (const creator of [...waiting.slice(0, 4), ...creators.filter((creator) => creator.pid === pid)])
      creator.kill('SIGKILL');
    const start = performance.now();
    const survivors = waiting.slice(4);
    expect(await Promise.all(survivors.map(({ exited }) => exited))).toEqual(survivors.map(() => 0));
    // A lock that goes stale by time takes ten seconds or thirty.
    expect(performance.now() - start).toBeLessThan(5000);
    expect(registry.asked(registry.layer).length).toBe(2);
    await store.must(['clean']);
    expect(unfinished(store.path)).toEqual([]);
    await emptied(store);
  },
  2 * MINUTES,
);

/** A registry that never answers the first request for the layer, and all later ones. */
function stubborn(asked: () => void): FakeRegistry & AsyncDisposable & { readonly layer: string } {
  const image = fakeImage([tarOfNoise()]);
  const layer = image.layers[0]?.digest ?? '';
  let requests = 0;
  const registry = fakeRegistry(image, {
    override: async (request, answer) => {
      if (!request.target.endsWith(layer)) return false;
      requests += 1;
      if (requests > 1) return false;
      asked();
      await answer.gone;
      return true;
    },
  });
  return { ...registry, layer, [Symbol.asyncDispose]: () => registry.stop() };
}

/** A tar of one file. */
function tarOfNoise(): Uint8Array {
  // Too large to be looked at for what else it might be.
  const content = noise(3 << 20);
  const header = Buffer.alloc(512);
  header.write('file', 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${content.length.toString(8).padStart(11, '0')}\0`, 124);
  header.write('00000000000\0', 136);
  header.write('        ', 148);
  header.write('0ustar\x0000', 156);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return Buffer.concat([header, content, Buffer.alloc(512 * 2 + 512 - (content.length % 512))]);
}

test(
  'of fifty cleans one works, and the others say so and exit 0',
  async () => {
    await using store = await testStore();
    await store.must(['pull', wide]);
    const cleans = () => Promise.all(times(50, () => store.graft(['clean'], { timeoutMs: MINUTES })));
    const said = (runs: readonly Ran[]) => new Set(runs.map(({ stdout }) => stdout));
    const held = await withLock(`${store.path}/locks/clean`, { timeoutMs: 0, what: 'the lock' }, cleans);
    succeeded(held);
    expect(said(held)).toEqual(new Set(['another clean is running: skipping clean\n']));
    const free = await cleans();
    succeeded(free);
    expect(said(free)).toContain('clean completed\n');
    expect(contents(store.path)).toEqual([]);
  },
  3 * MINUTES,
);
