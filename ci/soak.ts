/** `ci/soak`: see there. */
import { existsSync, readdirSync, readFileSync, writeFileSync, writeSync } from 'node:fs';
import { faultLayers, makeFaultImage } from '../test/support/faults/image.ts';
import { LayoutBuilder, named } from '../test/support/images/layout-builder.ts';
import { contents, unfinished } from '../test/support/stores/names.ts';
import { mountPointsBelow, tempDir } from '../test/support/temp.ts';
import { Dice } from './soak-dice.ts';
import { Figures } from './soak-figures.ts';
import { leftovers } from './soak-leftovers.ts';
import { Program, type Stop } from './soak-program.ts';

const AT_ONCE = Number(process.env['GRAFT_SOAK_AT_ONCE'] ?? 32);
/** GRAFT_SOAK_LAYERS=images writes them as images. */
const LAYERS = process.env['GRAFT_SOAK_LAYERS'] ?? 'directories';
const LOOP_BYTES = String(2 * 1024 ** 3);
const LIMIT = String(4 * 1024 ** 2);
const DEFAULT_COUNT = 10_000;
const DEFAULT_SECONDS = 3600;
/** Of a hundred creates and deletes each. About half of those that are to be killed have ended before. */
const KILLED = 20;
/** As long as a verb takes where 32 share two processors. */
const KILLED_WITHIN_MS = 200;
const CLEANED = 3;
const LOOKED_AT = 20;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

interface Soak {
  readonly program: Program;
  readonly figures: Figures;
  readonly images: readonly string[];
  /** Options of a create: a limit, where the kernel has them. */
  readonly limits: readonly string[];
  readonly seed: number;
}

/** Most are killed as the kernel kills; some as an operator does, and may clean up. */
function stopOf(dice: Dice): Stop | undefined {
  if (!dice.chance(KILLED)) return undefined;
  return { signal: dice.chance(25) ? 'SIGTERM' : 'SIGKILL', afterMs: dice.below(KILLED_WITHIN_MS) };
}

/** The life of one container: made, looked at, deleted, and each of these verbs perhaps killed. */
async function live({ program, figures, images, limits, seed }: Soak, number: number): Promise<void> {
  const dice = new Dice(seed, number);
  const id = `c${number}`;
  const image = images[dice.below(images.length)] ?? '';
  const options = [...(dice.chance(50) ? limits : []), ...(dice.chance(CLEANED) ? ['--with-clean'] : [])];
  const create = ['create', ...options, image, id];
  const made = await program.run(create, stopOf(dice));
  if (made.code === 0 && readFileSync(`${program.store}/images/${id}/rootfs/etc/name`, 'latin1') !== 'bottom')
    figures.fault(`${id} does not hold what its image does`);
  if (made.code === 0 && dice.chance(LOOKED_AT)) await program.run(['stats', id]);
  if (dice.chance(CLEANED)) await program.run(['clean'], stopOf(dice));
  if (dice.chance(KILLED)) await program.run(['delete', id], stopOf(dice));
  await program.run(['delete', id]);
  if (existsSync(`${program.store}/images/${id}`)) figures.fault(`${id} is there after its delete`);
}

/** Tells whether all were done in time. */
async function soak(work: Soak, count: number, seconds: number): Promise<number> {
  const end = performance.now() + seconds * 1000;
  let [begun, done] = [0, 0];
  const lane = async () => {
    while (begun < count && performance.now() < end) {
      begun += 1;
      await live(work, begun);
      done += 1;
      if (done % 1000 === 0) say(`${done} of ${count}; ${work.figures.line()}`);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
  return done;
}

async function makeImages(at: (...names: string[]) => string): Promise<string[]> {
  const [bottom = new Uint8Array(), middle = new Uint8Array()] = await faultLayers();
  writeFileSync(at('layer.tar'), bottom);
  const layout = new LayoutBuilder(at('two'));
  layout.write([layout.image([layout.layer(bottom), layout.layer(middle)], {}, named('two'))]);
  return [at('layer.tar'), layout.url('two'), await makeFaultImage(at('three'))];
}

async function main(count: number, seed: number, seconds: number): Promise<number> {
  await using dir = tempDir();
  const figures = new Figures();
  const program = new Program(dir.at('store'), figures);
  say(`${count} containers, ${AT_ONCE} at a time, seed ${seed}`);
  const init = await program.run(['init-store', '--store-size-bytes', LOOP_BYTES, '--layers', LAYERS]);
  say(`Layers are ${LAYERS}.`);
  if (init.stdout.includes('Layers are written as directories')) figures.fault(init.stdout.trim());
  const hasLimits = init.code === 0 && !init.stdout.includes('limits are not available');
  if (!hasLimits) say('This kernel has no project quotas: the containers have no limits.');
  const limits = hasLimits ? ['--disk-limit-size-bytes', LIMIT, '--exclude-image-from-quota'] : [];
  const started = performance.now();
  const done = await soak(
    { program, figures, images: await makeImages(dir.at), limits, seed },
    count,
    seconds,
  );
  figures.ended(done, performance.now() - started);
  if (done < count) figures.fault(`only ${done} of ${count} in ${seconds} s`);

  await program.quiet();
  for (let times = 0; times < 2; times += 1) await program.run(['clean']);
  const check = await program.run(['check']);
  if (check.stdout !== 'Nothing is wrong.\n') figures.fault(`check says: ${check.stdout.trim()}`);
  for (const left of [...contents(program.store), ...unfinished(program.store)])
    figures.fault(`left: ${left}`);
  for (const left of leftovers(program.store)) figures.fault(`left: ${left}`);
  await program.run(['delete-store']);
  for (const point of mountPointsBelow(dir.path)) figures.fault(`still mounted: ${point}`);
  for (const name of readdirSync(dir.path).filter((name) => name.startsWith('store')))
    figures.fault(`left: ${name}`);
  for (const left of leftovers(program.store)) figures.fault(`left: ${left}`);
  for (const line of figures.report()) say(line);
  return figures.faults.length === 0 ? 0 : 1;
}

const [count = String(DEFAULT_COUNT), seed = String(Date.now() % 1_000_000)] = process.argv.slice(2);
const seconds = Number(process.env['GRAFT_SOAK_SECONDS'] ?? DEFAULT_SECONDS);
process.exit(await main(Number(count), Number(seed), seconds));
