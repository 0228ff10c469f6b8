/**
 * The life of a cell with graft: the rendered scripts run as BOSH and monit run them, on a machine of the test's own,
 * with the executable under test. Limits are tried by test/quota/bosh-cell.test.ts, where the kernel has them.
 */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { statSync } from 'node:fs';
import type { Boot, Cell } from './cell.ts';
import {
  BIN,
  create,
  diegoCell,
  installGraft,
  plugin,
  STORES,
  small,
  startProcess,
  storePath,
  waitFor,
} from './diego-cell.ts';
import { rewrite } from './thresholder.ts';

const MIB = 1024 ** 2;

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
const mountsOf = (store: string) => boot.must(`grep -c ' ${store}[ /]' /proc/self/mountinfo || true`);
const keeper = () => boot.must("pgrep -f '^/bin/bash /var/vcap/jobs/graft/bin/keeper' || true");
const log = (name: string) => cell.read(`sys/log/graft/${name}.log`);
const until = (condition: string) => waitFor(boot, condition);

describe('a container', () => {
  test('is made, measured and deleted through the rendered configuration, in both stores', async () => {
    await deployed();
    for (const store of STORES) {
      const spec = await create(boot, store, 'c1');
      expect(spec.root.path).toBe(`${storePath(store)}/images/c1/rootfs`);
      expect(await boot.must(`chroot ${spec.root.path} /bin/cat /etc/passwd`)).toContain('root:x:0:0');
      const owner = store === 'unprivileged' ? '4294967294' : '0';
      expect(await boot.must(`stat -c %u ${spec.root.path}/etc/passwd`)).toBe(`${owner}\n`);
      expect(JSON.parse(await boot.must(plugin(store, 'stats c1')))).toHaveProperty(
        'disk_usage.total_bytes_used',
      );
      expect(await boot.must(plugin(store, 'delete c1'))).toBe('Image c1 deleted\n');
    }
  });

  test('is made after thresholder has rewritten the configuration', async () => {
    await deployed();
    for (const store of STORES) {
      const file = cell.at(cell.currentVersion('jobs/graft'), `config/${store}.yml`);
      expect(rewrite(file, { withClean: true, threshold: 512 * MIB, storeSize: 1024 * MIB })).toEqual([]);
      await create(boot, store, 'c1');
      await boot.must(plugin(store, 'delete c1'));
    }
    expect(await boot.must(plugin('privileged', 'capacity'))).toBe(`{"capacity":${1024 * MIB}}\n`);
    await boot.must(`${BIN}/pre-start`);
  });

  test('says nothing on stderr that Garden could not read', async () => {
    await deployed();
    const { stderr } = await boot.run(plugin('privileged', 'create /var/vcap/data/stack.tar c1'));
    for (const line of stderr.split('\n').filter(Boolean)) expect(JSON.parse(line)).toHaveProperty('data');
  });
});

describe('after a reboot', () => {
  test('start alone brings back both stores and the root filesystems with what was written to them', async () => {
    await deployed();
    for (const store of STORES) {
      const { root } = await create(boot, store, 'c1');
      await boot.must(`echo kept >${root.path}/written; sync`);
    }
    await boot.pullPlug();
    boot = cell.boot();
    expect(await mountsOf(storePath('privileged'))).toBe('0\n');
    await boot.must(`${BIN}/graft_ctl start`);
    for (const store of STORES) {
      const rootfs = `${storePath(store)}/images/c1/rootfs`;
      expect(await boot.must(`cat ${rootfs}/written; chroot ${rootfs} /bin/cat /etc/passwd`)).toContain(
        'kept\nroot:',
      );
    }
    expect((await keeper()).trim()).not.toBe('');
  });

  test('a container that cannot be mounted again keeps nobody away', async () => {
    await deployed();
    await create(boot, 'privileged', 'broken');
    await create(boot, 'privileged', 'whole');
    await boot.pullPlug();
    boot = cell.boot();
    await boot.must(`mount -o loop,pquota ${storePath('privileged')}.backing-store ${storePath('privileged')} ||
        mount -o loop ${storePath('privileged')}.backing-store ${storePath('privileged')}
      rm -r ${storePath('privileged')}/images/broken/workdir
      umount ${storePath('privileged')}`);
    await boot.must(`${BIN}/graft_ctl start`);
    expect(log('graft_ctl.stderr')).toContain(
      'the privileged store: not every root filesystem could be mounted again',
    );
    await boot.must(`chroot ${storePath('privileged')}/images/whole/rootfs /bin/cat /etc/passwd`);
    await create(boot, 'privileged', 'next');
  });
});

