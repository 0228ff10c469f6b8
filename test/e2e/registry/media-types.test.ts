/** Types that no current tool writes and that are legal all the same, or that everybody takes to this day. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'bun:test';
import { DOCKER_MANIFEST, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import { tarOf } from '../../support/images/noise-image.ts';
import { type FakeRegistry, fakeImage, fakeRegistry } from '../../support/registries/fake-registry.ts';
import { whole } from '../../support/registries/raw-server.ts';
import type { Ran } from '../../support/shell.ts';
import { Cell } from '../../support/stores/cell.ts';

let cell: Cell;
let registry: FakeRegistry | undefined;
const cleanup = new AsyncDisposableStack();
afterAll(() => cleanup.disposeAsync());
beforeAll(async () => {
  cell = cleanup.use(await Cell.make());
});
beforeEach(() => cell.empty());
afterEach(() => registry?.stop());

interface Types {
  readonly config?: string;
  readonly layer?: string;
  /** Of the manifest, in its own words; null: it says nothing. */
  readonly body?: string | null;
  /** Of the manifest, in the header; null: no such header. */
  readonly header?: string | null;
}

async function pull({ config, layer, body, header }: Types): Promise<Ran> {
  const image = fakeImage([tarOf('file', Buffer.from('content'))], (document) => {
    const {
      mediaType,
      config: plain,
      layers,
      ...rest
    } = document as {
      mediaType: string;
      config: object;
      layers: object[];
    };
    return {
      ...rest,
      ...(body !== null && { mediaType: body ?? mediaType }),
      config: { ...plain, ...(config !== undefined && { mediaType: config }) },
      layers: layers.map((one) => ({ ...one, ...(layer !== undefined && { mediaType: layer }) })),
    };
  });
  registry = fakeRegistry(image, {
    override: async (request, answer) => {
      if (header === undefined || !request.target.includes('/manifests/')) return false;
      const type: Record<string, string> = header === null ? {} : { 'content-type': header };
      const full = whole(200, image.manifest.bytes, {
        ...type,
        'docker-content-digest': image.manifest.digest,
      });
      const end = request.method === 'HEAD' ? full.length - image.manifest.bytes.length : full.length;
      await answer.write(full.subarray(0, end));
      return true;
    },
  });
  cell.settings({ insecure: [registry.host] });
  return cell.pull(registry.image(':latest'));
}

describe('an image is one with', () => {
  test.each<[string, Types]>([
    [
      'a layer of Docker’s type in an OCI manifest',
      { layer: 'application/vnd.docker.image.rootfs.diff.tar' },
    ],
    ['an OCI layer in a manifest of Docker’s', { body: DOCKER_MANIFEST, header: DOCKER_MANIFEST }],
    [
      'a layer that may not be distributed, and is',
      { layer: 'application/vnd.oci.image.layer.nondistributable.v1.tar' },
    ],
    ['a configuration that is bytes', { config: 'application/octet-stream' }],
    ['a configuration of Docker’s type', { config: 'application/vnd.docker.container.image.v1+json' }],
    ['a manifest that does not say what it is', { body: null }],
    ['a registry that does not say what it sends', { header: null }],
    ['a type with a parameter, in capitals', { header: `${OCI_MANIFEST.toUpperCase()}; charset=utf-8` }],
  ])('%s', async (_what, types) => {
    const ran = await pull(types);
    expect([ran.code, ran.stdout]).toEqual([0, expect.stringContaining('1 of 1 layer fetched')]);
  });
});

describe('an image is none with', () => {
  test.each<[string, Types, string]>([
    [
      'another type in the header than in the body',
      { body: OCI_MANIFEST, header: DOCKER_MANIFEST },
      DOCKER_MANIFEST,
    ],
    [
      'layers of a compression that nobody unpacks',
      { layer: 'application/vnd.oci.image.layer.v1.tar+xz' },
      'tar+xz',
    ],
    ['layers that are no archive', { layer: 'application/vnd.in-toto+json' }, 'application/vnd.in-toto+json'],
  ])('%s, and the sentence names it', async (_what, types, named) => {
    const ran = await pull(types);
    expect([ran.code, ran.stdout]).toEqual([1, expect.stringContaining(named)]);
    expect(
      registry?.requests.filter(({ target, method }) => method === 'GET' && target.includes('/blobs/'))
        .length,
    ).toBeLessThan(2);
  });
});
