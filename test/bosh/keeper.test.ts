/** The process that monit watches on a cell: started, stopped, and what it cleans. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import type { Boot, Cell } from './cell.ts';
import { BIN, create, diegoCell, plugin, small, storePath, waitFor } from './diego-cell.ts';

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
const log = (name: string) => cell.read(`sys/log/graft/${name}.log`);
const until = (condition: string) => waitFor(boot, condition);

describe('the keeper', () => {
  /** Lets it clean every second instead of every half minute, which is the least that the property takes. */
  const hasten = () =>
    boot.must(`sed -i 's/^GC_INTERVAL=.*/GC_INTERVAL=1/' /var/vcap/jobs/graft/config/settings.sh`);

  test('cleans what no container uses, and leaves what one does', async () => {
    await cell.deployJob('graft', { properties: small({ 'graft.gc_threshold_in_mb': 0 }) });
    await boot.must(`${BIN}/pre-start`);
    await create(boot, 'privileged', 'stays');
    await create(boot, 'unprivileged', 'goes');
    await boot.must(plugin('unprivileged', 'delete goes'));
    await hasten();
    await boot.must(`${BIN}/graft_ctl start`);
    await until(`[ -z "$(ls ${storePath('unprivileged')}/volumes)" ]`);
    await until(`grep -q 'privileged: clean completed' /var/vcap/sys/log/graft/keeper.stdout.log`);
    await boot.must(`chroot ${storePath('privileged')}/images/stays/rootfs /bin/cat /etc/passwd`);
  });

  test('runs once, however often it is started', async () => {
    await deployed();
    const first = await keeper();
    await boot.must(`${BIN}/graft_ctl start`);
    expect(await keeper()).toBe(first);
    expect(cell.read('sys/run/graft/graft.pid')).toBe(first);
  });

  test('goes on after a clean that fails', async () => {
    await deployed();
    await boot.must(`${BIN}/graft_ctl stop; umount ${storePath('privileged')}`);
    await hasten();
    await boot.must(`setsid ${BIN}/keeper </dev/null >>/var/vcap/sys/log/graft/keeper.stdout.log 2>&1 &`);
    await until(
      `[ "$(grep -c 'privileged: the clean failed' /var/vcap/sys/log/graft/keeper.stdout.log)" -ge 2 ]`,
    );
  });

  test('ends at once when it is stopped, and stopping again is no error', async () => {
    await deployed();
    await boot.must(`${BIN}/graft_ctl stop`);
    expect(await keeper()).toBe('');
    expect(cell.exists('sys/run/graft/graft.pid')).toBe(false);
    await boot.must(`${BIN}/graft_ctl stop`);
    expect(await boot.must('pgrep -x sleep || true')).toBe('');
  });

  test('that ends at once fails the start, which says where to look', async () => {
    await boot.must(`${BIN}/pre-start`);
    await boot.must(`printf '#!/bin/bash\necho broken >&2; exit 3\n' >${BIN}/keeper`);
    expect((await boot.run(`${BIN}/graft_ctl start`)).code).toBe(1);
    expect(log('graft_ctl.stderr')).toContain(
      'the keeper has ended at once, see /var/vcap/sys/log/graft/keeper.stderr.log',
    );
    expect(log('keeper.stderr')).toBe('broken\n');
  });

  test('is not taken for a process that got its number', async () => {
    await deployed();
    await boot.must(
      `${BIN}/graft_ctl stop; sleep 1000 </dev/null >/dev/null 2>&1 & echo $! >/var/vcap/sys/run/graft/graft.pid`,
    );
    await boot.must(`${BIN}/graft_ctl stop; pgrep -x sleep`);
    await boot.must(`${BIN}/graft_ctl start`);
    expect((await keeper()).trim()).not.toBe('');
  });
});
