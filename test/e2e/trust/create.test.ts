/** A cell with a policy: images that skopeo signed, images that nobody signed, and what each costs. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { makeNoiseImage, type NoiseImage, tarOf } from '../../support/images/noise-image.ts';
import { type FakeRegistry, fakeImage, fakeRegistry } from '../../support/registries/fake-registry.ts';
import { whole } from '../../support/registries/raw-server.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { must, type Ran } from '../../support/shell.ts';
import { GpgHome, payload } from '../../support/signatures/gpg-home.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

const cleanup = new AsyncDisposableStack();
let dir: TempDir;
let cell: Cell;
let home: GpgHome;
let registry: TestRegistry;
let image: NoiseImage;
let ring: string;
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  home = cleanup.use(new GpgHome());
  registry = cleanup.use(await startRegistry(dir.at('registry'), { quiet: true }));
  cell = cleanup.use(await Cell.make());
  await home.key('alice');
  await home.key('bob');
  ring = await home.keyring(['alice']);
  image = makeNoiseImage(dir.at('image'), 'v1', [2000]);
  mkdirSync(dir.at('registries.d'));
  const docker = { [registry.host]: { lookaside: `file://${dir.at('signatures')}` } };
  writeFileSync(dir.at('registries.d/test.yaml'), JSON.stringify({ docker }));
  await must(
    'skopeo',
    [
      '--registries.d',
      dir.at('registries.d'),
      'copy',
      '-q',
      '--dest-tls-verify=false',
      '--sign-by',
      'alice@graft.example',
      `oci:${image.name}`,
      `docker://${registry.host}/app:v1`,
    ],
    { env: home.env },
  );
  await push(`oci:${image.name}`, `docker://${registry.host}/other:v1`);
  cell.settings({ insecure: [registry.host] });
});
beforeEach(() => cell.empty());

const ANYTHING = [{ type: 'insecureAcceptAnything' }];
const REJECT = [{ type: 'reject' }];
const signedBy = (more: object = {}) => [{ type: 'signedBy', keyType: 'GPGKeys', keyPath: ring, ...more }];

/** The policy of the cell. */
function policy(standard: readonly object[], transports: object = {}): void {
  writeFileSync(dir.at('policy.json'), JSON.stringify({ default: standard, transports }));
  const trust = { policy: dir.at('policy.json'), registries_d: dir.at('registries.d') };
  writeFileSync(cell.dir.at('graft.yml.d/trust.yml'), JSON.stringify({ trust }));
}
const noPolicy = () => rmSync(cell.dir.at('graft.yml.d/trust.yml'), { force: true });

async function create(reference: string): Promise<Ran & { id: string }> {
  const id = cell.id();
  return { ...(await cell.graft(['create', reference, id])), id };
}
const listed = async () =>
  JSON.parse((await cell.graft(['list', '--json'])).stdout) as Record<string, unknown>[];

describe('an image that skopeo signed', () => {
  const reference = () => `docker://${registry.host}/app:v1`;

  test('runs, and its record says by whose signature', async () => {
    policy(REJECT, { docker: { [registry.host]: signedBy() } });
    expect((await create(reference())).code).toBe(0);
    const [fingerprint] = await home.fingerprints('alice');
    const [{ trust } = {}] = await listed();
    expect(trust).toMatchObject({
      policy: dir.at('policy.json'),
      scope: `docker ${registry.host}`,
      accepted: [`signedBy GPG key ${fingerprint}`],
      signed: [image.manifest.digest],
    });
    const shown = await cell.graft(['inspect', reference()]);
    expect(shown.stdout).toContain(
      `accepted by docker ${registry.host} in ${dir.at('policy.json')}: signedBy GPG`,
    );
  });

  test('is refused by a policy with another key, by the name that it is not signed for, and leaves nothing', async () => {
    policy(signedBy({ keyPath: await home.keyring(['bob']) }));
    for (const verb of ['create', 'pull'] as const) {
      const refused = verb === 'create' ? await create(reference()) : await cell.pull(reference());
      expect([refused.code, refused.stdout]).toEqual([
        1,
        expect.stringContaining('may not run on this machine'),
      ]);
      expect(refused.stdout).toContain('it is made with a key that the policy does not have');
      expect(logged(refused, 'image-refused')).toHaveLength(1);
    }
    policy(signedBy());
    expect((await create(`docker://${registry.host}/other:v1`)).stdout).toContain(
      `and no signature is at file://${dir.at('signatures')}/other@sha256=`,
    );
    expect(await listed()).toEqual([]);
    expect((await cell.graft(['usage', '--json'])).stdout).toContain('"layers":[]');
  });

  test('is listed by check --policy once its key is no longer accepted', async () => {
    policy(signedBy());
    const { id } = await create(reference());
    expect(await cell.graft(['check', '--policy'])).toMatchObject({ code: 0 });
    policy(signedBy({ keyPath: await home.keyring(['bob']) }));
    const found = await cell.graft(['check', '--policy', '--json']);
    expect([found.code, JSON.parse(found.stdout)]).toEqual([
      1,
      [
        expect.objectContaining({ kind: 'container', what: id, verdict: 'refused' }),
        expect.objectContaining({ kind: 'image', what: reference(), verdict: 'refused' }),
      ],
    ]);
    noPolicy();
    expect((await cell.graft(['check', '--policy'])).stdout).toContain('there is no policy to check by');
  });

  test('and so is a cached image, which a pull left', async () => {
    const pinned = `docker://${registry.host}/app@${image.manifest.digest}`;
    policy(signedBy());
    expect((await cell.pull(pinned)).code).toBe(0);
    expect(await cell.graft(['check', '--policy'])).toMatchObject({ code: 0 });
    policy(signedBy({ keyPath: await home.keyring(['bob']) }));
    const found = await cell.graft(['check', '--policy', '--json']);
    expect([found.code, JSON.parse(found.stdout)]).toEqual([
      1,
      [expect.objectContaining({ kind: 'image', what: pinned, verdict: 'refused' })],
    ]);
  });
});

