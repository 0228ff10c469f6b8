/**
 * The job cvmfs-client on a machine of the test's own. The client is squashfuse behind cvmfs2's command line: it reads
 * the same configuration files with a shell, and mounts `CVMFS_SERVER_URL` (a file URL of a squashfs image) as
 * `cvmfs2`, with FUSE's real answers when it hangs or dies.
 */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { type Boot, Cell } from './cell.ts';
import { type Properties, properties } from './release.ts';

const CVMFS2 = `#!/bin/bash
set -euo pipefail
[ "\${1-}" != --version ] || { echo 'CernVM-FS version 2.12.7'; exit 0; }
[ "$1" = -o ] || exit 2
options=$2 name=$3 path=$4
config=\${options#config=} config=\${config%%,*}
[[ $options == *,fsname=cvmfs2,allow_other ]] || { echo "options $options" >&2; exit 3; }
CVMFS_FQRN=$name
IFS=:
for file in $config; do source "$file"; done
unset IFS
mkdir -p /var/vcap/data/seen
( set -o posix; set ) | grep ^CVMFS_ >"/var/vcap/data/seen/$(basename "$(dirname "$path")").$name"
[ -d "$CVMFS_WORKSPACE" ] && [ -d "$CVMFS_RELOAD_SOCKETS" ] && [ -d "$CVMFS_CACHE_BASE" ]
image=\${CVMFS_SERVER_URL#file://} image=\${image/@fqrn@/$name}
[ -r "$image" ] || { echo 'Failed to initialize root file catalog' >&2; exit 16; }
exec squashfuse_ll -o allow_other,ro,nodev,nosuid,fsname=cvmfs2 "$image" "$path"
`;

const SETTINGS: Properties = properties({
  'cvmfs.repositories': [
    {
      name: 'a.test.local',
      server_urls: ['file:///var/vcap/data/@fqrn@.sqfs'],
      public_keys: ['KEY 1', 'KEY 2'],
    },
    {
      name: 'b.test.local',
      server_urls: ['file:///var/vcap/data/@fqrn@.sqfs'],
      public_keys: ['KEY 3'],
      root_hash: 'cd'.repeat(20),
    },
  ],
  'cvmfs.http_proxy': 'http://squid1:3128|http://squid2:3128;DIRECT',
  'cvmfs.mount_root': '/var/cvmfs',
  'cvmfs.unprivileged_mount_root': '/var/cvmfs-mapped',
  'cvmfs.probe_interval_in_seconds': 5,
  'cvmfs.probe_deadline_in_seconds': 1,
  'cvmfs.parameters': { CVMFS_KCACHE_TIMEOUT: '120' },
});
const MOUNTS = ['/var/cvmfs', '/var/cvmfs-mapped'].flatMap((root) => [
  `${root}/a.test.local`,
  `${root}/b.test.local`,
]);
const BIN = '/var/vcap/jobs/cvmfs-client/bin';
const SUPERVISOR_LOG = 'sys/log/cvmfs-client/supervisor.stdout.log';

let images: TempDir;
let cell: Cell;
let boot: Boot;

beforeAll(async () => {
  images = tempDir();
  mkdirSync(images.at('tree'));
  writeFileSync(images.at('tree/hello'), 'from cvmfs\n');
  await sh('mksquashfs "$1/tree" "$1/image.sqfs" -quiet -no-progress', [images.path]);
});
afterAll(() => images.remove());

beforeEach(async () => {
  cell = new Cell();
  cell.installPackage('cvmfs-client', { 'bin/cvmfs2': CVMFS2 });
  await cell.deployJob('cvmfs-client', { properties: SETTINGS });
  // The property takes no less than five seconds.
  const settings = cell.at(cell.currentVersion('jobs/cvmfs-client'), 'config/settings.sh');
  writeFileSync(settings, readFileSync(settings, 'utf8').replace('PROBE_INTERVAL=5', 'PROBE_INTERVAL=1'));
  await publish('a', 'b');
  boot = cell.boot();
});
afterEach(async () => {
  await boot.pullPlug();
  await cell[Symbol.asyncDispose]();
});

const publish = (...names: string[]) =>
  sh('from=$1; shift; for to; do cp "$from" "$to"; done', [
    images.at('image.sqfs'),
    ...names.map((name) => cell.at(`data/${name}.test.local.sqfs`)),
  ]);
const seen = (mount: string) => cell.read(`data/seen/${mount}`);

/** Polls on the machine until a condition of bash holds. */
const until = (condition: string) =>
  boot.must(`for i in $(seq 300); do if ${condition}; then exit 0; fi; sleep 0.1; done; exit 1`);
