/** Publishes images: which layers a target lacks, their bytes, and the records that make an image of them. */
import { posix } from 'node:path';
import type { ByteName } from '../base/bytes.ts';
import type { Digest } from '../base/digest.ts';
import { PluginError } from '../base/errors/error.ts';
import type { Logger } from '../base/log.ts';
import { settleLimited } from '../base/pool.ts';
import type { Progress } from '../base/progress.ts';
import type { ImageSource, ResolvedImage } from '../image/source/source.ts';
import type { LayerBudget } from '../layer/tree/types.ts';
import type { unpackLayer } from '../layer/unpack/unpack.ts';
import { ImageDocuments } from './documents.ts';
import { type NamedLayer, namedLayers, stageLayer } from './layers.ts';
import { imageFiles } from './records.ts';
import { layerPath } from './repository/paths.ts';
import type { PublishTarget } from './targets/target.ts';
import type { StagedLayer } from './tree/layer-records.ts';
import { namesIn } from './tree/names-below.ts';

export interface PublishDeps {
  readonly target: PublishTarget;
  readonly log: Logger;
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly workerUrl: string | URL;
  /** In a thread for each layer, unless said otherwise. */
  readonly unpack?: typeof unpackLayer | undefined;
  readonly budget: LayerBudget;
  /** Layers fetched at a time. */
  readonly concurrency: number;
  /** Until when an image is kept whose tag has moved on. Undefined: it is not kept. */
  readonly keepUntil: Date | undefined;
  /** Fetch and change nothing. */
  readonly dryRun: boolean;
}

export interface ImageToPublish {
  /** As the caller wrote it, without secrets. */
  readonly image: string;
  /** `<registry>/<repository>:<tag>` */
  readonly name: string;
  /** The source must give every document that it reads to `documents`. */
  open(documents: ImageDocuments): Promise<ImageSource>;
}

/** Facts about what became of an image. */
export interface PublishedImage {
  readonly image: string;
  readonly name: string;
  readonly digest: Digest;
  /** `present`: nothing had to change. With `dryRun`: what would be. */
  readonly result: 'published' | 'present';
  /** Layers of the image; one that occurs twice counts once. */
  readonly layers: number;
  readonly fetched: readonly { readonly digest: Digest; readonly bytes: number }[];
  /** Attributes that no published layer of now has. */
  readonly lost: { readonly devices: number; readonly xattrs: number; readonly owners: boolean };
}

/** Publishes one image, and leaves what is there. @throws PUBLISH_*, and what the source and the target throw */
export async function publishImage(deps: PublishDeps, wanted: ImageToPublish): Promise<PublishedImage> {
  const { target } = deps;
  const documents = new ImageDocuments(target.repository, wanted.name);
  const source = await wanted.open(documents);
  try {
    const image = await source.resolve(deps.signal);
    const layers = namedLayers(wanted.image, image.layers);
    const missing = layers.filter(({ digest, diffId }) => !target.repository.hasLayer(digest, diffId));
    const records = recordsOf(deps, wanted, image, documents);
    const files = () => imageFiles(target.repository, records);
    const isPresent = missing.length === 0 && files().length === 0;
    const facts = { image: wanted.image, name: wanted.name, digest: records.digest, layers: layers.length };
    if (isPresent || deps.dryRun) {
      const fetched = missing.map(({ digest, size }) => ({ digest, bytes: size ?? 0 }));
      return { ...facts, result: isPresent ? 'present' : 'published', fetched, lost: NOTHING_LOST };
    }
    const staged = await stageAll(deps, source, missing);
    try {
      const below = (layer: Digest, path: ByteName) =>
        namesIn(treesBelow(target, layers, staged, layer), path);
      await target.publish(
        { layers: staged, namesBelow: below, files: files(), link: undefined },
        deps.signal,
      );
    } finally {
      for (const { directory } of staged) target.discard(directory);
    }
    deps.log.info('image-published', { ...facts, target: target.shown, fetched: staged.length });
    return { ...facts, result: 'published', fetched: staged.map(fetchedOf), lost: lostIn(target, staged) };
  } finally {
    await source.close();
  }
}

const NOTHING_LOST = { devices: 0, xattrs: 0, owners: false };

function recordsOf(
  { keepUntil }: PublishDeps,
  { image: shown, name }: ImageToPublish,
  image: ResolvedImage,
  documents: ImageDocuments,
) {
  const digest = image.manifestDigest;
  if (digest === undefined)
    throw new PluginError('PUBLISH_SOURCE', { image: shown, reason: 'it has no manifest' });
  const manifest = documents.manifest(digest);
  return {
    digest,
    name,
    manifest,
    manifestBytes: documents.bytes(digest),
    configBytes: documents.bytes(manifest.config.digest),
    indexBytes: documents.index(digest, manifest.config.digest),
    keepUntil,
  };
}

/** All of them, or none: what was staged is removed when one fails. */
async function stageAll(
  deps: PublishDeps,
  source: ImageSource,
  layers: readonly NamedLayer[],
): Promise<StagedLayer[]> {
  // The first failure ends the others: the image cannot be published.
  const ending = new AbortController();
  const signal = AbortSignal.any([deps.signal, ending.signal]);
  const results = await settleLimited(layers, deps.concurrency, async (layer) => {
    try {
      signal.throwIfAborted();
      return await stageLayer({ ...deps, source, signal }, layer);
    } catch (error) {
      ending.abort(error);
      throw error;
    }
  });
  const staged = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []));
  if (staged.length === layers.length) return staged;
  for (const { directory } of staged) deps.target.discard(directory);
  deps.signal.throwIfAborted();
  throw ending.signal.reason;
}

/** The trees of the layers below one, staged or published. */
function treesBelow(
  { repository }: PublishTarget,
  layers: readonly NamedLayer[],
  staged: readonly StagedLayer[],
  layer: Digest,
): string[] {
  const at = layers.findIndex(({ digest }) => digest === layer);
  return layers.slice(0, at).map(({ digest }) => {
    const unpublished = staged.find((one) => one.digest === digest);
    return `${unpublished?.directory ?? posix.join(repository.root, layerPath(digest))}/layerfs`;
  });
}

function fetchedOf({ digest, facts }: StagedLayer): { digest: Digest; bytes: number } {
  return { digest, bytes: facts.compressedBytes };
}

function lostIn({ keepsOwners }: PublishTarget, staged: readonly StagedLayer[]): PublishedImage['lost'] {
  return {
    devices: staged.reduce((sum, { facts }) => sum + facts.skippedDevices, 0),
    xattrs: staged.reduce((sum, { facts }) => sum + facts.droppedXattrs, 0),
    owners: !keepsOwners && staged.length > 0,
  };
}