describe('a refusal comes before the configuration, and a verdict costs nothing again', () => {
  let fake: FakeRegistry;
  let signatures: Map<string, Uint8Array>;
  const content = fakeImage([tarOf('file', Buffer.from('content'))]);
  beforeEach(() => {
    signatures = new Map();
    seen = 0;
    fake = fakeRegistry(content, {
      override: async ({ target }, answer) => {
        if (!target.startsWith('/signatures/')) return false;
        const found = signatures.get(target);
        await answer.write(found === undefined ? whole(404, 'no') : whole(200, found));
        return true;
      },
    });
    cleanup.defer(() => fake.stop());
    const docker = { [fake.host]: { lookaside: `http://${fake.host}/signatures` } };
    writeFileSync(dir.at('registries.d/fake.yaml'), JSON.stringify({ docker }));
    cell.settings({ insecure: [fake.host] });
  });
  const place = (at: number) =>
    `/signatures/app@${content.manifest.digest.replace(':', '=')}/signature-${at}`;
  const sign = async () =>
    signatures.set(
      place(1),
      await home.sign(['alice'], payload(content.manifest.digest, `${fake.host}/app:latest`)),
    );
  let seen = 0;
  /** The requests since the last look, without the question whether the registry has TLS. */
  const asked = () => {
    const fresh = fake.requests.slice(seen);
    seen = fake.requests.length;
    return fresh.flatMap(({ method, target }) => (target === '/v2/' ? [] : [`${method} ${target}`]));
  };

  test('unsigned: the manifest and the first signature are asked for, and no more', async () => {
    policy(signedBy());
    expect((await create(fake.image(''))).code).toBe(1);
    expect(asked()).toEqual(['GET /v2/app/manifests/latest', `GET ${place(1)}`]);
  });

  test('signed: the second create asks what it would ask without a policy', async () => {
    policy(signedBy());
    await sign();
    expect((await create(fake.image(''))).code).toBe(0);
    expect(asked().slice(0, 3)).toEqual([
      'GET /v2/app/manifests/latest',
      `GET ${place(1)}`,
      `GET ${place(2)}`,
    ]);
    expect((await create(fake.image(''))).code).toBe(0);
    const warm = asked();
    noPolicy();
    expect((await create(fake.image(''))).code).toBe(0);
    expect(warm).toEqual(asked());
    policy([...signedBy(), ...ANYTHING]);
    expect((await create(fake.image(''))).code).toBe(0);
    expect(asked()).toContain(`GET ${place(1)}`);
  });

  test('an answer that is neither a signature nor 404 refuses', async () => {
    policy(signedBy());
    const broken = fakeRegistry(content, {
      override: async ({ target }, answer) => {
        if (!target.startsWith('/signatures/')) return false;
        await answer.write(whole(403, 'no'));
        return true;
      },
    });
    cleanup.defer(() => broken.stop());
    const docker = { [broken.host]: { lookaside: `http://${broken.host}/signatures` } };
    writeFileSync(dir.at('registries.d/fake.yaml'), JSON.stringify({ docker }));
    cell.settings({ insecure: [broken.host] });
    const refused = await create(broken.image(''));
    expect([refused.code, refused.stdout]).toEqual([
      1,
      expect.stringContaining('so the image is refused: it answers 403'),
    ]);
  });
});

test('layouts and tar files go by their own transports, and a broken policy stops every create', async () => {
  writeFileSync(dir.at('rootfs.tar'), tarOf('file', Buffer.from('content')));
  const sources = [image.url, dir.at('rootfs.tar')];
  policy(REJECT);
  for (const source of sources)
    expect((await create(source)).stdout).toContain('every image of this scope is rejected');
  policy(REJECT, { oci: { [dir.path]: ANYTHING }, tarball: { '': ANYTHING } });
  for (const source of sources) expect((await create(source)).code).toBe(0);
  const doctor = await cell.graft(['doctor']);
  expect(doctor.stdout).toContain(`${dir.at('policy.json')}: 2 scopes, default reject`);
  expect(doctor.stdout).toContain('refuses images of the transport oci');
  writeFileSync(dir.at('policy.json'), '{"default":[{"type":"insecureAcceptAnything","typo":1}]}');
  for (const source of sources) {
    const refused = await create(source);
    expect([refused.code, refused.stdout]).toEqual([
      1,
      expect.stringContaining("default[0] has an unknown key 'typo'"),
    ]);
  }
  expect((await cell.graft(['doctor'])).stdout).toContain("default[0] has an unknown key 'typo'");
});
