/** From a registry that skopeo filled to the tree that umoci unpacks, and twenty at once. */
import { expect, test } from 'bun:test';
import { readdirSync, readFileSync } from 'node:fs';
import { compareTrees } from '../../support/images/compare-trees.ts';
import { baseSystemImages, umociRootfs } from '../../support/images/images.ts';
import { push, startRegistry } from '../../support/registries/registry.ts';
import { testStore } from '../../support/stores/store.ts';

const MINUTES = 60_000;
const GiB = 1024 ** 3;

interface Spec {
  root: { path: string };
}

test(
  'an image pushed by skopeo gives the tree that umoci unpacks from the layout it came from',
  async () => {
    const { changed } = await baseSystemImages();
    await using store = await testStore({ bytes: 2 * GiB });
    await using registry = await startRegistry(store.dir.at('registry'));
    await push(`oci:${changed.name}`, `docker://${registry.host}/base/system:changed`);
    const image = `docker://${registry.host}/base/system:changed`;
    const printed = await store.must(['create', '--insecure-registry', registry.host, image, 'pulled']);
    const { root } = JSON.parse(printed) as Spec;
    expect(compareTrees(await umociRootfs(changed, store.dir.at('umoci')), root.path)).toEqual([]);
  },
  5 * MINUTES,
);

test(
  'twenty creates at once of one image fetch and unpack every layer once, and all twenty work',
  async () => {
    const { changed } = await baseSystemImages();
    await using store = await testStore({ bytes: 2 * GiB });
    await using registry = await startRegistry(store.dir.at('registry'));
    await push(`oci:${changed.name}`, `docker://${registry.host}/base/system:changed`);
    const image = `docker://${registry.host}/base/system:changed`;
    const options = ['--log-level', 'info', 'create', '--insecure-registry', registry.host, image];
    const runs = await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        store.graft([...options, `many-${i}`], { timeoutMs: 4 * MINUTES }),
      ),
    );
    const failed = runs.filter(({ code }) => code !== 0).map(({ stdout }) => stdout);
    expect(failed).toEqual([]);
    const unpacked = runs.flatMap(({ stderr }) => [...stderr.matchAll(/layer-unpacked/g)]);
    expect(unpacked.length).toBe(2);
    expect(readdirSync(`${store.path}/volumes`).filter((name) => !name.endsWith('.shim')).length).toBe(2);
    for (const { stdout } of runs) {
      const { root } = JSON.parse(stdout) as Spec;
      expect(readFileSync(`${root.path}/etc/hostname`, 'utf8')).toBe('replaced\n');
    }
    const deleted = await Promise.all(runs.map((_, i) => store.graft(['delete', `many-${i}`])));
    expect(deleted.map(({ code }) => code)).toEqual(runs.map(() => 0));
    expect(await store.must(['clean'])).toBe('clean completed\n');
    for (const name of [
      'images',
      'volumes',
      'l',
      'tmp',
      'locks',
      'projectids',
      'meta/leases',
      'meta/images',
      'meta/blobs',
    ]) {
      expect([name, readdirSync(`${store.path}/${name}`)]).toEqual([name, []]);
    }
  },
  6 * MINUTES,
);
