/** Containers that become images: what they wrote is in the layer, and nothing of the machine is. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { lgetxattr, lsetxattr } from '../../lib/sys/kernel/files.ts';
import { executable } from '../support/graft.ts';
import { compareTrees } from '../support/images/compare-trees.ts';
import { type MadeImage, makeBusyboxImage } from '../support/images/images.ts';
import { changeRandomly } from '../support/images/random-changes.ts';
import { tar } from '../support/images/tar-writer.ts';
import { fakeImage, fakeRegistry } from '../support/registries/fake-registry.ts';
import { cleanEnv, must, sh } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

/** Overlayfs's own notes, and labels of this machine. */
const OWN_XATTRS = ['trusted.', 'security.selinux'];
/** The mapping that Garden gives to unprivileged containers. */
const MAPPED = ['0:4294967294:1', '1:1:4294967293'].flatMap((range) => [
  '--uid-mapping',
  range,
  '--gid-mapping',
  range,
]);

function rootfsOf(store: TestStore, id: string): string {
  return `${store.path}/images/${id}/rootfs`;
}

async function created(store: TestStore, image: string, id: string): Promise<string> {
  await store.must(['create', image, id]);
  return rootfsOf(store, id);
}

let store: TestStore;
let made = 0;

/** An id and the directory of a layout that no other test has. */
function fresher(): [id: string, out: string] {
  made += 1;
  return [`c${made}`, store.dir.at(`out${made}`)];
}

/** Has no layer of the images before they are created there. */
let fresh: TestStore;
let image: MadeImage;

beforeAll(async () => {
  store = await testStore();
  fresh = await testStore();
  image = await makeBusyboxImage(store.dir.at('layout'));
});
afterAll(async () => {
  await store[Symbol.asyncDispose]();
  await fresh[Symbol.asyncDispose]();
});

function differences(left: string, right: string): string[] {
  return compareTrees(left, right, { linkCounts: false, ignoreXattrs: OWN_XATTRS });
}

/** The entries of the topmost layer, as GNU tar lists them. */
async function topLayer(layout: string, ref: string): Promise<string[]> {
  const { layers } = manifestOf(layout, ref);
  const top = layers.at(-1)?.digest.replace(':', '/') ?? '';
  const listed = await must('tar', [
    '--numeric-owner',
    '--quoting-style=escape',
    '-tzf',
    join(layout, 'blobs', top),
  ]);
  return listed.trimEnd().split('\n');
}

interface Manifest {
  readonly layers: readonly { readonly digest: string; readonly mediaType: string }[];
  readonly config: { readonly digest: string };
  readonly annotations?: Readonly<Record<string, string>>;
}

interface Config {
  readonly history: readonly { readonly comment: string; readonly author?: string }[];
  readonly rootfs: { readonly diff_ids: readonly string[] };
  readonly config: Readonly<Record<string, unknown>>;
}

function blobOf<T>(layout: string, digest: string): T {
  return JSON.parse(readFileSync(join(layout, 'blobs', digest.replace(':', '/')), 'utf8')) as T;
}

function manifestOf(layout: string, ref: string): Manifest {
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8')) as {
    manifests: { digest: string; annotations?: Record<string, string> }[];
  };
  const entry = index.manifests.find(
    ({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] === ref,
  );
  return blobOf<Manifest>(layout, entry?.digest ?? '');
}

function configOf(layout: string, ref: string): Config {
  return blobOf<Config>(layout, manifestOf(layout, ref).config.digest);
}

test('a commit and a create on a fresh store give the tree that the container had, for random changes', async () => {
  for (const seed of [1, 2]) {
    const [id, out] = fresher();
    const rootfs = await created(store, image.url, id);
    changeRandomly(rootfs, seed, 200);
    await store.must(['commit', id, `oci:${out}:layer`]);
    expect(differences(rootfs, await created(fresh, `oci:${out}:layer`, id))).toEqual([]);
    await store.must(['commit', '--squash', id, `oci:${out}:whole`]);
    expect(differences(rootfs, await created(fresh, `oci:${out}:whole`, `${id}-whole`))).toEqual([]);
    expect(manifestOf(out, 'whole').layers.length).toBe(1);
  }
});

test("a mapped store's ids are those of the image again", async () => {
  await using mapped = await testStore({ init: MAPPED });
  const [id, out] = fresher();
  const rootfs = await created(mapped, image.url, id);
  await sh('cd "$1"; echo x > new; chown 4294967294:5 new; setcap cap_net_raw+ep new', [rootfs]);
  const acl = (user: number) => {
    const bytes = Buffer.alloc(4 + 5 * 8);
    bytes.writeUInt32LE(2);
    for (const [at, [tag, allowed, of]] of [
      [1, 6, -1],
      [2, 4, user],
      [4, 4, -1],
      [16, 4, -1],
      [32, 4, -1],
    ].entries()) {
      bytes.writeUInt16LE(tag ?? 0, 4 + at * 8);
      bytes.writeUInt16LE(allowed ?? 0, 6 + at * 8);
      bytes.writeInt32LE(of ?? 0, 8 + at * 8);
    }
    return bytes;
  };
  lsetxattr(`${rootfs}/new`, 'system.posix_acl_access', acl(4294967294 | 0));
  await mapped.must(['commit', id, `oci:${out}:x`]);
  const again = await created(fresh, `oci:${out}:x`, id);
  expect(await must('stat', ['-c', '%u:%g', `${again}/new`, `${again}/bin`, `${again}/home/app`])).toBe(
    '0:5\n0:0\n1000:1000\n',
  );
  expect(await must('getcap', [`${again}/new`])).toContain('cap_net_raw=ep');
  expect(Buffer.from(lgetxattr(`${again}/new`, 'system.posix_acl_access') ?? [])).toEqual(acl(0));
});

