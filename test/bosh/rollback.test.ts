/** Leaving a cell: the stores go when nobody uses them. And the errand that looks at one. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import type { Boot, Cell } from './cell.ts';
import {
  BIN,
  create,
  diegoCell,
  SMALL,
  STORES,
  small,
  startProcess,
  storePath,
  waitFor,
} from './diego-cell.ts';

let cell: Cell;
let boot: Boot;
beforeEach(async () => {
  cell = await diegoCell();
  boot = cell.boot();
});
afterEach(async () => {
  await boot.pullPlug();
  await cell[Symbol.asyncDispose]();
});

const deployed = () => boot.must(`${BIN}/pre-start && ${BIN}/graft_ctl start`);
const keeper = () => boot.must("pgrep -f '^/bin/bash /var/vcap/jobs/graft/bin/keeper' || true");
const until = (condition: string) => waitFor(boot, condition);

describe('the way back to GrootFS', () => {
  const retire = () => cell.deployJob('graft', { properties: small({ 'graft.retire_stores': true }) });
  const gone = () => STORES.every((store) => !cell.exists(`data/graft/store/${store}.backing-store`));

  test('removes both stores with everything in them', async () => {
    await deployed();
    await create(boot, 'privileged', 'left-over');
    await boot.must(`${BIN}/graft_ctl stop`);
    await retire();
    await boot.must(`${BIN}/pre-start`);
    expect(gone()).toBe(true);
    expect(
      await boot.must(`ls /var/vcap/data/graft/store; grep -c /graft/ /proc/self/mountinfo || true`),
    ).toBe('0\n');
    await boot.must(`${BIN}/graft_ctl start`);
    expect((await keeper()).trim()).not.toBe('');
    expect(await boot.must('ls /var/vcap/data/graft/store')).toBe('');
  });

  test('leaves a store as long as a container uses it, and removes it then', async () => {
    await deployed();
    await create(boot, 'unprivileged', 'c1');
    await startProcess(boot, 'unprivileged', 'c1');
    await boot.must(`${BIN}/graft_ctl stop`);
    await retire();
    const said = await boot.must(`${BIN}/pre-start`);
    expect(said).toContain('images/c1/rootfs is the root filesystem of a running container');
    expect(cell.exists('data/graft/store/unprivileged.backing-store')).toBe(true);
    expect(cell.exists('data/graft/store/privileged.backing-store')).toBe(false);
    await boot.must("pgrep -f '^/bin/sleep 100000'");
    // Every minute on a cell.
    await boot.must(
      `sed -i 's/pause 60/pause 1/' ${BIN}/keeper; ${BIN}/graft_ctl start; pkill -f '^/bin/sleep 100000'`,
    );
    await until(`[ ! -e ${storePath('unprivileged')}.backing-store ]`);
  });

  test('works after a reboot, when nothing is mounted', async () => {
    await deployed();
    await boot.pullPlug();
    boot = cell.boot();
    await retire();
    await boot.must(`${BIN}/graft_ctl start`);
    await until(`[ ! -e ${storePath('privileged')}.backing-store ]`);
    await until(`[ ! -e ${storePath('unprivileged')}.backing-store ]`);
  });

  test('on a cell that never had graft does nothing', async () => {
    await retire();
    await boot.must(`${BIN}/pre-start && ${BIN}/graft_ctl start`);
    expect(gone()).toBe(true);
  });

  test('and there again is a new beginning', async () => {
    await deployed();
    await boot.must(`${BIN}/graft_ctl stop`);
    await retire();
    await boot.must(`${BIN}/pre-start`);
    await cell.deployJob('graft', { properties: SMALL });
    await deployed();
    await create(boot, 'privileged', 'c1');
  });
});

describe('the errand graft-doctor', () => {
  const doctor = '/var/vcap/jobs/graft-doctor/bin/run';
  beforeEach(() => cell.deployJob('graft-doctor'));

  test('asks about both stores', async () => {
    await deployed();
    const { stdout } = await boot.run(doctor);
    expect(stdout).toContain('== the unprivileged store\n');
    expect(stdout).toContain('== the privileged store\n');
  });

  test('fails when a store is not there', async () => {
    expect((await boot.run(doctor)).code).toBe(1);
  });

  test('says that it stands on the wrong machine', async () => {
    await boot.must('rm /var/vcap/jobs/graft');
    const ran = await boot.run(doctor);
    expect([ran.code, ran.stderr]).toEqual([
      1,
      'The job graft is not on this machine: colocate graft-doctor with it.\n',
    ]);
  });
});
