/**
 * Are the points all there are? Every state-changing system call that strace sees in the store must be one that the
 * injector counted in the same run, and the shipped program must make the same calls as the build with the injector.
 */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { rmSync } from 'node:fs';
import { readPoints } from '../support/faults/faults.ts';
import { makeProps, type Props, prepare, SCENES, type Scene, verbOf } from '../support/faults/scenes.ts';
import { executable } from '../support/graft.ts';
import { changesOf, countOf } from '../support/programs/strace.ts';

const MINUTES = 60_000;
let props: Props;
beforeAll(async () => {
  props = await makeProps();
});
afterAll(() => props[Symbol.asyncDispose]());

/** The system calls behind the names that wrappers have. */
const SYSCALLS: Readonly<Record<string, string>> = { futimens: 'utimensat', quotactl: 'quotactl_fd' };

for (const scene of Object.values<Scene>(SCENES)) {
  test(
    `${scene.name}: the injector knows every call that strace sees`,
    async () => {
      const lane = { store: props.dir.at('traced', 'store'), props };
      const file = props.dir.at('count');
      rmSync(file, { force: true });
      await prepare(lane, scene);
      const command = (name: 'graft' | 'graft-faults') => [executable(name), ...verbOf(lane, scene)];
      const counted = await changesOf(
        command('graft-faults'),
        props.dir.at('traced'),
        props.dir.at('trace'),
        {
          GRAFT_FAULT: `count:${file}`,
        },
      );
      expect(counted.ran).toMatchObject({ code: 0 });
      const points = readPoints(file);
      expect(counted.calls).toEqual(countOf(points.map(({ syscall }) => SYSCALLS[syscall] ?? syscall)));
      expect(points.length).toBeGreaterThanOrEqual(scene.atLeast);

      await prepare(lane, scene);
      const shipped = await changesOf(command('graft'), props.dir.at('traced'), props.dir.at('trace'));
      expect(shipped.ran).toMatchObject({ code: 0 });
      expect(shipped.calls).toEqual(counted.calls);
    },
    2 * MINUTES,
  );
}

test('calls that change something are told from calls that look', async () => {
  const file = props.dir.at('traced', 'plain');
  await prepare({ store: props.dir.at('traced', 'store'), props }, SCENES.initStore);
  const of = async (...command: string[]) =>
    (await changesOf(command, props.dir.at('traced'), props.dir.at('trace'))).calls;
  expect(await of('/usr/bin/truncate', '-s', '1', file)).toEqual({ ftruncate: 1, openat: 1 });
  expect(await of('/usr/bin/stat', file)).toEqual({});
  expect(await of('/usr/bin/chmod', '600', file)).toEqual({ fchmodat: 1 });
});