const mounted = (path: string) => `grep -q ' ${path} .* cvmfs2 ' /proc/self/mountinfo`;

async function start(): Promise<void> {
  await boot.must(`${BIN}/pre-start && ${BIN}/cvmfs_ctl start`);
  for (const path of MOUNTS) await until(mounted(path));
}

describe('started', () => {
  test('every repository is mounted twice and readable', async () => {
    await start();
    for (const path of MOUNTS) expect(await boot.must(`cat ${path}/hello`)).toBe('from cvmfs\n');
  });

  test('the client is told what root filesystems need', async () => {
    await start();
    const plain = seen('cvmfs.a.test.local');
    for (const line of [
      'CVMFS_CLAIM_OWNERSHIP=no',
      "CVMFS_HTTP_PROXY='http://squid1:3128|http://squid2:3128;DIRECT'",
      'CVMFS_MAGIC_XATTRS_VISIBILITY=rootonly',
      'CVMFS_QUOTA_LIMIT=8192',
      'CVMFS_SHARED_CACHE=yes',
      'CVMFS_KCACHE_TIMEOUT=120',
    ]) {
      expect(plain).toContain(`${line}\n`);
    }
    expect(plain).not.toContain('CVMFS_UID_MAP');
    expect(plain).not.toContain('CVMFS_ROOT_HASH');
    expect(seen('cvmfs.b.test.local')).toContain(`CVMFS_ROOT_HASH=${'cd'.repeat(20)}\n`);
  });

  test('the second mount maps root to Garden’s, and shares nothing but the cache', async () => {
    await start();
    const [plain, mapped] = [seen('cvmfs.a.test.local'), seen('cvmfs-mapped.a.test.local')];
    expect(mapped).toContain('CVMFS_UID_MAP=/var/vcap/data/cvmfs-client/etc/id.map\n');
    expect(mapped).toContain('CVMFS_GID_MAP=/var/vcap/data/cvmfs-client/etc/id.map\n');
    expect(cell.read('data/cvmfs-client/etc/id.map')).toBe('0 4294967294\n');
    const value = (text: string, name: string) => new RegExp(`^${name}=(.*)$`, 'm').exec(text)?.[1];
    for (const name of ['CVMFS_WORKSPACE', 'CVMFS_RELOAD_SOCKETS']) {
      expect(value(mapped, name)).not.toBe(value(plain, name));
    }
    expect(value(mapped, 'CVMFS_CACHE_BASE')).toBe(value(plain, 'CVMFS_CACHE_BASE'));
  });

  test('keys are files of the repository they belong to', async () => {
    await start();
    const dir = '/var/vcap/data/cvmfs-client/etc/a.test.local';
    expect(seen('cvmfs.a.test.local')).toContain(`CVMFS_PUBLIC_KEY=${dir}/0.pub:${dir}/1.pub\n`);
    expect(cell.read('data/cvmfs-client/etc/a.test.local/1.pub')).toBe('KEY 2\n');
  });

  test('pre-start and start again change nothing', async () => {
    await start();
    const before = await boot.must(
      'grep cvmfs2 /proc/self/mountinfo; cat /var/vcap/sys/run/cvmfs-client/cvmfs-client.pid',
    );
    await boot.must(`${BIN}/pre-start && ${BIN}/cvmfs_ctl start`);
    expect(
      await boot.must(
        'grep cvmfs2 /proc/self/mountinfo; cat /var/vcap/sys/run/cvmfs-client/cvmfs-client.pid',
      ),
    ).toBe(before);
  });
});

describe('a repository that cannot be mounted', () => {
  test('does not keep the others away, and comes by itself later', async () => {
    await sh('rm "$1"', [cell.at('data/a.test.local.sqfs')]);
    await boot.must(`${BIN}/pre-start && ${BIN}/cvmfs_ctl start`);
    await until(mounted('/var/cvmfs/b.test.local'));
    await until(
      `grep -q 'a.test.local cannot be mounted' /var/vcap/sys/log/cvmfs-client/supervisor.stderr.log`,
    );
    expect(cell.read('sys/log/cvmfs-client/mount.a.test.local.log')).toContain('root file catalog');
    await publish('a');
    await until(mounted('/var/cvmfs/a.test.local'));
  });
});

