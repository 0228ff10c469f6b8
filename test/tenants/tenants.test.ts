/** One store, honest tenants, and a hostile one in each role: an image, a registry, and a running container. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { honestTenants, round } from './rounds.ts';
import { leaveWorld, makeWorld, type World } from './world.ts';

const MINUTES = 60_000;
const LIVES = 2;

let world: World;
beforeAll(async () => {
  world = await makeWorld();
}, MINUTES);
afterAll(() => world?.[Symbol.asyncDispose]());

test('honest tenants by themselves', async () => {
  await honestTenants(world, LIVES, { cold: [], warm: [] });
  expect(world.faults).toEqual([]);
});

test.each([0, 1, 2])(
  'round %d: trees are right, and nothing is left or changed outside',
  async (number) => {
    await round(world, { number, lives: LIVES, dripping: number === 0 }, { cold: [], warm: [] });
    expect(world.faults).toEqual([]);
  },
  3 * MINUTES,
);

test('the store is empty in the end', async () => {
  await leaveWorld(world);
  expect(world.faults).toEqual([]);
});
