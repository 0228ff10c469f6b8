/**
 * State-changing system calls of create, delete, clean and init-store failing once, with ENOSPC, EIO or EMFILE: a
 * sample of them in each run, all of them with `ci/faults` (support/fault-sample.ts). Each time the verb either succeeds or says one sentence and leaves nothing behind; the next verb works,
 * and `check` finds nothing wrong.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, rmSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { type FaultPoint, graftWithFault, pointName, readPoints } from '../support/faults/faults.ts';
import {
  atEveryPoint,
  type Lane,
  makeProps,
  type Props,
  recovers,
  SCENES,
  type Scene,
  verbOf,
} from '../support/faults/scenes.ts';
import type { Ran } from '../support/shell.ts';
import { unfinished } from '../support/stores/names.ts';

const MINUTES = 60_000;
/** asm-generic/errno-base.h, the same on x86-64 and arm64. */
const ERRNOS = [
  ['EIO', 5],
  ['EMFILE', 24],
  ['ENOSPC', 28],
] as const;
let props: Props;
beforeAll(async () => {
  props = await makeProps();
});
afterAll(() => props[Symbol.asyncDispose]());

async function fail(scene: Scene, lane: Lane, point: FaultPoint, errno: number): Promise<void> {
  const calls = props.dir.at(`calls-${basename(dirname(lane.store))}`);
  rmSync(calls, { force: true });
  const plan = `fail:${point.thread}:${point.number}:${errno} count:${calls}`;
  const ran = await graftWithFault(verbOf(lane, scene), plan);
  // Threads and batches of layers change the order of calls, so the call of that number may be another one in this run.
  const failed = readPoints(calls).find(
    ({ thread, number }) => thread === point.thread && number === point.number,
  );
  const complaint = outcome(ran);
  if (complaint !== undefined) throw new Error(complaint);
  const made = existsSync(`${lane.store}/images/victim`);
  if (scene.makes && made !== (ran.code === 0))
    throw new Error(`exit ${ran.code}, image made: ${made}; ${ran.stdout}`);
  const left = unfinished(lane.store);
  if (left.length > 0 && (failed === undefined || !mayStay(scene, failed, left)))
    throw new Error(`${failed && pointName(failed)}: ${ran.stdout} leaves ${left.join(', ')}`);
  await recovers(lane, scene);
}

/** What is wrong with what the caller got: on failure one line for a person, which names no bug of ours. */
function outcome({ code, signal, stdout }: Ran): string | undefined {
  if (code === 0) return undefined;
  const sentence = /^[^\n]{20,}\n$/.test(stdout) && !/does not expect|undefined|\[object/.test(stdout);
  return code === 1 && signal === undefined && sentence ? undefined : `exit ${code} ${signal}: ${stdout}`;
}

/**
 * Where removing is what failed, the one name that it was about stays, where the next sweep removes it: its owner
 * is dead. A delete may leave its image half deleted, a clean one volume set aside.
 */
function mayStay(scene: Scene, { syscall, path }: FaultPoint, left: readonly string[]): boolean {
  const removes = syscall === 'unlinkat' || (syscall === 'renameat2' && path.endsWith('~trash'));
  if (!removes || left.length > 1) return false;
  return left.every((name) => {
    if (/^(tmp|locks|meta\/leases)\//.test(name) || name === 'the lock of init-store') return true;
    if (scene === SCENES.delete) return name === 'images/victim without a record';
    return scene === SCENES.clean && name.startsWith('volumes/gc.');
  });
}

for (const scene of Object.values<Scene>(SCENES)) {
  for (const [shift, [name, errno]] of ERRNOS.entries()) {
    test(
      `${scene.name} can fail anywhere with ${name}`,
      async () => {
        const { points, complaints } = await atEveryPoint(
          scene,
          props,
          (lane, point) => fail(scene, lane, point, errno),
          { shift },
        );
        expect(complaints).toEqual([]);
        expect(points).toBeGreaterThanOrEqual(scene.atLeast);
      },
      10 * MINUTES,
    );
  }
}
