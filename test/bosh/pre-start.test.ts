/** The rendered pre-start, on a machine of the test's own: what it makes, and what it refuses. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { PROJECT, run } from '../support/shell.ts';
import type { Boot, Cell } from './cell.ts';
import { BIN, diegoCell, plugin, refusal, STORES, small, storePath } from './diego-cell.ts';
import { put } from './release.ts';
import { FULL_GRAFT, PEM } from './sets.ts';

const MIB = 1024 ** 2;
const ACCEPT_ALL = JSON.stringify({ default: [{ type: 'insecureAcceptAnything' }] });

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

describe('pre-start', () => {
  test('makes both stores on loop files of the size that the configuration then names', async () => {
    const said = await boot.must(`${BIN}/pre-start`);
    for (const store of STORES) {
      expect(statSync(cell.at(`data/graft/store/${store}.backing-store`)).size).toBe(1024 * MIB);
      expect(await boot.must(`findmnt -n -o FSTYPE --mountpoint ${storePath(store)}`)).toBe('xfs\n');
      expect(
        cell.read(`jobs/graft/config/${store}.yml`.replace('jobs/graft', cell.currentVersion('jobs/graft'))),
      ).toContain(`store_size_bytes: ${1024 * MIB}\n`);
      expect(said).toContain(`the ${store} store makes, limits and deletes containers`);
    }
    expect(await boot.must(plugin('unprivileged', 'capacity'))).toBe(`{"capacity":${1024 * MIB}}\n`);
  });

  test('lets root of the unprivileged store, maximus, pass, and nobody into the privileged one', async () => {
    await boot.must(`${BIN}/pre-start`);
    const stores = STORES.flatMap((store) => [storePath(store), `${storePath(store)}/images`]).join(' ');
    expect(await boot.must(`stat -c '%u:%g %a' ${stores}`)).toBe(
      '0:4294967294 710\n0:4294967294 710\n0:0 700\n0:0 700\n',
    );
  });

  test('takes the answer of Garden’s own maximus', async () => {
    cell.installPackage('garden-idmapper', { 'bin/maximus': '#!/bin/bash\necho 70000\n' });
    await boot.must(`${BIN}/pre-start`);
    expect(await boot.must(`stat -c %u:%g ${storePath('unprivileged')}`)).toBe('0:70000\n');
  });

  test('leaves nothing behind but the stores, and again changes nothing', async () => {
    await boot.must(`${BIN}/pre-start`);
    const state = `for store in unprivileged privileged; do
        cat /var/vcap/jobs/graft/config/$store.yml
        (cd /var/vcap/data/graft/store/$store && find . -path ./meta/totals -prune -o -print | sort)
      done; ls -A /var/tmp; grep graft /proc/self/mountinfo | awk '{ print $5 }'`;
    const before = await boot.must(state);
    expect(before).not.toContain('images/graft-pre-start');
    await boot.must(`${BIN}/pre-start`);
    expect(await boot.must(state)).toBe(before);
  });

  test('puts the stores where it is told to', async () => {
    await cell.deployJob('graft', {
      properties: small({
        'graft.data_path': '/var/vcap/data',
        'graft.unprivileged_store.path': '/var/vcap/data/a/u',
        'graft.privileged_store.path': '/var/vcap/data/b/p',
      }),
    });
    await boot.must(`${BIN}/pre-start`);
    expect(cell.exists('data/a/u.backing-store') && cell.exists('data/b/p.backing-store')).toBe(true);
    expect(await boot.must('ls /var/vcap/data/graft')).toBe('probe.tar\n');
  });

  test('works with every property set, and graft reads all that was rendered', async () => {
    const all = structuredClone(FULL_GRAFT);
    put(all, 'graft.retire_stores', false);
    // A limit that this kernel may not enforce is refused; test/quota/inodes.test.ts has limits.
    put(all, 'graft.limits', {});
    await boot.must('mkdir -p /var/vcap/store-a /var/vcap/store-b /var/vcap/data/policy/registries.d');
    await boot.must(`echo '${ACCEPT_ALL}' > /var/vcap/data/policy/policy.json`);
    await cell.deployJob('graft', { properties: all });
    await boot.must(`${BIN}/pre-start && ${BIN}/graft_ctl start`);
    for (const store of STORES) {
      const made = JSON.parse(await boot.must(plugin(store, 'create /var/vcap/data/stack.tar c1')));
      expect(made.mounts[0].type).toBe('overlay');
      // A registry image makes it read registries, certificates and repositories, before it asks anybody.
      const ran = await boot.run(plugin(store, 'create docker://evil.example/app:1 c2'));
      expect([ran.code, ran.stdout]).toEqual([1, expect.stringMatching(/blocked|digest/)]);
    }
  });

  test('puts certificates where graft looks for them, readable for root alone', async () => {
    await cell.deployJob('graft', {
      properties: small({
        'graft.registry_certificates': [
          { registry: 'registry.internal:5000', ca_cert: PEM },
          { registry: 'mirror.internal', client_cert: 'CERT', client_key: 'KEY' },
        ],
        'graft.docker_config': { auths: {} },
      }),
    });
    await boot.must(`${BIN}/pre-start`);
    const config = '/var/vcap/jobs/graft/config';
    const listing = await boot.must(
      `cd ${config} && find certs.d docker-config.json registry-certificates.sh -type f -printf '%m %p\n' | sort -k2`,
    );
    expect(listing.trim().split('\n')).toEqual([
      '600 certs.d/mirror.internal/client.cert',
      '600 certs.d/mirror.internal/client.key',
      '600 certs.d/registry.internal:5000/ca.crt',
      '600 docker-config.json',
      '600 registry-certificates.sh',
    ]);
    expect(await boot.must(`cat ${config}/certs.d/registry.internal:5000/ca.crt`)).toBe(`${PEM}\n`);
    expect(await boot.must(`cat ${config}/certs.d/mirror.internal/client.key`)).toBe('KEY\n');
  });
});

describe('pre-start refuses', () => {
  const refused = async () => refusal(await boot.run(`${BIN}/pre-start`));

  test('a kernel without project quotas, unless it is told that this will do', async () => {
    await cell.deployJob('graft', { properties: small({ 'graft.require_disk_limits': true }) });
    const hasQuotas = (await run(join(PROJECT, 'ci/has-project-quotas'), [])).code === 0;
    const [code, sentence] = await refused();
    expect(code).toBe(hasQuotas ? 0 : 1);
    if (!hasQuotas) {
      expect(sentence).toContain(
        'the unprivileged store cannot make a container: a disk limit was asked for',
      );
      expect(await boot.must(`ls ${storePath('unprivileged')}/images`)).toBe('');
    }
  });

  test('a machine without mkfs.xfs, and takes the one of garden-runc’s package', async () => {
    // The machine's own is hidden; it stays reachable by another name.
    await boot.must(
      'cp "$(command -v mkfs.xfs)" /var/vcap/data/mkfs.xfs; mount --bind /dev/null "$(command -v mkfs.xfs)"',
    );
    expect(await refused()).toEqual([
      1,
      'mkfs.xfs is missing: colocate the job garden (its package xfs-progs has it) or use a stemcell that has it',
    ]);
    cell.installPackage('xfs-progs', { 'sbin/mkfs.xfs': '#!/bin/bash\nexec /var/vcap/data/mkfs.xfs "$@"\n' });
    await boot.must(`${BIN}/pre-start`);
  });

  test('an executable that does not start', async () => {
    cell.installPackage('graft', { 'bin/graft': '#!/bin/bash\necho "no such machine" >&2; exit 126\n' });
    expect(await refused()).toEqual([1, 'the graft executable does not start: no such machine']);
  });

  test('a store that GrootFS made, and leaves it as it is', async () => {
    const store = storePath('privileged');
    await boot.must(`mkdir -p ${store}
      truncate -s 1G ${store}.backing-store && mkfs.xfs -q ${store}.backing-store
      mount -o loop,noatime ${store}.backing-store ${store}
      cd ${store} && mkdir -p images volumes/chain locks tmp meta/dependencies l projectids
      echo '{"uid-mappings":[],"gid-mappings":[]}' >meta/namespace.json`);
    const before = await boot.must(`cd ${store} && find . -printf '%p %m %u %s %T@\n' | sort`);
    const [code, sentence] = await refused();
    expect(code).toBe(1);
    expect(sentence).toContain(`${store} holds a store that GrootFS made, which graft leaves alone`);
    expect(await boot.must(`cd ${store} && find . -printf '%p %m %u %s %T@\n' | sort`)).toBe(before);
  });

  test('a store with another mapping', async () => {
    await boot.must(`${BIN}/pre-start`);
    cell.installPackage('garden-idmapper', { 'bin/maximus': '#!/bin/bash\necho 70000\n' });
    const [code, sentence] = await refused();
    expect([code, sentence.includes('provided UID mappings do not match')]).toEqual([1, true]);
  });

  test('a policy that refuses tar files by its default, and says what to add to it', async () => {
    const policy = '/var/vcap/data/policy.json';
    const write = (transports: object) =>
      boot.must(`echo '${JSON.stringify({ default: [{ type: 'reject' }], transports })}' > ${policy}`);
    await cell.deployJob('graft', { properties: small({ 'graft.trust.policy': policy }) });
    await write({});
    expect(await refused()).toEqual([
      1,
      'the unprivileged store cannot make a container: /var/vcap/data/graft/probe.tar may not run on this machine: ' +
        `every image of this scope is rejected; the rule is default in ${policy}; images of this kind cannot be signed: to ` +
        'let them run, add "tarball": {"": [{"type": "insecureAcceptAnything"}]} to "transports" in ' +
        policy,
    ]);
    expect(await boot.must(`ls ${storePath('unprivileged')}/images`)).toBe('');
    await write({ tarball: { '': [{ type: 'insecureAcceptAnything' }] } });
    await boot.must(`${BIN}/pre-start`);
  });

  test('a directory for the stores that does not exist', async () => {
    await cell.deployJob('graft', { properties: small({ 'graft.data_path': '/var/vcap/nowhere' }) });
    expect(await refused()).toEqual([1, '/var/vcap/nowhere, where the stores shall lie, does not exist']);
  });
});

test('scripts are what was rendered', () => {
  const script = cell.at(cell.currentVersion('jobs/graft'), 'bin/pre-start');
  expect(readFileSync(script, 'utf8')).toBe(
    readFileSync(join(PROJECT, 'bosh/jobs/graft/templates/bin/pre-start'), 'utf8'),
  );
});
