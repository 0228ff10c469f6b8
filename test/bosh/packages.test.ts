/** The packages as `bosh create-release` collects and a compile VM compiles them: offline, in an empty directory. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import {
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { arch } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { executable } from '../support/graft.ts';
import { type Ran, run, sh } from '../support/shell.ts';
import { type TempDir, tempDir } from '../support/temp.ts';
import { PACKAGES, RELEASE, readYaml } from './release.ts';

const MACHINE = arch() === 'arm64' ? 'aarch64' : 'x86_64';
/** Packages that job garden brings to every cell: BOSH refuses two of one name on one machine. */
const OF_GARDEN_RUNC = [
  'guardian iptables containerd runc busybox tar garden-idmapper greenskeeper grootfs xfs-progs thresholder',
  'dontpanic tini golang-1.23-linux autoconf automake libtool lzo pkg-config util-linux zlib libseccomp gperf',
]
  .join(' ')
  .split(' ');

let dir: TempDir;
let release: string;
beforeAll(async () => {
  dir = tempDir();
  release = dir.at('bosh');
  cpSync(RELEASE, release, { recursive: true });
});
afterAll(() => dir.remove());

/** Files that a package's patterns match, first in src, then in blobs; a pattern that matches none is an error. */
function collect(name: string): Map<string, string> {
  const patterns = readYaml<{ files: string[] }>(release, 'packages', name, 'spec').files;
  const files = new Map<string, string>();
  for (const pattern of patterns) {
    let found = 0;
    for (const root of ['src', 'blobs']) {
      const cwd = join(release, root);
      if (!existsSync(cwd)) continue;
      for (const path of new Bun.Glob(pattern).scanSync({ cwd, onlyFiles: true })) {
        found += 1;
        if (!files.has(path)) files.set(path, join(cwd, path));
      }
    }
    if (found === 0) throw new Error(`Missing files for pattern '${pattern}'`);
  }
  return files;
}

let counter = 0;
async function compile(name: string): Promise<Ran & { target: string }> {
  const build = dir.at(`compile${counter++}`);
  const target = dir.at(`packages${counter}/${name}`);
  mkdirSync(target, { recursive: true });
  for (const [path, from] of collect(name)) {
    mkdirSync(dirname(join(build, path)), { recursive: true });
    cpSync(from, join(build, path));
  }
  copyFileSync(join(release, 'packages', name, 'packaging'), join(build, 'packaging'));
  const env = {
    PATH: '/usr/sbin:/usr/bin:/sbin:/bin',
    BOSH_COMPILE_TARGET: build,
    BOSH_INSTALL_TARGET: target,
  };
  // No network: a compile VM has none that a release may count on.
  const ran = await run('unshare', ['--net', '--', 'bash', '-x', 'packaging'], { cwd: build, env });
  return { ...ran, target };
}

function put(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text, { mode: 0o755 });
}

for (const name of PACKAGES) {
  describe(`package ${name}`, () => {
    test('has a name that garden-runc’s packages do not have', () =>
      expect(OF_GARDEN_RUNC).not.toContain(name));
    test('bears the name of its directory', () =>
      expect(readYaml<{ name: string }>(RELEASE, 'packages', name, 'spec').name).toBe(name));
    test('has a packaging script that passes shellcheck', async () => {
      const ran = await run('shellcheck', ['-e', 'SC2016', join(RELEASE, 'packages', name, 'packaging')]);
      expect(ran.stdout).toBe('');
    });
  });
}

