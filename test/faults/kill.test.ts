/**
 * SIGKILL after state-changing system calls of create, delete, clean and init-store: a sample of them in each run, all
 * of them with `ci/faults` (support/fault-sample.ts). After each: the next
 * verb works, `check` finds nothing wrong, and deleting and cleaning leave the store empty.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { graftWithFault } from '../support/faults/faults.ts';
import {
  atEveryPoint,
  makeProps,
  type Props,
  recovers,
  SCENES,
  type Scene,
  verbOf,
} from '../support/faults/scenes.ts';

const MINUTES = 60_000;
let props: Props;
beforeAll(async () => {
  props = await makeProps();
});
afterAll(() => props[Symbol.asyncDispose]());

for (const scene of Object.values<Scene>(SCENES)) {
  test(
    `${scene.name} can be killed anywhere`,
    async () => {
      const { points, complaints } = await atEveryPoint(
        scene,
        props,
        async (lane, { thread, number }) => {
          const ran = await graftWithFault(verbOf(lane, scene), `kill:${thread}:${number}`);
          if (ran.signal !== 'SIGKILL') throw new Error(`it was not killed: ${ran.stdout}`);
          await recovers(lane, scene);
        },
        // After a call that the kernel refused everything is as before it.
        { wanted: ({ done }) => done },
      );
      expect(complaints).toEqual([]);
      expect(points).toBeGreaterThanOrEqual(scene.atLeast);
    },
    10 * MINUTES,
  );
}
