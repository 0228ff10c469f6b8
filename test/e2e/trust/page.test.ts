/** docs/trust.md: its files and commands, in its order, with the registry and the directories of this test. */
import { afterAll, beforeAll, expect, test } from 'bun:test';
import { mkdirSync, writeFileSync } from 'node:fs';
import { allBlocks } from '../../docs/page.ts';
import { executable } from '../../support/graft.ts';
import { makeNoiseImage } from '../../support/images/noise-image.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { run } from '../../support/shell.ts';
import { GpgHome } from '../../support/signatures/gpg-home.ts';
import { Cell } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const PAGE = 'docs/trust.md';
const cleanup = new AsyncDisposableStack();
let dir: TempDir;
let cell: Cell;
let home: GpgHome;
let registry: TestRegistry;
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  cell = cleanup.use(await Cell.make());
  home = cleanup.use(new GpgHome());
  registry = cleanup.use(await startRegistry(dir.at('registry'), { quiet: true }));
  await home.gpg(['--quick-generate-key', 'release@example.com', 'ed25519', 'sign', 'never']);
  const image = makeNoiseImage(dir.at('images/app'), 'v1', [1000]);
  await push(`oci:${image.name}`, `docker://${registry.host}/team/unsigned:v1`);
  for (const name of ['graft', 'registries.d']) mkdirSync(dir.at(name));
  cell.settings({ insecure: [registry.host] });
});

/** What the page calls by names of an operator's machine. */
const here = (text: string) =>
  text
    .replaceAll('registry.example.com', registry.host)
    .replaceAll('/etc/graft.yml', cell.config)
    .replaceAll('/etc/graft/', `${dir.path}/graft/`)
    .replaceAll('oci:/images/', `oci:${dir.path}/images/`)
    .replaceAll('/srv/signatures', dir.at('signatures'))
    .replaceAll(
      'skopeo copy',
      `skopeo --registries.d ${dir.at('registries.d')} copy -q --dest-tls-verify=false`,
    )
    .replaceAll(/^graft /gm, `${executable()} `)
    .replaceAll('gpg --export', 'gpg --yes --export');

test('takes an operator from the first signature to a refusal on the cell', async () => {
  const [policy, places, settings] = allBlocks(PAGE).filter(({ language }) => /json|yaml/.test(language));
  writeFileSync(dir.at('graft/policy.json'), here(policy?.text ?? ''));
  writeFileSync(dir.at('registries.d/example.yaml'), here(places?.text ?? ''));
  const directory = `  registries_d: ${dir.at('registries.d')}\n`;
  writeFileSync(`${cell.config}.d/trust.yml`, here(settings?.text ?? '') + directory);
  const shell = (text: string) => run('/bin/sh', ['-euc', here(text)], { env: home.env });
  const [sign = '', look = '', refused = ''] = allBlocks(PAGE).flatMap(({ language, text }) =>
    language === 'sh' ? [text] : [],
  );
  expect(await shell(sign)).toMatchObject({ code: 0 });
  const signed = `docker://${registry.host}/team/app:v1`;
  expect(await cell.graft(['create', signed, 'signed'])).toMatchObject({ code: 0 });
  const looked = await shell(look.replace(/(.*doctor)$/m, '$1 || true'));
  expect(looked.code).toBe(0);
  expect(looked.stdout).toContain('graft/policy.json: 3 scopes, default reject');
  expect(looked.stdout).toContain(`accepted by docker ${registry.host}/team in`);
  expect(looked.stdout).toContain('Every container and every cached image may run.');
  const ended = await shell(refused);
  expect([ended.code, ended.stdout]).toEqual([
    1,
    expect.stringContaining('may not run on this machine: it needs a GPG'),
  ]);
  expect(ended.stdout).toContain('and no signature is at file://');
});
