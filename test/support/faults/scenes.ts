/** The verbs that are stopped and failed at every state-changing call, each with what has to be there before. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { graft, graftMust } from '../graft.ts';
import { type FakeRegistry, fakeImage, fakeRegistry } from '../registries/fake-registry.ts';
import { contents } from '../stores/names.ts';
import { type TempDir, tempDir, unmountBelow } from '../temp.ts';
import { countPoints, type FaultPoint, pointName } from './faults.ts';
import { faultLayers, makeFaultImage } from './image.ts';
import { faultSample, sampled, sampleName } from './todays-points.ts';

/** What the scenes make containers of. */
export interface Props extends AsyncDisposable {
  readonly dir: TempDir;
  /** `oci:` reference of an image of three layers (fault-image.ts). */
  readonly image: string;
  readonly tar: string;
  readonly registry: FakeRegistry;
  /** Settings that keep every download for the next try. */
  readonly extra: string;
}

/** A store of its own: lanes run side by side. */
export interface Lane {
  readonly store: string;
  readonly props: Props;
}

export interface Scene {
  readonly name: string;
  /** The verb makes the image `victim`, or on failure none. */
  readonly makes?: boolean;
  /** Fewer points than this would mean that the injection does not work. */
  readonly atLeast: number;
  /** Options of the store; undefined where the verb itself makes it. */
  readonly init: readonly string[] | undefined;
  /** Verbs that must have succeeded before, each with its arguments. */
  readonly before: (props: Props) => readonly (readonly string[])[];
  readonly verb: (props: Props) => readonly string[];
  /** Leaves points out that another scene has. */
  readonly only?: (points: readonly FaultPoint[]) => readonly FaultPoint[];
}

const IMAGES = ['--layers', 'images'];

/** Calls on the file of an image, and on mounts of layers and their locks. */
function aboutImages(points: readonly FaultPoint[]): readonly FaultPoint[] {
  return points.filter(({ path }) => /fs\.erofs|\/volumes\/[^ ]*\/fs$|~layer\/fs$/.test(path));
}

/** mkfs.xfs refuses less than 300 MB. */
const LOOP_BYTES = String(320 * 1024 * 1024);

export const SCENES = {
  coldCreate: {
    name: 'a cold create',
    makes: true,
    atLeast: 150,
    init: [],
    before: () => [],
    verb: ({ image }) => ['create', image, 'victim'],
  },
  warmCreate: {
    name: 'a warm create',
    makes: true,
    atLeast: 20,
    init: [],
    before: ({ image }) => [['pull', image]],
    verb: ({ image }) => ['create', image, 'victim'],
  },
  tarCreate: {
    name: 'a create from a tar',
    makes: true,
    atLeast: 20,
    init: ['--uid-mapping', '0:100000:65536', '--gid-mapping', '0:100000:65536'],
    before: () => [],
    verb: ({ tar }) => ['create', tar, 'victim'],
    // The lease is extended after the reading; owners are mapped. The rest is as in `a cold create`.
    only: (points) =>
      points.filter(
        ({ syscall, path }) => syscall.includes('chown') || /\/(leases|sources|locks)\//.test(path),
      ),
  },
  registryCreate: {
    name: 'a create from a registry',
    makes: true,
    atLeast: 15,
    init: [],
    before: () => [],
    // What is kept of a download and of its manifest. The rest is as in `a cold create`.
    only: (points) => points.filter(({ path }) => /\/partial(\/|$)|\/blobs\/|~blob$/.test(path)),
    verb: ({ registry, extra }) => [
      '--extra-config',
      extra,
      'create',
      '--insecure-registry',
      registry.host,
      registry.image(':latest'),
      'victim',
    ],
  },
  delete: {
    name: 'a delete',
    atLeast: 9,
    init: [],
    before: ({ image }) => [['create', image, 'victim']],
    verb: () => ['delete', 'victim'],
  },
  clean: {
    name: 'a clean',
    atLeast: 45,
    init: [],
    // The tar is the image's lowest layer: it stays, the others go.
    before: ({ image, tar }) => [
      ['pull', image],
      ['create', tar, 'kept'],
    ],
    verb: () => ['clean'],
  },
  imageCreate: {
    name: 'a cold create of layers that are images',
    makes: true,
    atLeast: 12,
    init: IMAGES,
    before: () => [],
    verb: ({ image }) => ['create', image, 'victim'],
    // The rest is as in `a cold create`.
    only: aboutImages,
  },
  imageDelete: {
    name: 'a delete of the last container of layers that are images',
    atLeast: 2,
    init: IMAGES,
    before: ({ image }) => [['create', image, 'victim']],
    verb: () => ['delete', 'victim'],
    only: aboutImages,
  },
  initImages: {
    name: 'an init-store that tries images',
    atLeast: 10,
    init: undefined,
    before: () => [],
    verb: () => ['init-store', ...IMAGES],
    only: (points) => points.filter(({ path }) => path.includes('~trial') || path.includes('graft.json')),
  },
  initStore: {
    name: 'an init-store',
    atLeast: 50,
    init: undefined,
    before: () => [],
    verb: () => ['init-store'],
  },
  initLoopStore: {
    name: 'an init-store with a size',
    atLeast: 8,
    init: undefined,
    before: () => [],
    verb: () => ['init-store', '--store-size-bytes', LOOP_BYTES],
    // What comes after the mount is what `an init-store` does.
    only: (points) => points.slice(0, 1 + points.findIndex(({ path }) => path.endsWith('/images'))),
  },
} satisfies Record<string, Scene>;

