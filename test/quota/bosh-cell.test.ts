/** A rendered cell on a kernel with project quotas: what pre-start promises there, a container gets. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import type { Boot, Cell } from '../bosh/cell.ts';
import { BIN, create, diegoCell, plugin, STORES, small, storePath } from '../bosh/diego-cell.ts';

const MiB = 1024 ** 2;
const LIMIT = 8 * MiB;

let cell: Cell;
let boot: Boot;
beforeAll(async () => {
  cell = await diegoCell({ properties: small({ 'graft.require_disk_limits': true }) });
  boot = cell.boot();
});
afterAll(async () => {
  await boot?.pullPlug();
  await cell?.[Symbol.asyncDispose]();
});

/** Writes into a container until something stops it, and returns how many bytes were taken. */
async function fill(root: string): Promise<number> {
  const ran = await boot.run(`chroot ${root} /bin/dd of=/filled bs=65536 count=1000 </dev/zero 2>&1`);
  expect(ran.stdout).toContain('No space left on device');
  return Number(await boot.must(`stat -c %s ${root}/filled`));
}

test('pre-start tries limits in both stores, and start follows', async () => {
  const said = await boot.must(`${BIN}/pre-start && ${BIN}/graft_ctl start`);
  for (const store of STORES)
    expect(said).toContain(`the ${store} store makes, limits and deletes containers`);
});

test('a container is stopped at its limit, and stats says so', async () => {
  for (const store of STORES) {
    const { root } = await create(
      boot,
      store,
      'limited',
      `--disk-limit-size-bytes ${LIMIT} --exclude-image-from-quota`,
    );
    expect(Math.abs((await fill(root.path)) - LIMIT)).toBeLessThan(MiB);
    const { disk_usage: usage } = JSON.parse(await boot.must(plugin(store, 'stats limited')));
    expect(usage.quota_size_bytes).toBe(LIMIT);
    expect(Math.abs(usage.exclusive_bytes_used - LIMIT)).toBeLessThan(MiB);
  }
});

test('the limit holds after a reboot, by start alone', async () => {
  for (const store of STORES) await boot.must(`rm ${storePath(store)}/images/limited/rootfs/filled; sync`);
  await boot.pullPlug();
  boot = cell.boot();
  await boot.must(`${BIN}/graft_ctl start`);
  for (const store of STORES) {
    const root = `${storePath(store)}/images/limited/rootfs`;
    expect(Math.abs((await fill(root)) - LIMIT)).toBeLessThan(MiB);
  }
});

test('the errand finds nothing wrong', async () => {
  await cell.deployJob('graft-doctor');
  const ran = await boot.run('/var/vcap/jobs/graft-doctor/bin/run');
  expect(ran.stdout).not.toContain('PROBLEM');
  expect(ran.code).toBe(0);
});

test('both stores go back to empty', async () => {
  for (const store of STORES) {
    await boot.must(plugin(store, 'delete limited'));
    expect(await boot.must(`ls ${storePath(store)}/images`)).toBe('');
    expect(await boot.must(plugin(store, 'check'))).toBe('Nothing is wrong.\n');
  }
});
