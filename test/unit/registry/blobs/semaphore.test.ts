import { expect, test } from 'bun:test';
import { Semaphore } from '../../../../lib/registry/blobs/semaphore.ts';
import { NEVER } from '../../../support/registries/registry-client.ts';

test('lets in as many as it has places, then the longest waiting', async () => {
  const semaphore = new Semaphore(2);
  const order: string[] = [];
  const enter = async (name: string) => {
    const leave = await semaphore.enter(NEVER);
    order.push(name);
    return leave;
  };
  const first = await enter('first');
  await enter('second');
  const third = enter('third');
  const fourth = enter('fourth');
  await Promise.resolve();
  expect(order).toEqual(['first', 'second']);
  first();
  const leaveThird = await third;
  expect(order).toEqual(['first', 'second', 'third']);
  leaveThird();
  await fourth;
  expect(order).toEqual(['first', 'second', 'third', 'fourth']);
});

test('a place given back twice is one place', async () => {
  const semaphore = new Semaphore(1);
  const leave = await semaphore.enter(NEVER);
  leave();
  leave();
  await semaphore.enter(NEVER);
  let entered = false;
  void semaphore.enter(NEVER).then(() => {
    entered = true;
  });
  await Bun.sleep(5);
  expect(entered).toBe(false);
});

test('who gives up waiting leaves the queue, and no place is lost', async () => {
  const semaphore = new Semaphore(1);
  const leave = await semaphore.enter(NEVER);
  const abort = new AbortController();
  const reason = new Error('enough');
  const impatient = semaphore.enter(abort.signal).catch((error: unknown) => error);
  const patient = semaphore.enter(NEVER);
  abort.abort(reason);
  expect(await impatient).toBe(reason);
  leave();
  (await patient)();
  const again = await semaphore.enter(NEVER);
  again();
  expect(await semaphore.enter(AbortSignal.abort(reason)).catch((error: unknown) => error)).toBe(reason);
});
