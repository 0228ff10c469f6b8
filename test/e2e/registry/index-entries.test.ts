/** Indexes as builders leave them: the same image is chosen from a layout and from a registry. */
import { afterEach, beforeEach, describe, expect, test } from 'bun:test';
import { existsSync, readFileSync, unlinkSync } from 'node:fs';
import { isPluginError } from '../../../lib/base/errors/error.ts';
import type { ResolvedImage } from '../../../lib/image/source/source.ts';
import { OCI_CONFIG, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import {
  forPlatform,
  type Json,
  LayoutBuilder,
  type RawDescriptor,
} from '../../support/images/layout-builder.ts';
import { contentAnswer, errorAnswer } from '../../support/registries/fake-registry.ts';
import { type RawServer, rawServer, whole } from '../../support/registries/raw-server.ts';
import { NEVER, registrySource } from '../../support/registries/registry-client.ts';
import { type TempDir, tempDir } from '../../support/temp.ts';
import { resolveLayout } from '../../unit/image/source/support.ts';

let dir: TempDir;
let layout: LayoutBuilder;
let server: RawServer;
beforeEach(() => {
  dir = tempDir();
  layout = new LayoutBuilder(dir.at('layout'));
  server = rawServer(async (request, answer) => {
    const [, digest = ''] = /^\/v2\/app\/(?:manifests|blobs)\/([^?]+)/.exec(request.target) ?? [];
    const isThere = digest !== '' && existsSync(layout.blobPath({ digest }));
    if (request.target === '/v2/') return answer.write(whole(200, '{}'));
    if (!isThere) return answer.write(errorAnswer(404, 'MANIFEST_UNKNOWN'));
    const bytes = readFileSync(layout.blobPath({ digest }));
    const { mediaType = 'application/octet-stream' } = JSON.parse(bytes.toString());
    return answer.write(contentAnswer(request, { digest, bytes, mediaType }, undefined));
  });
});
afterEach(async () => {
  await server.stop();
  await dir.remove();
});

/** An image without layers, which a label tells from others. */
function image(label: string, config: Json = {}, descriptor: Json = {}, manifest: Json = {}): RawDescriptor {
  const described = layout.config([], { config: { Labels: { label } }, ...config });
  const document = { schemaVersion: 2, mediaType: OCI_MANIFEST, config: described, layers: [], ...manifest };
  return layout.json(OCI_MANIFEST, document, descriptor);
}

/** Both places; an error by its code. */
async function resolvedFrom(index: RawDescriptor): Promise<(ResolvedImage | string)[]> {
  layout.write([index]);
  const source = registrySource(`docker://${server.host}/app@${index.digest}`, {
    policy: { insecure: [server.host] },
  });
  const codeOf = (error: unknown) => {
    if (isPluginError(error)) return error.code;
    throw error;
  };
  try {
    return [await resolveLayout(layout.url()).catch(codeOf), await source.resolve(NEVER).catch(codeOf)];
  } finally {
    await source.close();
  }
}

async function expectTaken(entries: readonly RawDescriptor[], wanted: RawDescriptor): Promise<void> {
  for (const found of await resolvedFrom(layout.index(entries)))
    expect(typeof found === 'string' ? found : (found.manifestDigest as string)).toBe(wanted.digest);
}

function missing(label: string, descriptor: Json): RawDescriptor {
  const made = image(label, {}, descriptor);
  unlinkSync(layout.blobPath(made));
  return made;
}

const HERE = forPlatform('linux/amd64');

describe('an entry leaves the next one, which is for this machine:', () => {
  const good = () => image('good', {}, HERE);

  test('without a platform, for another machine', async () => {
    const right = image('right');
    await expectTaken(
      [image('arm', { architecture: 'arm64' }), image('windows', { os: 'windows' }), right],
      right,
    );
  });

  test('for a system with features, by the index or by the configuration', async () => {
    const features = { 'os.features': ['erofs'] };
    const platform = { platform: { os: 'linux', architecture: 'amd64', ...features } };
    const right = image('right');
    await expectTaken([image('x', {}, platform), image('y', features), right], right);
  });

  test('without its manifest, or without its configuration', async () => {
    const without = image('without', {}, HERE);
    const { config } = JSON.parse(readFileSync(layout.blobPath(without), 'utf8'));
    unlinkSync(layout.blobPath(config));
    const right = good();
    await expectTaken([missing('gone', HERE), without, right], right);
  });

  test('an artifact, an attestation, a layer, something that is no JSON', async () => {
    const right = good();
    const artifact = layout.json(OCI_CONFIG, {});
    await expectTaken(
      [
        image('artifact', {}, HERE, {
          config: { ...artifact, mediaType: 'application/vnd.oci.empty.v1+json' },
        }),
        image('sbom', {}, { ...HERE, artifactType: 'application/spdx+json' }),
        image('attestation', {}, { annotations: { 'vnd.docker.reference.type': 'attestation-manifest' } }),
        layout.layer('x', HERE),
        layout.blob(OCI_MANIFEST, '{"schemaVersion":2,"config":{},"layers":7}', HERE),
        right,
      ],
      right,
    );
  });

  test('encrypted, or with layers that are no tar', async () => {
    const right = good();
    const layers = (mediaType: string) => [{ ...layout.layer('x'), mediaType }];
    const config = layout.config([layout.layer('x').digest]);
    await expectTaken(
      [
        image('encrypted', {}, HERE, {
          config,
          layers: layers('application/vnd.oci.image.layer.v1.tar+encrypted'),
        }),
        image('nydus', {}, HERE, { config, layers: layers('application/vnd.oci.image.layer.nydus.blob.v1') }),
        right,
      ],
      right,
    );
  });

  test('an index for others, or one that is missing', async () => {
    const right = good();
    const other = layout.index([image('arm', {}, forPlatform('linux/arm64'))]);
    const gone = layout.index([image('s390x', {}, forPlatform('linux/s390x'))]);
    unlinkSync(layout.blobPath(gone));
    await expectTaken([other, gone, layout.index([right])], right);
  });
});

test('one entry that is missing is told as missing', async () => {
  expect(await resolvedFrom(layout.index([missing('gone', HERE)]))).toEqual([
    'IMAGE_SOURCE_MISSING',
    'REGISTRY_NOT_FOUND',
  ]);
});

test('the first entry that fits costs no request for the others', async () => {
  const right = image('right', {}, HERE);
  const index = layout.index([missing('gone', forPlatform('linux/arm64')), right, missing('unknown', {})]);
  await resolvedFrom(index);
  const asked = server.requests.flatMap(({ target }) => /sha256:.*/.exec(target)?.[0] ?? []);
  const { config } = JSON.parse(readFileSync(layout.blobPath(right), 'utf8'));
  expect([...new Set(asked)]).toEqual([index.digest, right.digest, config.digest]);
});

test('names that several entries of a layout have are chosen from in the same way', async () => {
  const name = { annotations: { 'org.opencontainers.image.ref.name': 'x' } };
  const right = image('right', {}, name);
  layout.write([image('arm', { architecture: 'arm64' }, name), missing('gone', { ...name, ...HERE }), right]);
  const found = await resolveLayout(layout.url('x'));
  expect(found.manifestDigest as string).toBe(right.digest);
});
