/** `ci/tenants`: see there. */
import { writeSync } from 'node:fs';
import { honestTenants, round, type Times } from '../test/tenants/rounds.ts';
import { leaveWorld, makeWorld, type World } from '../test/tenants/world.ts';

const DEFAULT_ROUNDS = 200;
const DEFAULT_SECONDS = 900;
const LIVES = 3;
/** How much longer the honest tenants may take beside the hostile ones, by their medians. */
const BOUND = 3;
/** Rounds until a registry holds a popular layer again: each time costs those who wait ten seconds, as it is meant to. */
const DRIP_EVERY = 20;
const SAID_EVERY = 10;
const FAULTS_SHOWN = 20;

function say(line: string): void {
  writeSync(1, `${line}\n`);
}

function quantile(numbers: readonly number[], part: number): number {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

const median = (numbers: readonly number[]) => quantile(numbers, 0.5);

/** Tells how long they took, alone and beside the others; false when that is too long. */
function compare(kind: string, alone: readonly number[], beside: readonly number[]): boolean {
  const ratio = median(beside) / median(alone);
  const line = (numbers: readonly number[]) =>
    `${median(numbers).toFixed(0)} ms (${numbers.length} times, 95 %: ${quantile(numbers, 0.95).toFixed(0)} ms)`;
  say(`${kind}: alone ${line(alone)}, beside the hostile ones ${line(beside)}: ${ratio.toFixed(2)} times`);
  return ratio <= BOUND;
}

/** Rounds by themselves and beside the hostile tenants in turn, so that both see the same of the machine's other work. */
async function rounds(world: World, count: number, end: number): Promise<readonly [Times, Times, number]> {
  const [alone, beside]: [Times, Times] = [
    { cold: [], warm: [] },
    { cold: [], warm: [] },
  ];
  let done = 0;
  for (; done < count && performance.now() < end; done += 1) {
    await honestTenants(world, LIVES, alone);
    await round(world, { number: done, lives: LIVES, dripping: done % DRIP_EVERY === 0 }, beside);
    if ((done + 1) % SAID_EVERY === 0) say(`${done + 1} of ${count}; ${world.faults.length} faults`);
  }
  return [alone, beside, done];
}

async function main(count: number, seconds: number): Promise<number> {
  const started = performance.now();
  await using world = await makeWorld();
  const [alone, beside, done] = await rounds(world, count, started + seconds * 1000);
  await leaveWorld(world);
  say(`${done} rounds in ${((performance.now() - started) / 1000).toFixed(0)} s`);
  if (done < count) world.fault(`only ${done} of ${count} rounds in ${seconds} s`);
  const cold = compare('cold create', alone.cold, beside.cold);
  const warm = compare('warm create, stats and delete', alone.warm, beside.warm);
  if (!cold || !warm) world.fault(`the honest tenants take more than ${BOUND} times as long`);
  for (const fault of world.faults.slice(0, FAULTS_SHOWN)) say(`fault: ${fault}`);
  say(world.faults.length === 0 ? 'nothing is left, nothing failed' : `${world.faults.length} faults`);
  return world.faults.length === 0 ? 0 : 1;
}

const [count = String(DEFAULT_ROUNDS)] = process.argv.slice(2);
process.exit(await main(Number(count), Number(process.env['GRAFT_TENANTS_SECONDS'] ?? DEFAULT_SECONDS)));
