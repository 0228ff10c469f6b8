import { afterAll, expect, test } from 'bun:test';
import { type DiffId, digestOf } from '../../../../lib/base/digest.ts';
import { RememberingSource } from '../../../../lib/image/source/remembering-source.ts';
import type { ImageSource, ResolvedImage } from '../../../../lib/image/source/source.ts';
import { cpuVariant } from '../../../../lib/sys/kernel/cpu.ts';
import { listNames } from '../../../../lib/sys/kernel/look.ts';
import { scratchStore } from '../../../support/stores/scratch-store.ts';

const scratch = await scratchStore();
afterAll(() => scratch[Symbol.asyncDispose]());
const never = new AbortController().signal;

const IMAGE: ResolvedImage = {
  name: 'docker://registry.example/app',
  manifestDigest: digestOf('manifest'),
  grade: 'everybody',
  config: undefined,
  layers: [
    {
      digest: digestOf('blob'),
      diffId: digestOf('tar') as DiffId,
      size: 4,
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
      compression: 'none',
      baseDirectory: undefined,
      urls: [],
      kind: 'blob',
    },
  ],
};

/** Answers when the gate opens, and counts how often it was asked. */
function slowSource(answer: () => ResolvedImage) {
  const gate = Promise.withResolvers<void>();
  const asked = { times: 0 };
  const source: ImageSource = {
    resolve: async () => {
      asked.times += 1;
      await gate.promise;
      return answer();
    },
    open: () => Promise.reject(new Error('nothing is opened here')),
    delivered: () => ({ to: 'everybody' }),
    close: () => Promise.resolve(),
  };
  return {
    asked,
    open: gate.resolve,
    of: (key: string) => new RememberingSource(scratch.store, key, async () => source),
  };
}

/** Until as many processes' worth of work as there can be has been done. */
async function untilClaimed(): Promise<void> {
  while (listNames(scratch.store.layout.locks).length === 0) await Bun.sleep(1);
}

test('of many who want one image one asks, and the others wait until it is done with it', async () => {
  const slow = slowSource(() => IMAGE);
  const first = slow.of('one');
  const resolving = first.resolve(never);
  await untilClaimed();
  const others = [slow.of('one'), slow.of('one'), slow.of('one')];
  let done = 0;
  const waiting = others.map((other) => other.resolve(never).finally(() => (done += 1)));
  slow.open();
  expect(await resolving).toEqual(IMAGE);
  // Known, yet its layers are not there before the first one says so.
  await Bun.sleep(50);
  expect(done).toBe(0);
  await first.close();
  for (const image of await Promise.all(waiting)) expect(image.layers).toEqual(IMAGE.layers);
  expect(slow.asked.times).toBe(1);
  for (const other of others) await other.close();
  expect(listNames(scratch.store.layout.locks)).toEqual([]);
});

test('those who waited for one that failed ask for themselves', async () => {
  const failing = slowSource(() => {
    throw new Error('the registry is down');
  });
  const failures = [1, 2, 3, 4].map(async () => {
    const source = failing.of('two');
    try {
      return await source.resolve(never);
    } catch (error) {
      return (error as Error).message;
    } finally {
      await source.close();
    }
  });
  await untilClaimed();
  failing.open();
  expect(await Promise.all(failures)).toEqual(Array(4).fill('the registry is down'));
  expect(failing.asked.times).toBe(4);
  expect(listNames(scratch.store.layout.locks)).toEqual([]);
});

test('a wait ends with its signal', async () => {
  const slow = slowSource(() => IMAGE);
  const first = slow.of('three');
  const resolving = first.resolve(never);
  await untilClaimed();
  const stop = new AbortController();
  const waiting = slow.of('three').resolve(stop.signal);
  stop.abort(new Error('stopped'));
  expect(await waiting.catch((error: Error) => error.message)).toBe('stopped');
  slow.open();
  await resolving;
  await first.close();
});

test('an image that the processor decided is asked for again on another processor', async () => {
  for (const [level, times] of [
    [cpuVariant() ?? '', 1],
    ['v0', 2],
  ] as const) {
    const slow = slowSource(() => ({ ...IMAGE, forLevel: level }));
    slow.open();
    for (const source of [slow.of(`level-${level}`), slow.of(`level-${level}`)]) {
      expect((await source.resolve(never)).forLevel).toBe(level);
      await source.close();
    }
    expect(slow.asked.times).toBe(times);
  }
});
