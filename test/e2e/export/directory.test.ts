/** `graft export IMAGE DIRECTORY`: the tree beside umoci's, and what is left when it fails or is killed. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { executable, graft, graftMust } from '../../support/graft.ts';
import { compareTrees } from '../../support/images/compare-trees.ts';
import { type MadeImage, makeBusyboxImage, umociRootfs, zstdTwin } from '../../support/images/images.ts';
import { tar } from '../../support/images/tar-writer.ts';
import { rawServer } from '../../support/registries/raw-server.ts';
import { push, startRegistry } from '../../support/registries/registry.ts';
import { cleanEnv, must, run, sh } from '../../support/shell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const USER = 1000;
let dir: TempDir;
let image: MadeImage;
/** One directory of a test's own, so that what is left beside a result shows. */
let made = 0;
const place = () => {
  made += 1;
  const path = dir.at(`place-${made}`);
  mkdirSync(path);
  return path;
};

beforeAll(async () => {
  dir = tempDir();
  // Other users must reach the image.
  chmodSync(dir.path, 0o755);
  const busybox = await makeBusyboxImage(dir.at('layout'));
  await sh(
    `mkdir -p "$1/etc" "$1/srv"; echo more > "$1/etc/more"; ln "$1/etc/more" "$1/srv/linked"; mkfifo "$1/srv/pipe"
     cp "$1/etc/more" "$1/srv/su"; chown 7:8 "$1/srv/su"; chmod 4755 "$1/srv/su"; chmod 0500 "$1/srv"
     setfattr -n user.note -v kept "$1/etc/more"; touch -hd @1600000000 $(find "$1")`,
    [dir.at('second')],
  );
  image = busybox;
  await must('umoci', ['insert', '--image', busybox.name, `${dir.at('second')}/`, '/']);
  await must('umoci', ['insert', '--image', busybox.name, '--whiteout', '/bin/wget']);
  // umoci's files are for their owner alone.
  await must('chmod', ['-R', 'a+rX', busybox.layout]);
});
afterAll(() => dir.remove());

describe('the tree', () => {
  test('is the one that umoci unpacks, from a layout with gzip and with zstd', async () => {
    const wanted = await umociRootfs(image, dir.at('umoci'));
    for (const one of [image, await zstdTwin(image, dir.at('zstd'))]) {
      const target = `${place()}/out`;
      expect(await graftMust(['export', one.url, target])).toContain(`written to ${target} (3 layers`);
      expect(compareTrees(wanted, target)).toEqual([]);
    }
  });

  test('comes from a registry and from a tar file too', async () => {
    await using registry = await startRegistry(dir.at('registry'));
    await push(`oci:${image.name}`, `docker://${registry.host}/busybox:1`);
    const [at, from] = [place(), `docker://${registry.host}/busybox:1`];
    await graftMust(['export', '--insecure-registry', registry.host, from, `${at}/pulled`]);
    await must('tar', [
      '-C',
      `${at}/pulled`,
      '--xattrs',
      '--xattrs-include=*',
      '--format=pax',
      '-cf',
      `${at}/root.tar`,
      '.',
    ]);
    await graftMust(['export', `${at}/root.tar`, `${at}/again`]);
    expect(compareTrees(`${at}/pulled`, `${at}/again`)).toEqual([]);
    expect(readdirSync(at).sort()).toEqual(['again', 'pulled', 'root.tar']);
  });

  test('that an ordinary user writes belongs to that user, and the answer says what it lacks', async () => {
    const at = place();
    chownSync(at, USER, USER);
    const user = ['--reuid', `${USER}`, '--regid', `${USER}`, '--clear-groups', executable()];
    const ran = await run('setpriv', [...user, 'export', image.url, `${at}/out`], { env: cleanEnv() });
    expect([ran.code, ran.stdout]).toEqual([0, expect.any(String)]);
    expect(ran.stdout).toMatch(
      /^the owners of \d+ entries could not be kept \(.*7:8.*\): only root may give files away/m,
    );
    expect(ran.stdout).toContain('left out: 1 set-id bit');
    const stat = (name: string) => must('stat', ['-c', '%u:%g %a', `${at}/out/${name}`]);
    expect(await stat('srv')).toBe(`${USER}:${USER} 500\n`);
    expect(await stat('srv/su')).toBe(`${USER}:${USER} 755\n`);
    expect(await stat('tmp')).toBe(`${USER}:${USER} 1777\n`);
    expect(existsSync(`${at}/out/bin/wget`)).toBe(false);
    const json = await run('setpriv', [...user, 'export', '--json', image.url, `${at}/json`], {
      env: cleanEnv(),
    });
    expect(JSON.parse(json.stdout)).toMatchObject({ path: `${at}/json`, layers: 3, lostSetIdBits: 1 });
  });
});

describe('nothing is left', () => {
  test('of an image that is no image, with the name of what is wrong', async () => {
    const at = place();
    writeFileSync(`${at}/bad.tar`, tar([{ name: 'a' }, { name: 'b', type: '1', link: 'nowhere' }]));
    const ran = await graft(['export', `${at}/bad.tar`, `${at}/out`]);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('nowhere')]);
    expect(readdirSync(at)).toEqual(['bad.tar']);
  });

  test('on a full disk, and the sentence says that', async () => {
    const at = place();
    await must('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', at]);
    const ran = await graft(['export', image.url, `${at}/out`]);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining('has no room left')]);
    expect(readdirSync(at)).toEqual([]);
  });

  test('when it is told to stop', async () => {
    const at = place();
    const asked = Promise.withResolvers<void>();
    const silent = rawServer(() => asked.resolve());
    try {
      const from = `docker://${silent.host}/never:1`;
      const args = ['export', '--insecure-registry', silent.host, from, `${at}/out`];
      const child = Bun.spawn([executable(), ...args], { env: cleanEnv(), stdout: 'pipe' });
      await asked.promise;
      expect(readdirSync(at)).toHaveLength(2);
      child.kill('SIGTERM');
      expect(await child.exited).toBe(143);
      expect(readdirSync(at)).toEqual([]);
    } finally {
      await silent.stop();
    }
  });
});
