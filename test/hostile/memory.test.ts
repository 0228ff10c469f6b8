/** The most memory that each verb takes, for images at the edge of what the budgets let through. */
import { expect, test } from 'bun:test';
import { writeFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { sha256Hex } from '../../lib/base/digest.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../lib/oci/media-types.ts';
import { executable } from '../support/graft.ts';
import { LayoutBuilder } from '../support/images/layout-builder.ts';
import { type EntrySpec, tar } from '../support/images/tar-writer.ts';
import { cleanEnv, PROJECT } from '../support/shell.ts';
import { type TestStore, testStore } from '../support/stores/store.ts';

const MINUTES = 60_000;
const MiB = 1024 ** 2;
/** What the project has set itself, in MiB. */
const [FETCHING, OTHERS] = [300, 100];

interface Peak {
  readonly code: number;
  readonly peak: number;
  readonly said: string;
}

async function peakOf(store: TestStore, args: readonly string[]): Promise<Peak> {
  const argv = [
    `${PROJECT}/test/support/programs/peak-main.ts`,
    executable(),
    '--store',
    store.path,
    ...args,
  ];
  const child = Bun.spawn([process.execPath, ...argv], {
    env: cleanEnv(),
    stdout: 'pipe',
    stderr: 'inherit',
  });
  const text = await new Response(child.stdout).text();
  await child.exited;
  return JSON.parse(text) as Peak;
}

/** Creates three containers, then every verb that reads what they left; each keeps to its bound. */
async function everyVerb(store: TestStore, url: string): Promise<void> {
  const bounds: [string[], number][] = [
    ...['a', 'b', 'c'].map((id): [string[], number] => [['create', url, id], FETCHING]),
    ...[['usage', '--json'], ['list', '--json'], ['stats', 'a'], ['check'], ['doctor'], ['delete', 'a']].map(
      (args): [string[], number] => [args, OTHERS],
    ),
    [['check', '--repair'], FETCHING],
    [['clean', '--threshold-bytes', String(2 ** 50)], OTHERS],
    [['delete', 'b'], OTHERS],
    [['delete', 'c'], OTHERS],
    [['clean'], OTHERS],
  ];
  for (const [args, bound] of bounds) {
    const { code, peak, said } = await peakOf(store, args);
    // A doctor has something to say of any store without limits.
    if (args[0] !== 'doctor') expect([args, code, code === 0 ? '' : said]).toEqual([args, 0, '']);
    expect([args[0], peak < bound ? 'within' : peak]).toEqual([args[0], 'within']);
  }
  expect(await store.must(['usage', '--json'])).toContain('"layers":[]');
}

test(
  'directories that nothing names but long paths below them',
  async () => {
    await using store = await testStore();
    const layout = new LayoutBuilder(store.dir.at('layout'));
    const part = '\x01'.repeat(240);
    const layer = (at: number) => {
      const entries = Array.from({ length: 260 }, (_, i): EntrySpec => {
        return { name: 'f', pax: { path: `${at}-${i}/${`${part}/`.repeat(14)}f` } };
      });
      return tar(entries);
    };
    const layers = Array.from({ length: 4 }, (_, at) => layout.layer(layer(at)));
    layout.write([layout.image(layers)]);
    const { code, peak, said } = await peakOf(store, ['create', layout.url(), 'refused']);
    expect([code, said]).toEqual([1, expect.stringContaining('bytes of names')]);
    expect(peak < FETCHING ? 'within' : peak).toBe('within');
    await store.must(['clean']);
    layout.write([layout.image(layers.slice(0, 2))]);
    await everyVerb(store, layout.url());
  },
  5 * MINUTES,
);

test(
  'a thousand layers, four megabytes of configuration and of manifest, and all attributes that a root can have',
  async () => {
    await using store = await testStore();
    const layout = new LayoutBuilder(store.dir.at('layout'));
    const xattrs = Array.from({ length: 14 }, (_, i) => [
      `SCHILY.xattr.user.x${i}`,
      Buffer.alloc(60_000, 'v'),
    ]);
    const archive = tar([{ name: './', type: '5', pax: Object.fromEntries(xattrs) }, { name: 'f' }]);
    const diffId = `sha256:${sha256Hex(archive)}`;
    const layer = layout.blob(`${OCI_LAYER}+gzip`, gzipSync(archive));
    const rootfs = { type: 'layers', diff_ids: Array.from({ length: 1000 }, () => diffId) };
    // Each pair of brackets is three bytes of a document, and an object of the runtime.
    const nested = (bytes: number) => Array.from({ length: Math.floor(bytes / 3) }, () => []);
    const config = layout.json(OCI_CONFIG, {
      architecture: 'amd64',
      os: 'linux',
      rootfs,
      config: { Env: Array.from({ length: 100_000 }, () => 'a=') },
      nested: nested(3 * MiB),
    });
    const layers = Array.from({ length: 1000 }, () => layer);
    const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config, layers, nested: nested(3.5 * MiB) };
    layout.write([layout.json(OCI_MANIFEST, document)]);
    // As a registry's would be: a clean reads what is kept of images that are gone.
    for (let i = 0; i < 4; i += 1) {
      const bytes = JSON.stringify({ ...document, i });
      writeFileSync(`${store.path}/meta/blobs/${sha256Hex(bytes)}`, bytes);
    }
    await everyVerb(store, layout.url());
  },
  5 * MINUTES,
);
