/** A store beside a served repository, and the program with settings for it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type StandIn, serveImage } from './cvmfs.ts';
import type { Ran, RunOptions } from './shell.ts';
import { type TestStore, testStore } from './store.ts';
import type { TempDir } from './temp.ts';

/** The repository's name in these tests. */
export const NAME = 'test.example.org';

export interface WorldOptions {
  /** The repository, packed; a copy of it is served. Or how to serve it at a mount point. */
  readonly packed: string | ((mount: string, dir: TempDir) => Promise<StandIn>);
  /** Lines of YAML for the repository's entry. */
  readonly settings?: string;
  /** Options for init-store. */
  readonly init?: readonly string[];
  readonly mountOptions?: string;
}

export interface LayerSource {
  readonly layer: string;
  readonly source: string;
  readonly reason?: string;
  readonly cvmfs?: Readonly<Record<string, string>>;
}

export interface World extends AsyncDisposable {
  readonly store: TestStore;
  readonly standIn: StandIn;
  /** The settings file. */
  readonly extra: string;
  /** Any verb, with the settings and the log at level info. */
  graft(args: readonly string[], options?: RunOptions): Promise<Ran>;
  create(image: string, id: string, ...args: string[]): Promise<Ran>;
  rootfs(id: string): string;
  /** Where each layer of a container came from, bottom first. */
  sources(id: string): Promise<LayerSource[]>;
}

async function served(packed: WorldOptions['packed'], mount: string, dir: TempDir): Promise<StandIn> {
  if (typeof packed !== 'string') return packed(mount, dir);
  const own = dir.at('repository.sqfs');
  writeFileSync(own, readFileSync(packed));
  return serveImage(own, mount);
}

export async function cvmfsWorld(options: WorldOptions): Promise<World> {
  await using cleanup = new AsyncDisposableStack();
  const { init = [], mountOptions } = options;
  const store = cleanup.use(await testStore(mountOptions === undefined ? { init } : { init, mountOptions }));
  const mount = store.dir.at('cvmfs', NAME);
  const standIn = cleanup.use(await served(options.packed, mount, store.dir));
  const extra = store.dir.at('extra.yml');
  const lines = `probe_deadline_ms: 1500\n${options.settings ?? ''}`.trimEnd().replaceAll('\n', '\n    ');
  writeFileSync(extra, `cvmfs:\n  repositories:\n  - path: ${mount}\n    ${lines}\n`);
  const moved = cleanup.move();
  const graft: World['graft'] = (args, run) =>
    store.graft(['--log-level', 'info', '--extra-config', extra, ...args], run);
  return {
    store,
    standIn,
    extra,
    graft,
    create: (image, id, ...args) => graft(['create', ...args, image, id]),
    rootfs: (id) => join(store.path, 'images', id, 'rootfs'),
    sources: async (id) => {
      const list = JSON.parse(await store.must(['list', '--json'])) as {
        id: string;
        layers: LayerSource[];
      }[];
      return list.find((one) => one.id === id)?.layers ?? [];
    },
    [Symbol.asyncDispose]: () => moved.disposeAsync(),
  };
}