test('the layer has whiteouts, opaque directories and FIFOs, and neither sockets nor devices', async () => {
  const [id, out] = fresher();
  const rootfs = await created(store, image.url, id);
  await sh(
    `cd "$1"; rm etc/passwd; rm -rf home; mkdir home; echo x > home/x
     mkdir d; echo y > d/f; ln d/f d/g; mkfifo d/p; mknod d/null c 1 3
     rm etc/group; mknod etc/group c 1 3
     setfattr -n user.x -v 1 d/f; setfattr -n trusted.mine -v 1 d/f; setfattr -n user.overlay.opaque -v y d/f
     mkdir only; touch only/gone; rm only/gone`,
    [rootfs],
  );
  const server = Bun.listen({ unix: `${rootfs}/d/socket`, socket: { data() {} } });
  try {
    const told = await store.must(['commit', id, `oci:${out}:x`]);
    expect(told).toContain('left out: 1 socket and 2 devices');
    // The same upper directory gives the same bytes.
    await store.must(['commit', id, `oci:${out}:y`]);
  } finally {
    server.stop(true);
  }
  expect(await topLayer(out, 'x')).toEqual([
    './',
    'd/',
    'd/f',
    'd/g',
    'd/p',
    'etc/',
    'etc/.wh.group',
    'etc/.wh.passwd',
    'home/',
    'home/.wh..wh..opq',
    'home/x',
    'only/',
  ]);
  const blob = manifestOf(out, 'x').layers.at(-1)?.digest.replace(':', '/') ?? '';
  const bytes = Bun.gunzipSync(readFileSync(join(out, 'blobs', blob)));
  expect(
    Buffer.from(bytes)
      .toString('latin1')
      .match(/SCHILY\.xattr\.[^=]*/g),
  ).toEqual(['SCHILY.xattr.user.x']);
  expect(manifestOf(out, 'y').layers).toEqual(manifestOf(out, 'x').layers);
});

test('history, base and changed configuration are written, and other images of the layout stay', async () => {
  const [id, out] = fresher();
  await created(store, image.url, id);
  await must('cp', ['-a', image.layout, out]);
  const changes = ['CMD ["/bin/echo", "a,b"]', 'ENV GREETING="good bye" NEW=1', 'USER=1000', 'EXPOSE 80'];
  const options = [
    ...changes.flatMap((change) => ['--change', change]),
    '--message',
    'why',
    '--author',
    'me',
  ];
  await store.must(['commit', ...options, id, `oci:${out}:next`]);
  expect(readdirSync(out).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
  const [before, after] = [configOf(out, image.tag), configOf(out, 'next')];
  expect(after.config).toMatchObject({
    Cmd: ['/bin/echo', 'a,b'],
    Env: ['PATH=/bin', 'GREETING=good bye', 'NEW=1'],
    User: '1000',
    ExposedPorts: { '80/tcp': {} },
    WorkingDir: '/home/app',
  });
  expect(after.history.slice(0, -1)).toEqual([...before.history]);
  expect(after.history.at(-1)).toMatchObject({ comment: 'why', author: 'me' });
  expect(after.rootfs.diff_ids.slice(0, -1)).toEqual([...before.rootfs.diff_ids]);
  expect(manifestOf(out, 'next').layers.slice(0, -1)).toEqual([...manifestOf(out, image.tag).layers]);
  expect(Object.keys(manifestOf(out, 'next').annotations ?? {})).toEqual([
    'org.opencontainers.image.base.digest',
  ]);
  await must('umoci', ['unpack', '--image', `${out}:next`, store.dir.at('bundle')]);
  await must('skopeo', ['copy', `oci:${out}:next`, `oci:${store.dir.at('copy')}:next`]);
});

test('a container of a tar has the tar as its first layer, as long as it is the same', async () => {
  const [id, out] = fresher();
  mkdirSync(store.dir.at('tree'));
  writeFileSync(store.dir.at('tree', 'f'), 'f');
  const archive = store.dir.at('base.tar.gz');
  await must('tar', ['-C', store.dir.at('tree'), '-czf', archive, '.']);
  const rootfs = await created(store, archive, id);
  writeFileSync(`${rootfs}/g`, 'g');
  await store.must(['commit', id, `oci:${out}:x`]);
  expect(differences(rootfs, await created(fresh, `oci:${out}:x`, id))).toEqual([]);
  writeFileSync(archive, 'another');
  const other = `${out}-other`;
  const refused = await store.graft(['commit', id, `oci:${other}:x`]);
  expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('--squash')]);
  expect(existsSync(`${other}/index.json`)).toBe(false);
  await store.must(['commit', '--squash', id, `oci:${other}:x`]);
  expect(differences(rootfs, await created(fresh, `oci:${other}:x`, `${id}-whole`))).toEqual([]);
});