describe('drain', () => {
  test('says zero and nothing else, ends the keeper, and touches no mount', async () => {
    await deployed();
    await create(boot, 'unprivileged', 'c1');
    await startProcess(boot, 'unprivileged', 'c1');
    const mounts = await boot.must('cat /proc/self/mountinfo');
    expect(await boot.must(`${BIN}/drain job_shutdown hash_unchanged`)).toBe('0\n');
    expect(await boot.must('cat /proc/self/mountinfo')).toBe(mounts);
    expect(await keeper()).toBe('');
    await boot.must("pgrep -f '^/bin/sleep 100000'");
    expect(log('drain.stdout')).toContain('mounts stay');
  });

  test('again, or before anything has started, is no error', async () => {
    expect(await boot.must(`${BIN}/drain`)).toBe('0\n');
    expect(await boot.must(`${BIN}/drain`)).toBe('0\n');
  });

  test('waits for a clean that is under way', async () => {
    await deployed();
    const slow = '#!/bin/bash\ncase "$*" in *" clean") sleep 3; echo done >/var/vcap/data/cleaned;; esac\n';
    cell.installPackage('graft', { 'bin/graft': slow });
    await boot.must(`${BIN}/graft_ctl stop
      sed -i 's/^GC_INTERVAL=.*/GC_INTERVAL=1/' /var/vcap/jobs/graft/config/settings.sh
      setsid ${BIN}/keeper </dev/null >/dev/null 2>&1 & echo $! >/var/vcap/sys/run/graft/graft.pid`);
    await until("pgrep -f 'graft.* clean' >/dev/null");
    expect(await boot.must(`${BIN}/drain`)).toBe('0\n');
    expect(cell.exists('data/cleaned')).toBe(true);
  });
});

describe('an upgrade', () => {
  test('with running containers: they go on, and the new version takes the stores over', async () => {
    await deployed();
    const { root } = await create(boot, 'unprivileged', 'c1');
    await startProcess(boot, 'unprivileged', 'c1');
    await boot.must(`echo before >${root.path}/written`);
    const before = cell.currentVersion('packages/graft');

    await boot.must(`${BIN}/drain >/dev/null && ${BIN}/graft_ctl stop`);
    installGraft(cell);
    await cell.deployJob('graft', { properties: small({ 'graft.log_level': 'error' }) });
    await deployed();

    expect(cell.currentVersion('packages/graft')).not.toBe(before);
    await boot.must("pgrep -f '^/bin/sleep 100000'");
    expect(await boot.must(`cat ${root.path}/written; echo after >>${root.path}/written`)).toBe('before\n');
    await boot.must(plugin('unprivileged', 'stats c1'));
    await create(boot, 'unprivileged', 'c2');
    await boot.must("pkill -f '^/bin/sleep 100000'");
    for (const id of ['c1', 'c2']) await boot.must(plugin('unprivileged', `delete ${id}`));
    expect(await boot.must(`ls ${storePath('unprivileged')}/images`)).toBe('');
  });

  test('with another size keeps the stores as they are', async () => {
    await deployed();
    await cell.deployJob('graft', { properties: small({ 'graft.privileged_store.size_in_mb': 2048 }) });
    const said = await boot.must(`${BIN}/pre-start`);
    expect(said).toContain('the privileged store keeps its 1024 MiB instead of 2048 MiB');
    expect(statSync(cell.at('data/graft/store/privileged.backing-store')).size).toBe(1024 * MIB);
  });
});
