/** The guard is the same for every verb that makes something of an image, and for every kind of source. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { makeNoiseImage, type NoiseImage } from '../../support/images/noise-image.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { must } from '../../support/shell.ts';
import { Cell } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const cleanup = new AsyncDisposableStack();
let dir: TempDir;
let cell: Cell;
let registry: TestRegistry;
let image: NoiseImage;
/** By transport, as a policy names it. */
let sources: Record<string, string>;
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  cell = cleanup.use(await Cell.make());
  registry = cleanup.use(await startRegistry(dir.at('registry'), { quiet: true }));
  image = makeNoiseImage(dir.at('image'), 'v1', [2000]);
  await push(`oci:${image.name}`, `docker://${registry.host}/app:v1`);
  for (const transport of ['docker-archive', 'oci-archive'])
    await must('skopeo', [
      'copy',
      '-q',
      '--insecure-policy',
      `oci:${image.name}`,
      `${transport}:${dir.at(transport)}:app:v1`,
    ]);
  await must('tar', ['-C', dir.at('image'), '-cf', dir.at('rootfs.tar'), 'oci-layout']);
  sources = {
    docker: `docker://${registry.host}/app:v1`,
    oci: image.url,
    'docker-archive': `docker-archive:${dir.at('docker-archive')}`,
    'oci-archive': `oci-archive:${dir.at('oci-archive')}`,
    tarball: dir.at('rootfs.tar'),
  };
  cell.settings({ insecure: [registry.host] });
  mkdirSync(dir.at('target'));
});

function policy(transports: object): void {
  writeFileSync(dir.at('policy.json'), JSON.stringify({ default: [{ type: 'reject' }], transports }));
  const trust = { policy: dir.at('policy.json') };
  writeFileSync(cell.dir.at('graft.yml.d/trust.yml'), JSON.stringify({ trust }));
}

const REFUSED = 'may not run on this machine: every image of this scope is rejected';

test('create, pull, run, export and publish refuse, say the same, and leave nothing', async () => {
  policy({});
  for (const [transport, source] of Object.entries(sources)) {
    const calls: string[][] = [
      ['create', source, 'refused'],
      ['pull', source],
      ['run', source, '--', '/bin/true'],
      ['export', source, dir.at('exported')],
      ['publish', source, '--name', 'registry.example/app:v1', '--to', `directory:${dir.at('target')}`],
    ];
    for (const args of calls) {
      // A tar has no manifest to publish, whatever the policy says.
      if (args[0] === 'publish' && transport === 'tarball') continue;
      const ran = await cell.graft(args);
      const said = `${ran.stdout}${ran.stderr}`;
      expect([transport, args[0], said.includes(REFUSED), ran.code === 0]).toEqual([
        transport,
        args[0],
        true,
        false,
      ]);
    }
  }
  expect((await cell.graft(['list', '--quiet'])).stdout).toBe('');
  expect((await cell.graft(['usage', '--json'])).stdout).toContain('"layers":[]');
  // The publisher's own directory has its lock.
  const published = readdirSync(dir.at('target')).filter((name) => name !== '.graft-publish');
  expect([existsSync(dir.at('exported')), published]).toEqual([false, []]);
});

test('each transport is let through by its own scope alone', async () => {
  for (const [transport, source] of Object.entries(sources)) {
    policy({ [transport]: { '': [{ type: 'insecureAcceptAnything' }] } });
    const codes: Record<string, number | null> = {};
    for (const [other, of] of Object.entries(sources)) {
      const id = cell.id();
      codes[other] = (await cell.graft(['create', of, id])).code;
      if (codes[other] === 0) await cell.graft(['delete', id]);
    }
    const expected = Object.fromEntries(
      Object.keys(sources).map((other) => [other, other === transport ? 0 : 1]),
    );
    expect([source, codes]).toEqual([source, expected]);
  }
});

test('a container that was allowed is not run again once its image is refused; inspect shows the verdict', async () => {
  policy({ oci: { [dir.path]: [{ type: 'insecureAcceptAnything' }] } });
  expect((await cell.graft(['create', image.url, 'allowed'])).code).toBe(0);
  policy({});
  const ran = await cell.graft(['run', 'allowed', '--', '/bin/true']);
  expect([ran.code, `${ran.stdout}${ran.stderr}`.includes(REFUSED)]).toEqual([125, true]);
  const shown = await cell.graft(['inspect', '--json', image.url]);
  expect([shown.code, JSON.parse(shown.stdout).trust.refused]).toMatchObject([
    0,
    { found: 'every image of this scope is rejected' },
  ]);
  expect((await cell.graft(['delete', 'allowed'])).code).toBe(0);
});