describe('scripts of the release', () => {
  for (const name of readdirSync(join(RELEASE, 'scripts')).filter((each) => !each.endsWith('.ts'))) {
    test(`${name} passes shellcheck`, async () =>
      expect((await run('shellcheck', [join(RELEASE, 'scripts', name)])).stdout).toBe(''));
  }

  test('create-release says that the bosh command line is missing', async () => {
    const script = join(release, 'scripts/create-release');
    const ran = await run('/bin/bash', [script, '1.0.0', '/tmp/x.tgz'], { env: { PATH: '/usr/bin:/bin' } });
    expect([ran.code, ran.stderr]).toEqual([
      1,
      'create-release: the bosh command line is missing, see https://bosh.io/docs/cli-v2-install/\n',
    ]);
  });

  test('create-release calls it for what is staged', async () => {
    put(dir.at('tools/bosh'), '#!/bin/bash\necho "$@"\n');
    const env = { PATH: `${dir.at('tools')}:/usr/bin:/bin` };
    const script = join(release, 'scripts/create-release');
    const before = await run(script, ['1.0.0', '/tmp/x.tgz'], { env });
    expect([before.code, before.stderr]).toEqual([
      1,
      'create-release: nothing is staged: run bosh/scripts/stage\n',
    ]);
    await run(join(release, 'scripts/stage'), [executable()]);
    const after = await run(script, ['1.0.0', '/tmp/x.tgz'], { env });
    expect(after.stdout).toBe(
      `create-release --dir ${release} --force --name graft --version 1.0.0 --tarball /tmp/x.tgz\n`,
    );
  });

  test('stage takes executables for both machines and refuses what is none', async () => {
    const other = dir.at('other');
    const elf = readFileSync(executable()).subarray(0, 64);
    elf.writeUInt16LE(MACHINE === 'x86_64' ? 183 : 62, 18);
    writeFileSync(other, elf);
    const both = await run(join(release, 'scripts/stage'), [executable(), other]);
    expect(both.stderr).toBe('');
    expect(readdirSync(join(release, 'src/graft')).sort()).toContain('graft-aarch64');
    expect(readdirSync(join(release, 'src/graft')).sort()).toContain('graft-x86_64');
    writeFileSync(other, 'text that is long enough for a header');
    const refused = await run(join(release, 'scripts/stage'), [other]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('is no executable for x86-64 or arm64');
    const missing = await run(join(release, 'scripts/stage'), [dir.at('nothing')]);
    expect(missing.stderr).toContain('is missing: run npm run build');
  });
});

describe('compiling graft', () => {
  test('cannot be collected before something was staged', () => {
    rmSync(join(release, 'src/graft'), { recursive: true, force: true });
    expect(() => collect('graft')).toThrow("Missing files for pattern 'graft/*'");
  });

  test('installs the executable that was staged, and starts it', async () => {
    await run(join(release, 'scripts/stage'), [executable()]);
    const { code, stdout, stderr, target } = await compile('graft');
    expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
    expect(stdout).toMatch(/\d+\.\d+/);
    expect(readFileSync(join(target, 'bin/graft')).equals(readFileSync(executable()))).toBe(true);
  });

  test('refuses an executable whose bytes changed on the way', async () => {
    await run(join(release, 'scripts/stage'), [executable()]);
    await sh('printf x >>"$1"', [join(release, `src/graft/graft-${MACHINE}`)]);
    const { code, stdout, stderr } = await compile('graft');
    expect(code).toBe(1);
    expect(stdout + stderr).toContain('did NOT match');
  });

  test('refuses a release that was staged for another machine', async () => {
    await run(join(release, 'scripts/stage'), [executable()]);
    const other = MACHINE === 'x86_64' ? 'aarch64' : 'x86_64';
    await sh('cd "$1" && mv "graft-$2" "graft-$3"', [join(release, 'src/graft'), MACHINE, other]);
    const { code, stderr } = await compile('graft');
    expect(code).toBe(1);
    expect(stderr).toContain(`This release has no graft for ${MACHINE}`);
  });
});

describe('compiling cvmfs-client', () => {
  const CLIENT =
    '#!/bin/bash\n[ -r "$CVMFS_LIBRARY_PATH/libcvmfs_fuse3.so" ] || exit 9\necho "CernVM-FS version 2.12 $LD_LIBRARY_PATH"\n';

  test('says which blobs are missing', async () => {
    const { code, stderr } = await compile('cvmfs-client');
    expect(code).toBe(1);
    expect(stderr).toContain('hold no usr/bin/cvmfs2: see src/cvmfs-client/README.md');
  });

  for (const kind of ['deb', 'tar.gz']) {
    test(`takes the client from a ${kind}, with the libraries it needs`, async () => {
      const root = dir.at(`client-${kind}`);
      put(join(root, 'usr/bin/cvmfs2'), CLIENT);
      put(join(root, 'usr/lib/libcvmfs_fuse3.so'), '');
      put(join(root, 'usr/lib/x86_64-linux-gnu/libfuse3.so.3'), '');
      const blob = join(release, 'blobs/cvmfs-client', `client.${kind}`);
      mkdirSync(dirname(blob), { recursive: true });
      if (kind === 'deb') {
        put(
          join(root, 'DEBIAN/control'),
          'Package: cvmfs\nVersion: 2.12\nArchitecture: all\nMaintainer: A <a@b.example>\nDescription: a test\n',
        );
        await sh('dpkg-deb --build "$1" "$2"', [root, blob]);
      } else {
        await sh('tar -czf "$2" -C "$1" .', [root, blob]);
      }
      const { code, stdout, stderr, target } = await compile('cvmfs-client');
      expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
      const libraries = `${target}/client/usr/lib:${target}/client/usr/lib/x86_64-linux-gnu`;
      expect(stdout).toContain(`CernVM-FS version 2.12 ${libraries}`);
      await sh('rm -rf "$1"', [join(release, 'blobs')]);
    });
  }

  test('fails for a client that does not start', async () => {
    const root = dir.at('client-broken');
    put(join(root, 'usr/bin/cvmfs2'), CLIENT);
    mkdirSync(join(release, 'blobs/cvmfs-client'), { recursive: true });
    await sh('tar -cf "$2" -C "$1" .', [root, join(release, 'blobs/cvmfs-client/client.tar')]);
    expect((await compile('cvmfs-client')).code).toBe(9);
  });
});

test('what is staged or an operator’s own is not in git', async () => {
  for (const path of [
    'src/graft/graft-x86_64',
    'blobs/cvmfs-client/x.deb',
    'config/private.yml',
    'dev_releases/x',
  ]) {
    const ran = await run('git', ['check-ignore', '-q', join(RELEASE, path)]);
    expect([basename(path), ran.code]).toEqual([basename(path), 0]);
  }
});