test('a container without a mount of its own can be committed, whole too', async () => {
  const [id, out] = fresher();
  await store.must(['create', '--without-mount', image.url, id]);
  writeFileSync(`${store.path}/images/${id}/diff/new`, 'new');
  await store.must(['commit', id, `oci:${out}:x`]);
  await store.must(['commit', '--squash', id, `oci:${out}:y`]);
  const rootfs = await created(fresh, `oci:${out}:x`, id);
  expect(readFileSync(`${rootfs}/new`, 'utf8')).toBe('new');
  expect(differences(rootfs, await created(fresh, `oci:${out}:y`, `${id}-whole`))).toEqual([]);
});

test('an image that is gone offers --squash, which needs neither its layers nor its configuration', async () => {
  const [id, out] = fresher();
  const moved = `${out}-image`;
  await must('cp', ['-a', image.layout, moved]);
  const rootfs = await created(store, `oci:${moved}:${image.tag}`, id);
  rmSync(moved, { recursive: true });
  const refused = await store.graft(['commit', id, `oci:${out}:x`]);
  expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('--squash')]);
  expect(existsSync(out)).toBe(false);
  expect(await store.must(['commit', '--squash', id, `oci:${out}:x`])).toContain('could not be read');
  expect(differences(rootfs, await created(fresh, `oci:${out}:x`, id))).toEqual([]);
});

test('what cannot be done is refused in a sentence, and nothing is written', async () => {
  const [id, out] = fresher();
  const rootfs = await created(store, image.url, id);
  const full = `${out}-full`;
  mkdirSync(full);
  writeFileSync(`${full}/mine`, '');
  const refuse = async (words: readonly string[], sentence: string) => {
    const refused = await store.graft(['commit', ...words]);
    expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining(sentence)]);
    expect(existsSync(out)).toBe(false);
  };
  await refuse(['missing', `oci:${out}:x`], 'not found');
  await refuse([id, `oci:${out}`], 'oci:/DIRECTORY:REF');
  await refuse([id, out], 'oci:/DIRECTORY:REF');
  await refuse([id, `oci:${full}:x`], 'other files');
  await refuse(['--change', 'RUN x', id, `oci:${out}:x`], 'RUN x');
  expect(readdirSync(full)).toEqual(['mine']);
  writeFileSync(`${rootfs}/.wh.x`, '');
  const refused = await store.graft(['commit', id, `oci:${out}:x`]);
  expect([refused.code, refused.stdout]).toEqual([1, expect.stringContaining('/.wh.x in the container')]);
  expect(readdirSync(`${out}/blobs/sha256`)).toEqual([]);
  expect(readdirSync(out)).toEqual(['blobs']);
});

test('a full disk under the target is told with the target, and leaves no image', async () => {
  const [id, out] = fresher();
  const rootfs = await created(store, image.url, id);
  writeFileSync(`${rootfs}/noise`, crypto.getRandomValues(new Uint8Array(65536)));
  mkdirSync(out);
  await must('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', out]);
  const refused = await store.graft(['commit', '--squash', id, `oci:${out}/layout:x`]);
  expect([refused.code, refused.stdout]).toEqual([
    1,
    expect.stringContaining(`the disk of ${out}/layout is full`),
  ]);
  expect(readdirSync(`${out}/layout`)).toEqual(['blobs']);
});

test('a commit that is ended while it waits for a registry leaves no image and no unfinished file', async () => {
  const [id, out] = fresher();
  let child: Bun.Subprocess | undefined;
  const layer = tar([{ name: 'f', content: 'f' }]);
  const registry = fakeRegistry(fakeImage([layer]), {
    override: async ({ target }) => {
      if (child === undefined || !target.includes('/blobs/')) return false;
      child.kill('SIGTERM');
      await child.exited;
      return false;
    },
  });
  try {
    const insecure = ['--insecure-registry', registry.host];
    await store.must(['create', ...insecure, registry.image(':latest'), id]);
    const command = ['--store', store.path, 'commit', ...insecure, id, `oci:${out}:x`];
    child = Bun.spawn([executable('graft'), ...command], {
      env: cleanEnv(),
      stdout: 'ignore',
      stderr: 'ignore',
    });
    expect(await child.exited).toBe(143);
    expect(readdirSync(out)).toEqual(['blobs']);
    expect(readdirSync(`${out}/blobs/sha256`)).toEqual([]);
    child = undefined;
    await store.must(['commit', ...insecure, id, `oci:${out}:x`]);
    expect(manifestOf(out, 'x').annotations).toMatchObject({
      'org.opencontainers.image.base.name': `${registry.host}/app:latest`,
    });
    expect(differences(rootfsOf(store, id), await created(fresh, `oci:${out}:x`, id))).toEqual([]);
  } finally {
    registry.stop();
  }
});
