/** A store beside a served repository, and the program with settings for it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ran, RunOptions } from '../shell.ts';
import { type TestStore, testStore } from '../stores/store.ts';
import type { TempDir } from '../temp.ts';
import { type StandIn, serveImage } from './server.ts';

/** The repository's name in these tests. */
export const NAME = 'test.example.org';

/** No probe of a repository that answers takes as long, however busy the machine is. */
export const PATIENCE_MS = 300_000;
/** Short, for repositories that do not answer. */
export const DEADLINE_MS = 1500;

export interface WorldOptions {
  /** The repository, packed; a copy of it is served. Or how to serve it at a mount point. */
  readonly packed: string | ((mount: string, dir: TempDir) => Promise<StandIn>);
  /** Lines of YAML for the repository's entry. */
  readonly settings?: string;
  /** For tests that wait for it to pass; `PATIENCE_MS` unless given. */
  readonly deadlineMs?: number;
  /** Options for init-store. */
  readonly init?: readonly string[];
  readonly mountOptions?: string;
}

interface LayerSource {
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
  /** From now on the configuration has this deadline for probes. */
  setDeadline(milliseconds: number): void;
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
  const setDeadline = (milliseconds: number) => {
    const settings = `probe_deadline_ms: ${milliseconds}\n${options.settings ?? ''}`;
    const lines = settings.trimEnd().replaceAll('\n', '\n    ');
    writeFileSync(extra, `cvmfs:\n  repositories:\n  - path: ${mount}\n    ${lines}\n`);
  };
  setDeadline(options.deadlineMs ?? PATIENCE_MS);
  const moved = cleanup.move();
  const graft: World['graft'] = (args, run) =>
    store.graft(['--log-level', 'info', '--extra-config', extra, ...args], run);
  return {
    store,
    standIn,
    extra,
    graft,
    create: (image, id, ...args) => graft(['create', ...args, image, id]),
    setDeadline,
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
