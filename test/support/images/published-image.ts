/** An image twice: in an OCI layout, as a registry would have it, and published as DUCC publishes it. */
import { mkdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { type Digest, digestOf, parseDiffId } from '../../../lib/base/digest.ts';
import { parseManifest } from '../../../lib/oci/manifest.ts';
import { OCI_CONFIG, OCI_LAYER, OCI_MANIFEST } from '../../../lib/oci/media-types.ts';
import { type PublishOptions, RepositoryWriter } from '../cvmfs/publish.ts';
import { sh } from '../shell.ts';
import type { TempDir } from '../temp.ts';
import { type Json, LayoutBuilder } from './layout-builder.ts';

export interface MadeLayer {
  /** Of the compressed blob. */
  readonly digest: Digest;
  readonly blob: Buffer;
  readonly tar: Buffer;
  /** Of its descriptor. */
  readonly annotations?: Readonly<Record<string, string>>;
}

/** The publisher's ids in all tests: a user of its own, as CernVM-FS servers have one. */
export const PUBLISHER = { uid: 497, gid: 498 };

/**
 * A layer of what `script` leaves in an empty directory; markers are files named `.wh.…`, as in a layer's tar.
 * The tar has an entry for the root itself where `members` is `.`; most layers have none.
 */
export async function makeLayer(dir: TempDir, script: string, members = '*'): Promise<MadeLayer> {
  const source = dir.at(`layer-${crypto.randomUUID()}`);
  mkdirSync(source);
  // Times of an image: layers are published long after they were built.
  await sh(`${script}\nfind . -exec touch -hd @1500000000 {} +`, [], { cwd: source });
  const list = members === '*' ? 'ls -A' : `echo ${members}`;
  await sh(
    `cd "$1"; ${list} | tar --sort=name --numeric-owner --xattrs --xattrs-include='*' -cf "$1.tar" -T -`,
    [source],
  );
  return layerOf(readFileSync(`${source}.tar`));
}

export function layerOf(tar: Buffer): MadeLayer {
  const blob = gzipSync(tar, { level: 1 });
  return { digest: digestOf(blob), blob, tar };
}

export interface PublishedImage {
  readonly url: string;
  readonly layers: readonly MadeLayer[];
  readonly config: Digest;
  readonly configBytes: Buffer;
  readonly manifest: ReturnType<typeof parseManifest> & { kind: 'image' };
}

/** Writes the image into an OCI layout below `dir`. */
export function layoutImage(
  dir: TempDir,
  layers: readonly MadeLayer[],
  config: Json = {},
): PublishedImage & { readonly builder: LayoutBuilder } {
  const builder = new LayoutBuilder(dir.at(`layout-${crypto.randomUUID()}`));
  const descriptors = layers.map(({ blob, annotations }) => ({
    ...builder.blob(`${OCI_LAYER}+gzip`, blob),
    ...(annotations && { annotations }),
  }));
  const diffIds = layers.map(({ tar }) => digestOf(tar));
  const configBytes = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'arm64' ? 'arm64' : 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: diffIds },
      config: { Env: ['PATH=/bin', 'FROM=config'], Cmd: ['/bin/sh'] },
      ...config,
    }),
  );
  const document = {
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: builder.blob(OCI_CONFIG, configBytes),
    layers: descriptors,
  };
  builder.write([builder.json(OCI_MANIFEST, document)]);
  const manifest = parseManifest(Buffer.from(JSON.stringify(document)), undefined, 'made');
  if (manifest.kind !== 'image') throw new Error('it is no image');
  return { builder, url: builder.url(), layers, config: digestOf(configBytes), configBytes, manifest };
}

export function repositoryWriter(root: string, changes: Partial<PublishOptions> = {}): RepositoryWriter {
  mkdirSync(root, { recursive: true });
  const publisher = { ...PUBLISHER, time: { sec: Math.floor(Date.now() / 1000), nsec: 0 } };
  return new RepositoryWriter({ root, publisher, keepOwners: true, companion: false, ...changes });
}

/** Publishes layers into a repository's tree. */
export async function publishLayers(writer: RepositoryWriter, layers: readonly MadeLayer[]): Promise<void> {
  for (const { digest, tar } of layers) {
    const once = async function* () {
      yield tar;
    };
    await writer.publishLayer({ digest, diffId: parseDiffId(digestOf(tar)), tar: once() });
  }
}
