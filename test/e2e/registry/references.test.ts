/** How an image may be written, from Cloud Controller's and Garden's hands to a registry's. */
import { afterAll, beforeAll, describe, expect, test } from 'bun:test';
import { makeBusyboxImage } from '../../support/images/images.ts';
import { push, startRegistry, type TestRegistry } from '../../support/registries/registry.ts';
import { must } from '../../support/shell.ts';
import { Cell, logged } from '../../support/stores/cell.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';

let dir: TempDir;
let cell: Cell;
let registry: TestRegistry;
let digest: string;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  dir = cleanup.use(tempDir());
  registry = cleanup.use(await startRegistry(dir.at('registry')));
  const image = await makeBusyboxImage(dir.at('image'));
  await push(`oci:${image.name}`, `docker://${registry.host}/team/app:v1`);
  const inspected = await must('skopeo', [
    'inspect',
    '--tls-verify=false',
    `docker://${registry.host}/team/app:v1`,
  ]);
  digest = JSON.parse(inspected).Digest;
  cell = cleanup.use(await Cell.make());
  cell.settings({ insecure: [registry.host] });
});

describe('an image in a registry', () => {
  const none = `sha256:${'0'.repeat(64)}`;
  const forms: readonly [what: string, image: (host: string) => string][] = [
    ['by tag', (host) => `docker://${host}/team/app:v1`],
    ['by tag as Cloud Controller writes it', (host) => `docker://${host}/team/app#v1`],
    ['by digest', (host) => `docker://${host}/team/app@${digest}`],
    [
      'by digest as Cloud Controller writes it',
      (host) => `docker://${host}/team/app@${digest.replace(':', '#')}`,
    ],
    ['by tag and digest', (host) => `docker://${host}/team/app:v1@${digest}`],
    ['by tag and digest as Cloud Controller writes it', (host) => `docker://${host}/team/app#v1@${digest}`],
    [
      'by digest and a tag that does not exist: the digest decides',
      (host) => `docker://${host}/team/app:none@${digest}`,
    ],
    ['with the host in capitals', (host) => `docker://${host.toUpperCase()}/team/app:v1`],
  ];
  test.each(forms)('%s is the one that skopeo finds', async (_what, image) => {
    const ran = await cell.pull(image(registry.host));
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining(`@${digest}: `)]);
    expect(logged(ran, 'image-resolved')[0]?.['digest']).toBe(digest);
  });

  test('that is not there is said so in the registry’s words', async () => {
    const tag = await cell.pull(`docker://${registry.host}/team/app:none`);
    expect(tag.stdout).toStartWith(`reading manifest none in ${registry.host}/team/app: manifest unknown`);
    const pinned = await cell.pull(`docker://${registry.host}/team/app@${none}`);
    expect(pinned.stdout).toContain('manifest unknown');
    expect([tag.code, pinned.code]).toEqual([1, 1]);
  });

  test.each([
    ['docker://HOST/Team/app:v1', 'lower case'],
    ['docker://HOST/team/app:v 1', 'space'],
    ['docker://HOST/team/../app:v1', 'repository name'],
    ['docker://HOST/team/app@sha256:abc', 'digest'],
    ['docker://HOST/team/app:v1?x=y', 'query'],
    ['docker://HOST/team%2fapp:v1', 'percent-encoding'],
  ])('that is no reference, %s, is refused before any request', async (image, words) => {
    const ran = await cell.pull(image.replace('HOST', registry.host));
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(words)]);
    expect(logged(ran, 'http')).toEqual([]);
  });

  test('can be made a container of, with its environment', async () => {
    const id = cell.id();
    const made = await cell.graft(['create', `docker://${registry.host}/team/app:v1`, id]);
    expect(made.code).toBe(0);
    const spec = JSON.parse(made.stdout);
    expect(await must('chroot', [spec.root.path, '/bin/busybox', 'cat', '/etc/passwd'])).toContain(
      'app:x:1000',
    );
    expect((await cell.graft(['delete', id])).code).toBe(0);
  });
});

test('require-digest refuses what is not pinned, by flag and by setting', async () => {
  const words = expect.stringContaining('is not pinned');
  const tag = `docker://${registry.host}/team/app:v1`;
  const flagged = await cell.pull(tag, ['--require-digest']);
  expect([flagged.code, flagged.stdout]).toEqual([1, words]);
  const created = await cell.graft(['create', '--require-digest', tag, cell.id()]);
  expect([created.code, created.stdout]).toEqual([1, words]);
  expect((await cell.pull(`docker://${registry.host}/team/app@${digest}`, ['--require-digest'])).code).toBe(
    0,
  );
  cell.settings({ insecure: [registry.host], require_digest: true });
  const set = await cell.pull(tag);
  expect([set.code, set.stdout]).toEqual([1, words]);
  cell.settings({ insecure: [registry.host] });
});