describe('a client', () => {
  test('that dies is mounted again, once, at the same place', async () => {
    await start();
    await boot.must(`kill -KILL $(pgrep -f 'squashfuse_ll.*/var/cvmfs/a.test.local$')`);
    await until(
      `grep -q '/var/cvmfs/a.test.local: the client has died' /var/vcap/sys/log/cvmfs-client/supervisor.stderr.log`,
    );
    await until('[ "$(cat /var/cvmfs/a.test.local/hello 2>/dev/null)" = "from cvmfs" ]');
    expect(await boot.must("grep -c ' /var/cvmfs/a.test.local ' /proc/self/mountinfo")).toBe('1\n');
  });

  test('that hangs is reported, left alone, and the others are looked after', async () => {
    await start();
    const hanging = `$(pgrep -f 'squashfuse_ll.*/var/cvmfs/a.test.local$')`;
    await boot.must(`kill -STOP ${hanging}`);
    await until(`grep -q '/var/cvmfs/a.test.local: hanging' /var/vcap/${SUPERVISOR_LOG}`);
    await boot.must(`kill -KILL $(pgrep -f 'squashfuse_ll.*/var/cvmfs/b.test.local$')`);
    await until('[ "$(cat /var/cvmfs/b.test.local/hello 2>/dev/null)" = "from cvmfs" ]');
    await boot.must(`kill -CONT ${hanging}`);
    await until(`[ "$(grep -c '/var/cvmfs/a.test.local: alive' /var/vcap/${SUPERVISOR_LOG})" = 2 ]`);
  });
});

describe('stopped', () => {
  test('nothing is mounted and no client runs', async () => {
    await start();
    await boot.must(`${BIN}/cvmfs_ctl stop`);
    expect(await boot.must('grep -c cvmfs2 /proc/self/mountinfo || true')).toBe('0\n');
    await until('! pgrep squashfuse_ll');
    expect(cell.exists('sys/run/cvmfs-client/cvmfs-client.pid')).toBe(false);
  });

  test('below a container everything stays mounted, and start takes it over', async () => {
    await start();
    // The overlay's own directories need a filesystem that can hold them, which the machine's may not be.
    await boot.must(`
      mount -t tmpfs tmpfs /var/tmp
      cd /var/tmp && mkdir upper work rootfs
      lower=/var/cvmfs/a.test.local
      mount -t overlay overlay -o "index=off,xino=off,lowerdir=$lower,upperdir=upper,workdir=work" rootfs`);
    await boot.must(`${BIN}/cvmfs_ctl stop`);
    expect(await boot.must('cat /var/tmp/rootfs/hello; ! pgrep -f bin/supervisor')).toBe('from cvmfs\n');
    for (const path of MOUNTS) await boot.must(mounted(path));
    await boot.must(`${BIN}/cvmfs_ctl start`);
    await until(`[ "$(sed '1,/: ended;/d' /var/vcap/${SUPERVISOR_LOG} | grep -c ': alive')" = 4 ]`);
    expect(await boot.must('grep -c cvmfs2 /proc/self/mountinfo')).toBe('4\n');
  });

  test('and stopped again is no error', async () => {
    await start();
    await boot.must(`${BIN}/cvmfs_ctl stop && ${BIN}/cvmfs_ctl stop`);
  });
});

test('after a reboot start alone mounts everything again', async () => {
  await start();
  await boot.pullPlug();
  boot = cell.boot();
  await boot.must(`${BIN}/cvmfs_ctl start`);
  for (const path of MOUNTS) await until(mounted(path));
});

describe('pre-start refuses', () => {
  const refusal = async () => {
    const { code, stderr } = await boot.run(`${BIN}/pre-start`);
    return [code, stderr.replace(/^\S+ /, '')];
  };

  test('a package without a client', async () => {
    cell.installPackage('cvmfs-client', { README: '' });
    expect(await refusal()).toEqual([
      1,
      'pre-start: refused: the package cvmfs-client holds no client: add it as a blob, see src/cvmfs-client/README.md\n',
    ]);
  });

  test('a client that does not start', async () => {
    cell.installPackage('cvmfs-client', {
      'bin/cvmfs2': '#!/bin/bash\necho "libfuse3.so.3 is missing" >&2; exit 127\n',
    });
    expect(await refusal()).toEqual([
      1,
      'pre-start: refused: the CernVM-FS client does not start: libfuse3.so.3 is missing\n',
    ]);
  });

  test('a maximus that answers nonsense', async () => {
    cell.installPackage('garden-idmapper', { 'bin/maximus': '#!/bin/bash\necho oops\n' });
    expect((await refusal())[1]).toContain("maximus answers 'oops', which is no id");
  });
});

test('the fixture’s client is the one that runs', () => {
  expect(readFileSync(cell.at('data/packages/cvmfs-client/1/bin/cvmfs2'), 'utf8')).toBe(CVMFS2);
});
