/** The user in the printed fragment, with a mount and without one, is umoci's; what umoci refuses, graft refuses. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { OCI_MANIFEST } from '../../lib/oci/media-types.ts';
import { LayoutBuilder, named, type RawDescriptor } from '../support/images/layout-builder.ts';
import { tar } from '../support/images/tar-writer.ts';
import { run } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

const USERS = [
  '',
  'app',
  'app:staff',
  '1000',
  '7',
  '7:8',
  'moved',
  'nosuch',
  'app:nosuch',
  'gone',
  '4294967296',
];

let store: TestStore;
let layout: LayoutBuilder;

beforeAll(async () => {
  store = await testStore();
  layout = new LayoutBuilder(store.dir.at('layout'));
  const base = layout.layer(
    tar([
      { name: 'etc/', type: '5' },
      { name: 'etc/passwd', content: 'root:x:0:0::/:\ngone:x:9:9::/:\n' },
      { name: 'etc/group', content: 'root:x:0:\n' },
      { name: 'etc/old', content: 'x' },
    ]),
  );
  // The files that count are those of the merged tree: replaced, and behind a link.
  const top = layout.layer(
    tar([
      { name: 'etc/passwd', type: '2', link: '../usr/lib/passwd' },
      { name: 'usr/lib/passwd', content: 'root:x:0:0::/:\napp:x:1000:1001::/:\nmoved:x:3:4::/:\n' },
      { name: 'etc/group', content: 'staff:x:50:app,root\nwheel:x:10:app\n' },
      { name: 'etc/.wh.old', content: '' },
    ]),
  );
  layout.write(USERS.map((user, at) => imageOf([base, top], user, `u${at}`)));
});
afterAll(() => store.dir.remove());

function imageOf(layers: readonly RawDescriptor[], User: string, ref: string): RawDescriptor {
  const config = layout.config(
    layers.map(({ digest }) => digest),
    { config: { User } },
  );
  return layout.json(OCI_MANIFEST, { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers }, named(ref));
}

/** As umoci resolves it in an unpacked tree; undefined where it refuses. */
async function umociUser(at: number): Promise<unknown> {
  const rootfs = store.dir.at('umoci');
  const image = `${layout.directory}:u${at}`;
  if (!existsSync(rootfs))
    expect((await run('umoci', ['raw', 'unpack', '--image', image, rootfs])).code).toBe(0);
  const file = store.dir.at(`config-${at}.json`);
  const ran = await run('umoci', ['raw', 'runtime-config', '--image', image, '--rootfs', rootfs, file]);
  return ran.code === 0 ? JSON.parse(readFileSync(file, 'utf8')).process.user : undefined;
}

describe.each([...USERS.entries()])('number %i, User %p', (at, user) => {
  test.each([
    ['mounted', []],
    ['not mounted', ['--without-mount']],
  ])('%s', async (_how, options) => {
    const expected = await umociUser(at);
    const ran = await store.graft(['create', ...options, layout.url(`u${at}`), `box-${at}`]);
    if (expected === undefined) {
      expect(ran.code).toBe(1);
      expect(ran.stdout).toStartWith(`the image's User '${user}' cannot be made into ids: `);
    } else {
      expect([ran.code, JSON.parse(ran.stdout).process.user]).toEqual([0, expected]);
      expect(readFileSync('/proc/self/mountinfo', 'utf8').includes(`images/box-${at}/rootfs`)).toBe(
        options.length === 0,
      );
      expect(readdirSync(`${store.path}/images/box-${at}/workdir`)).toEqual(
        options.length === 0 ? ['work'] : [],
      );
      await store.must(['delete', `box-${at}`]);
    }
    expect(readdirSync(`${store.path}/images`)).toEqual([]);
  });
});

test('a container in a single layer is looked at without a mount too', async () => {
  const layer = layout.layer(tar([{ name: 'etc/passwd', content: 'only:x:5:6::/:\n' }]));
  const one = new LayoutBuilder(layout.directory).write([imageOf([layer], 'only', 'one')]);
  const fragment = JSON.parse(await store.must(['create', '--without-mount', one.url('one'), 'one']));
  expect(fragment.process.user).toEqual({ uid: 5, gid: 6 });
  await store.must(['delete', 'one']);
});
