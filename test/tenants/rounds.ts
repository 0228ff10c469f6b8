/** A round of honest tenants beside hostile ones, on one store. */
import { executable } from '../support/graft.ts';
import { cleanEnv } from '../support/shell.ts';
import { startHostile } from './container.ts';
import { lookAround, succeed, treeOf, type World } from './world.ts';

/** Milliseconds of a create, its stats and its delete, together. */
export interface Times {
  /** The layers were not there. */
  readonly cold: number[];
  readonly warm: number[];
}

export interface RoundOptions {
  readonly number: number;
  /** Lives of a container, of each honest tenant, after its first. */
  readonly lives: number;
  /** Whether a registry holds a popular layer as the honest tenants begin. */
  readonly dripping: boolean;
}

const HONEST = 2;
/** A third of the hostile images and registries has its turn in each round: three rounds see all. */
const GROUPS = 3;

/** The same popular image for each of them, at once; the first containers stay, so that a clean takes no layer. */
export async function honestTenants(world: World, lives: number, times: Times): Promise<void> {
  await succeed(world, ['clean']);
  const live = async (tenant: number) => {
    const first = `honest-${tenant}`;
    const made = await create(world, first);
    times.cold.push(made);
    for (let life = 0; life < lives; life += 1) {
      const id = `${first}-${life}`;
      const created = await create(world, id);
      const started = performance.now();
      const stats = await succeed(world, ['stats', id]);
      await succeed(world, ['delete', id]);
      times.warm.push(created + performance.now() - started);
      if (!stats.includes('"total_bytes_used":')) world.fault(`stats of ${id} prints ${stats}`);
    }
    await succeed(world, ['delete', first]);
  };
  await Promise.all(Array.from({ length: HONEST }, (_, tenant) => live(tenant)));
}

/** Milliseconds that a create of the popular image took. */
async function create(world: World, id: string): Promise<number> {
  const started = performance.now();
  const said = await succeed(world, ['create', ...world.insecure, world.popular, id]);
  const took = performance.now() - started;
  if (said.startsWith('{') && treeOf(world.store, id) !== world.tree)
    world.fault(`${id} does not hold what its image does`);
  return took;
}

/** All hostile tenants at once, each again and again until the honest ones have done, and then everything gone. */
export async function round(world: World, options: RoundOptions, times: Times): Promise<void> {
  let done = false;
  const again = async (turn: (time: number) => Promise<void>) => {
    try {
      for (let time = 0; time === 0 || !done; time += 1) await turn(time);
    } catch (error) {
      world.fault(String(error));
    }
  };
  const mine = <T>(all: readonly T[]) => all.filter((_, at) => at % GROUPS === options.number % GROUPS);
  const lanes = [
    again((time) => images(world, mine(world.images), time)),
    again((time) => registries(world, mine(world.registries), time)),
    again((time) => container(world, `raging-${time}`)),
  ];
  const stopDrip = options.dripping ? await startDrip(world) : async () => {};
  try {
    await honestTenants(world, options.lives, times);
  } finally {
    done = true;
    await stopDrip();
    await Promise.all(lanes);
  }
  await lookAround(world);
}

async function images(world: World, all: World['images'], time: number): Promise<void> {
  for (const { name, reference, refused } of all) {
    const id = `image-${name}-${time}`;
    const { code, stdout } = await world.store.graft(['create', reference, id]);
    judge(world, name, code, stdout, refused);
    if (code === 0) await succeed(world, ['stats', id]);
    await succeed(world, ['delete', id]);
  }
}

async function registries(world: World, all: World['registries'], time: number): Promise<void> {
  for (const { name, reference, refused } of all) {
    const id = `registry-${time}`;
    const { code, stdout } = await world.store.graft(['create', ...world.insecure, reference, id]);
    // Where everybody's layer is there its own tree comes of it, and where it is not, the lie is found.
    if (refused === undefined && code === 0 && treeOf(world.store, id) !== world.tree)
      world.fault(`${name}: the popular layers are not what they were`);
    judge(world, name, code, stdout, refused ?? (code === 0 ? undefined : 'digest mismatch'));
    await succeed(world, ['delete', id]);
  }
}

function judge(world: World, name: string, code: number, said: string, refused: string | undefined): void {
  const right = refused === undefined ? code === 0 : code === 1 && said.includes(refused);
  if (!right) world.fault(`${name}: create exits ${code}: ${said.trim()}`);
}

/** Measured, swept and deleted while it rages, and once more when it has ended. */
async function container(world: World, id: string): Promise<void> {
  const fragment = await succeed(world, ['create', world.busybox, id]);
  const hostile = await startHostile(world.store.dir.path, id, fragment, world.outside);
  try {
    await succeed(world, ['stats', id]);
    await succeed(world, ['usage', '--json']);
    await succeed(world, ['clean']);
    await world.store.graft(['check']);
    await succeed(world, ['delete', id]);
  } finally {
    await hostile.stop();
  }
  await succeed(world, ['delete', id]);
}

/** A create that holds the first popular layer and gets its bytes drop by drop. Ends by SIGTERM. */
async function startDrip(world: World): Promise<() => Promise<void>> {
  const { store, drip, insecure } = world;
  const args = ['--store', store.path, 'create', ...insecure, drip.reference, 'dripping'];
  const before = drip.held();
  const child = Bun.spawn([executable(), ...args], {
    env: cleanEnv(),
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  while (drip.held() === before && child.exitCode === null) await Bun.sleep(5);
  return async () => {
    child.kill('SIGTERM');
    await child.exited;
    // The popular layer is everybody's: where another tenant brought it, this container was made of it.
    await succeed(world, ['delete', 'dripping']);
  };
}