export async function makeProps(): Promise<Props> {
  const dir = tempDir();
  const tar = dir.at('layer.tar');
  const [bottom = new Uint8Array(), middle = new Uint8Array()] = await faultLayers();
  writeFileSync(tar, bottom);
  // Small enough to arrive in one piece, so that every run keeps it by the same calls.
  const registry = fakeRegistry(fakeImage([middle]));
  writeFileSync(dir.at('extra.yml'), 'registries: {resume_from_bytes: 1}');
  return {
    dir,
    image: await makeFaultImage(dir.at('layout')),
    tar,
    registry,
    extra: dir.at('extra.yml'),
    async [Symbol.asyncDispose]() {
      registry.stop();
      await dir.remove();
    },
  };
}

/** Makes the store of a lane anew, as the scene wants to find it. */
export async function prepare(lane: Lane, scene: Scene): Promise<void> {
  const { store, props } = lane;
  await unmountBelow(store);
  rmSync(dirname(store), { recursive: true, force: true });
  mkdirSync(dirname(store));
  if (scene.init !== undefined) await graftMust(['--store', store, 'init-store', ...scene.init]);
  for (const verb of scene.before(props)) await graftMust(['--store', store, ...verb]);
}

/** The arguments of a scene's verb on a lane's store. */
export function verbOf({ store, props }: Lane, scene: Scene): string[] {
  return ['--store', store, ...scene.verb(props)];
}

/** Lanes side by side: the processes of one wait for the disk half of the time. */
const LANES = 3;

export interface Attempts {
  /** All points of the scene, of which a sample was tried. */
  readonly points: number;
  /** Sentences that say what was wrong at which point. */
  readonly complaints: readonly string[];
}

/**
 * Runs `attempt` for the sample of a scene's points, each on a store as the scene wants it. `attempt` throws what is
 * wrong. `shift` makes tests of the same scene try different points.
 */
export async function atEveryPoint(
  scene: Scene,
  props: Props,
  attempt: (lane: Lane, point: FaultPoint) => Promise<void>,
  { wanted = () => true, shift = 0 }: { wanted?: (point: FaultPoint) => boolean; shift?: number } = {},
): Promise<Attempts> {
  const sample = faultSample();
  const lanes = Array.from({ length: LANES }, (_, i) => ({
    store: props.dir.at(`lane${i}`, 'store'),
    props,
  }));
  const points = (await pointsOf(scene, { store: props.dir.at('counted', 'store'), props })).filter(wanted);
  const left = sampled(points, sample, shift);
  const complaints: string[] = [];
  const work = async (lane: Lane) => {
    for (let point = left.shift(); point !== undefined; point = left.shift()) {
      try {
        await prepare(lane, scene);
        await attempt(lane, point);
      } catch (error) {
        complaints.push(`${sampleName(sample)} ${pointName(point)}: ${String((error as Error).message)}`);
      }
    }
  };
  await Promise.all(lanes.map(work));
  return { points: points.length, complaints };
}

async function pointsOf(scene: Scene, lane: Lane): Promise<readonly FaultPoint[]> {
  await prepare(lane, scene);
  const points = await countPoints(verbOf(lane, scene), lane.props.dir.at('count'));
  await unmountBelow(lane.store);
  return scene.only?.(points) ?? points;
}

/** Runs a verb that must succeed, whatever happened before; returns its stdout. */
async function works({ store }: Lane, args: readonly string[]): Promise<string> {
  const ran = await graft(['--store', store, ...args]);
  if (ran.code !== 0)
    throw new Error(`then \`${args.join(' ')}\` exits ${ran.code}: ${ran.stdout}${ran.stderr}`);
  return ran.stdout;
}

/** After whatever happened: verbs work, nothing is wrong, and nothing is left when all of it is deleted. */
export async function recovers(lane: Lane, scene: Scene): Promise<void> {
  if (scene.init === undefined) await works(lane, scene.verb(lane.props));
  await works(lane, ['create', lane.props.image, 'next']);
  await works(lane, ['check', '--repair']);
  const found = await works(lane, ['check']);
  if (found !== 'Nothing is wrong.\n') throw new Error(`then check says ${found}`);
  for (const id of ['next', 'victim', 'kept']) await works(lane, ['delete', id]);
  await works(lane, ['clean']);
  // A download that was begun is kept for a day, for whoever wants the rest.
  const left = contents(lane.store).filter((path) => !path.startsWith('meta/partial/'));
  if (left.length > 0) throw new Error(`everything was deleted, and ${left.join(', ')} is left`);
}
